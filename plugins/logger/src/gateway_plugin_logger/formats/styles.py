"""How each kind of value is written in each style of line."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from gateway_plugin_logger.fields import Kind, Value
from gateway_plugin_logger.formats.compiler import Piece
from gateway_plugin_logger.formats.escape import (
    encode_json,
    escape_object,
    escape_text,
    escape_word,
    otel_value,
    quote_json,
    quote_logfmt,
    quote_logfmt_object,
    quote_wire,
)


@dataclass(frozen=True, slots=True)
class Writing:
    """How one kind is written."""

    writer: Callable[[Any], str] | None = None
    spec: str = ""
    before: str = ""
    after: str = ""


Style = Mapping[Kind, Writing]

_THREE_DECIMALS: Final = Writing(spec=".3f")

JSON: Final[Style] = {
    Kind.TEXT: Writing(quote_json),
    Kind.WIRE: Writing(quote_wire),
    Kind.WORD: Writing(quote_json),
    Kind.CLEAN: Writing(before='"', after='"'),
    Kind.INTEGER: Writing(),
    Kind.CODE: Writing(),
    Kind.NUMBER: _THREE_DECIMALS,
    Kind.MILLISECONDS: Writing(),
    Kind.OBJECT: Writing(encode_json),
}
TEXT: Final[Style] = {
    Kind.TEXT: Writing(escape_text),
    Kind.WIRE: Writing(escape_text),
    Kind.WORD: Writing(escape_text),
    Kind.CLEAN: Writing(),
    Kind.INTEGER: Writing(),
    Kind.CODE: Writing(),
    Kind.NUMBER: _THREE_DECIMALS,
    Kind.MILLISECONDS: Writing(),
    Kind.OBJECT: Writing(escape_object),
}
BARE: Final[Style] = {
    **TEXT,
    Kind.TEXT: Writing(escape_word),
    Kind.WIRE: Writing(escape_word),
    Kind.WORD: Writing(escape_word),
}
"""For fields of a text line that nothing but a space keeps apart."""
LOGFMT: Final[Style] = {
    Kind.TEXT: Writing(quote_logfmt),
    Kind.WIRE: Writing(quote_logfmt),
    Kind.WORD: Writing(quote_logfmt),
    Kind.CLEAN: Writing(),
    Kind.INTEGER: Writing(),
    Kind.CODE: Writing(),
    Kind.NUMBER: _THREE_DECIMALS,
    Kind.MILLISECONDS: Writing(),
    Kind.OBJECT: Writing(quote_logfmt_object),
}
OTEL: Final[Style] = {
    Kind.TEXT: Writing(quote_json, before='{"stringValue":', after="}"),
    Kind.WIRE: Writing(quote_wire, before='{"stringValue":', after="}"),
    Kind.WORD: Writing(quote_json, before='{"stringValue":', after="}"),
    Kind.CLEAN: Writing(before='{"stringValue":"', after='"}'),
    Kind.INTEGER: Writing(before='{"intValue":"', after='"}'),
    Kind.CODE: Writing(before='{"intValue":"', after='"}'),
    Kind.NUMBER: Writing(spec=".3f", before='{"doubleValue":', after="}"),
    Kind.MILLISECONDS: Writing(before='{"doubleValue":', after="}"),
    Kind.OBJECT: Writing(otel_value),
}
RAW: Final[Style] = {
    **TEXT,
    Kind.TEXT: Writing(),
    Kind.WIRE: Writing(),
    Kind.WORD: Writing(),
    Kind.OBJECT: Writing(lambda v: v if isinstance(v, str) else encode_json(v)),
}
"""For texts that are put together first and escaped as a whole afterwards."""


def piece(value: Value, style: Style, *, before: str = "", after: str = "", missing: str = "") -> Piece:
    """Return a value with the way in which a style writes it."""
    writing = style[value.kind]
    return Piece(value, writing.writer, writing.spec, before + writing.before, writing.after + after, missing)
