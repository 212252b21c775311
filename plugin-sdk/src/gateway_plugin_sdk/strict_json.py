"""Strict reading of JSON from clients (I-JSON, RFC 7493): what two readers could take differently is an error.

Not part of the stable contract: the gateway's own plugins use it.
"""

from __future__ import annotations

import json
from itertools import chain
from typing import Any, Final, NoReturn

_DEEPEST: Final = 64
_INFINITIES: Final = (float("inf"), float("-inf"))
_LONG: Final = 10**309
"""The least integer of more digits than an IEEE double has: what is done with it takes quadratic time."""
_DIGITS: Final = b"9" * 310
_AS_NINES: Final = bytes.maketrans(b"012345678", b"999999999")


class JsonError(ValueError):
    """The text is no such JSON; the message has no part of it."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise JsonError("an object has a name twice")
    return made


def _number(text: str) -> float:
    number = float(text)
    if number in _INFINITIES:
        raise JsonError("a number is out of range")
    return number


def _constant(name: str) -> NoReturn:
    raise JsonError(f"{name} is no JSON")


_DECODER: Final = json.JSONDecoder(object_pairs_hook=_object, parse_float=_number, parse_constant=_constant)


def read_json(data: bytes) -> Any:
    """Return the value of a JSON text.

    :raises JsonError: it is none, is not in UTF-8, is nested more than 64 deep, has a name twice, a number that is out
        of range, or half of a surrogate pair.
    """
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise JsonError(f"byte {error.start} is no UTF-8") from None
    try:
        value = _DECODER.decode(text)
    except JsonError:
        raise
    except json.JSONDecodeError as error:
        raise JsonError(f"no JSON at line {error.lineno}, column {error.colno}") from None
    except RecursionError:
        raise JsonError(f"nested more than {_DEEPEST} deep") from None
    except ValueError:  # an integer of more digits than Python reads
        raise JsonError("a number is out of range") from None
    if _DIGITS in data.translate(_AS_NINES) and _has_long_integer(value):
        raise JsonError("a number is out of range")
    if data.count(b"[") + data.count(b"{") > _DEEPEST and isinstance(value, list | dict) and _is_deep(value):
        raise JsonError(f"nested more than {_DEEPEST} deep")
    if b"\\u" in data and _has_half_pairs(value):
        raise JsonError("half of a surrogate pair")
    return value


def _is_deep(value: Any) -> bool:
    level = [value]
    for _ in range(_DEEPEST):
        # By the class, as the JSON decoder makes no other ones: isinstance takes twice the time.
        inner = chain.from_iterable([each if type(each) is list else each.values() for each in level])
        level = [each for each in inner if type(each) is list or type(each) is dict]
        if not level:
            return False
    return True


def _has_long_integer(value: Any) -> bool:
    left = [value]
    while left:
        each = left.pop()
        if isinstance(each, dict | list):
            left += each.values() if isinstance(each, dict) else each
        elif isinstance(each, int) and abs(each) >= _LONG:
            return True
    return False


def _has_half_pairs(value: Any) -> bool:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return True
    return False
