"""Makes any text safe to stand in a line: whatever a client sends, a line stays one line and its fields apart."""

from __future__ import annotations

import json
import re
from json.encoder import encode_basestring_ascii
from math import isfinite
from typing import Any, Final

quote_wire: Final = encode_basestring_ascii
"""A text without surrogates as a JSON string, ASCII only."""

_ESCAPES: Final = re.compile(r"\\(?:ud[89ab][0-9a-f]{2}\\ud[c-f][0-9a-f]{2}|(ud[89a-f][0-9a-f]{2})|.)")
_ODD: Final = re.compile(r'[^\x20-\x7e]|["\\]')
_PLAIN_LOGFMT: Final = re.compile(r"[!#-<>-\[\]-~]+")
_DEEPEST: Final = 16
"""Values in one another that stay structures; protocol buffers have three messages for each, of 100 in one another."""
_encode: Final = json.JSONEncoder(separators=(",", ":"), default=str).encode


def quote_json(value: str) -> str:
    """Return any text as a JSON string, ASCII only."""
    return _without_lone_surrogates(encode_basestring_ascii(value))


def encode_json(value: Any) -> str:
    """Return a value as JSON, ASCII only; what JSON does not know becomes text."""
    return _without_lone_surrogates(_encode(value))


def _without_lone_surrogates(text: str) -> str:
    r"""Return JSON with ``\ufffd`` for each half of a surrogate pair: for one of them strict readers refuse a batch."""
    if "\\ud" not in text:
        return text
    return _ESCAPES.sub(lambda found: "\\ufffd" if found[1] else found[0], text)


def escape_text(value: str) -> str:
    r"""Return a text with quotes, backslashes, control and non-ASCII characters as ``\xHH`` of UTF-8, as nginx does."""
    if value.isascii() and value.isprintable() and '"' not in value and "\\" not in value:
        return value
    return _ODD.sub(_hexadecimal, value)


def escape_word(value: str) -> str:
    r"""Return a text that stands without quotes between spaces: its own spaces are ``\x20``, nothing is ``-``."""
    return escape_text(value).replace(" ", "\\x20") or "-"


def _hexadecimal(found: re.Match[str]) -> str:
    return "".join(f"\\x{byte:02X}" for byte in found[0].encode("utf-8", "surrogatepass"))


def escape_object(value: Any) -> str:
    """Return anything as one word of a text line."""
    return escape_text(value if isinstance(value, str) else encode_json(value))


def quote_logfmt(value: str) -> str:
    """Return a text as a logfmt value: bare if it may be, else as a JSON string."""
    return value if _PLAIN_LOGFMT.fullmatch(value) else quote_json(value)


def quote_logfmt_object(value: Any) -> str:
    """Return anything as a logfmt value."""
    return quote_logfmt(value if isinstance(value, str) else encode_json(value))


def otel_value(value: Any, depth: int = 0) -> str:
    """Return a JSON value as an OTLP ``AnyValue`` in its JSON encoding (64-bit integers are strings there).

    Readers refuse a batch for one value that they cannot hold: longer integers, and what is nested too deeply, become
    text.

    :param depth: in how many others it is.
    """
    if isinstance(value, bool):
        return '{"boolValue":true}' if value else '{"boolValue":false}'
    if isinstance(value, int) and -(1 << 63) <= value < 1 << 63:
        return f'{{"intValue":"{value}"}}'
    if isinstance(value, float):
        number = encode_json(value)
        return f'{{"doubleValue":{number if isfinite(value) else quote_json(number)}}}'
    if isinstance(value, dict | list | tuple) and depth == _DEEPEST:
        value = encode_json(value)
    if isinstance(value, dict):
        items = value.items()
        pairs = [f'{{"key":{quote_json(str(key))},"value":{otel_value(item, depth + 1)}}}' for key, item in items]
        return f'{{"kvlistValue":{{"values":[{",".join(pairs)}]}}}}'
    if isinstance(value, list | tuple):
        return f'{{"arrayValue":{{"values":[{",".join([otel_value(item, depth + 1) for item in value])}]}}}}'
    return f'{{"stringValue":{quote_json("" if value is None else str(value))}}}'
