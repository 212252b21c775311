"""Reads JSON of strangers strictly (I-JSON, RFC 7493): what two readers could take differently is an error."""

from __future__ import annotations

import json
from typing import Any, Final, NoReturn

_DEEPEST: Final = 64
_INFINITIES: Final = (float("inf"), float("-inf"))


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
    if data.count(b"[") + data.count(b"{") > _DEEPEST and _is_deep(value):
        raise JsonError(f"nested more than {_DEEPEST} deep")
    if b"\\u" in data and _has_half_pairs(value):
        raise JsonError("half of a surrogate pair")
    return value


def _is_deep(value: Any) -> bool:
    level = [value]
    for _ in range(_DEEPEST + 1):
        level = [each for each in level if isinstance(each, dict | list)]
        if not level:
            return False
        level = [inner for each in level for inner in (each.values() if isinstance(each, dict) else each)]
    return True


def _has_half_pairs(value: Any) -> bool:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return True
    return False
