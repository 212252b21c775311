"""How a plain (unquoted) scalar gets its type: the core schema of YAML 1.2.2, section 10.3.2.

PyYAML follows YAML 1.1, where ``no`` is false, ``010`` is 8, ``1_000`` is 1000 and ``12:30:45`` is 45045. Here
these are texts, except for ``010``, which the two versions read differently: that is refused.
"""

from __future__ import annotations

import re
from typing import Final

Scalar = str | int | float | bool | None

_CONSTANTS: Final[dict[str, bool | None]] = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True,
    "false": False, "False": False, "FALSE": False,
}  # fmt: skip
_MAY_BE_NUMBER: Final = frozenset("0123456789+-.")
_INTEGER: Final = re.compile(r"[-+]?[0-9]+")
_BASED: Final = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT: Final = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_NOT_FINITE: Final = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_LEADING_ZERO: Final = re.compile(r"[-+]?0[0-9]+")
_LARGEST: Final = 2**63
_LONGEST_NUMBER: Final = 400


def read_plain(text: str) -> Scalar:
    """Return the value of a plain scalar.

    :raises ValueError: for a number that has two readings or none; the message follows the quoted value.
    """
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if text[0] not in _MAY_BE_NUMBER or len(text) > _LONGEST_NUMBER:
        return text
    if _INTEGER.fullmatch(text):
        return _integer(text)
    if _BASED.fullmatch(text):
        return _bounded(int(text, 0))
    if _FLOAT.fullmatch(text):
        number = float(text)
        if number in {float("inf"), float("-inf")}:
            raise ValueError("is too large for a number")
        return number
    if _NOT_FINITE.fullmatch(text):
        raise ValueError("is not a finite number, and nothing here takes one: if text is meant, put it in quotes")
    return text


def read_environment(text: str) -> Scalar:
    """Type the value of a scalar that was wholly one ``${NAME}``: a number, true or false, else the text itself.

    More careful than :func:`read_plain`: an empty value stays an empty text, and what has two readings stays text.
    """
    if text in _CONSTANTS:
        constant = _CONSTANTS[text]
        return text if constant is None else constant
    try:
        return read_plain(text)
    except ValueError:
        return text


def _integer(text: str) -> int:
    if _LEADING_ZERO.fullmatch(text):
        raise ValueError(
            f"is octal in YAML 1.1 and {text.lstrip('+-0') or '0'} in YAML 1.2: write it without "
            "the leading zero, or put it in quotes if text is meant"
        )
    return _bounded(int(text))


def _bounded(number: int) -> int:
    if not -_LARGEST <= number < _LARGEST:
        raise ValueError("is too large for a number: if text is meant, put it in quotes")
    return number
