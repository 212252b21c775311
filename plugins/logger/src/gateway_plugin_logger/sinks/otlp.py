"""Batches of records as OTLP wants them over HTTP (specification 1.7), in JSON or as protocol buffers.

Records are made as JSON (`gateway_plugin_logger.formats.build`); a batch in the binary form is translated from that by
the thread that packs it, since there are few messages and fields, and none that need a library.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from gateway_plugin_logger.config.sinks import OtlpSink
from gateway_plugin_logger.formats.escape import quote_json

_SCOPE: Final = "gateway_plugin_logger"


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a collector did not take of a batch that it took (``partial_success``)."""

    records: int = 0
    why: str = ""


@dataclass(frozen=True, slots=True)
class Encoding:
    """How batches are written, and responses read."""

    content_type: str
    make_body: Callable[[Sequence[str]], bytes]
    read_response: Callable[[bytes], Refusal]


def encoding_of(sink: OtlpSink) -> Encoding:
    """Return the encoding that a sink asks for."""
    resource = {"service.name": sink.service_name, **sink.resource}
    if sink.encoding == "protobuf":
        return Encoding("application/x-protobuf", _make_binary(resource), read_binary_response)
    return Encoding("application/json", _make_json(resource), read_json_response)


def _make_json(resource: dict[str, str]) -> Callable[[Sequence[str]], bytes]:
    attributes = ",".join(
        f'{{"key":{quote_json(key)},"value":{{"stringValue":{quote_json(value)}}}}}' for key, value in resource.items()
    )
    before = (
        f'{{"resourceLogs":[{{"resource":{{"attributes":[{attributes}]}},"scopeLogs":[{{"scope":'
        f'{{"name":{quote_json(_SCOPE)}}},"logRecords":['
    )

    def make_body(records: Sequence[str]) -> bytes:
        return f"{before}{','.join(records)}]}}]}}]}}".encode()

    return make_body


def read_json_response(body: bytes) -> Refusal:
    """Return what a response in JSON says of refused records."""
    try:
        partial = json.loads(body or b"{}").get("partialSuccess") or {}
        return Refusal(int(partial.get("rejectedLogRecords", 0)), str(partial.get("errorMessage", "")))
    except (ValueError, TypeError, AttributeError):
        return Refusal()


# The binary form. Numbers of fields are those of opentelemetry-proto 1.5.


def _make_binary(resource: dict[str, str]) -> Callable[[Sequence[str]], bytes]:
    described = b"".join([_message(1, _pair({"key": k, "value": {"stringValue": v}})) for k, v in resource.items()])
    before, scope = _message(1, described), _message(1, _message(1, _SCOPE.encode()))

    def make_body(records: Sequence[str]) -> bytes:
        logs = b"".join([_message(2, _record(json.loads(record))) for record in records])
        return _message(1, before + _message(2, scope + logs))

    return make_body


def _record(record: dict[str, Any]) -> bytes:
    parts = [
        b"\x09" + struct.pack("<Q", int(record.get("timeUnixNano", 0))),
        b"\x10" + _varint(record.get("severityNumber", 0)),
        _message(3, record.get("severityText", "").encode()),
        _message(5, _any(record.get("body", {}))),
        *[_message(6, _pair(pair)) for pair in record.get("attributes", ())],
        b"\x45" + struct.pack("<I", record.get("flags", 0)),
        b"\x59" + struct.pack("<Q", int(record.get("observedTimeUnixNano", 0))),
    ]
    for number, name in ((9, "traceId"), (10, "spanId")):
        if name in record:
            parts.append(_message(number, bytes.fromhex(record[name])))
    return b"".join(parts)


def _pair(pair: dict[str, Any]) -> bytes:
    return _message(1, _text(pair["key"])) + _message(2, _any(pair["value"]))


def _any(value: dict[str, Any]) -> bytes:
    match value:
        case {"stringValue": text}:
            return _message(1, _text(text))
        case {"boolValue": truth}:
            return b"\x10" + _varint(int(truth))
        case {"intValue": number}:
            return b"\x18" + _varint(int(number))
        case {"doubleValue": number}:
            return b"\x21" + struct.pack("<d", float(number))
        case {"arrayValue": {"values": items}}:
            return _message(5, b"".join([_message(1, _any(item)) for item in items]))
        case {"kvlistValue": {"values": pairs}}:
            return _message(6, b"".join([_message(1, _pair(pair)) for pair in pairs]))
    return b""


def _text(text: str) -> bytes:
    return text.encode("utf-8", "backslashreplace")  # JSON may hold half of a surrogate pair, protocol buffers may not


def _message(number: int, data: bytes) -> bytes:
    """Return a field whose length goes before it."""
    return bytes((number << 3 | 2,)) + _varint(len(data)) + data


def _varint(number: int) -> bytes:
    number &= 0xFFFF_FFFF_FFFF_FFFF
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    found.append(number)
    return bytes(found)


def read_binary_response(body: bytes) -> Refusal:
    """Return what a response in the binary form says of refused records."""
    try:
        partial = _fields(body).get(1, b"")
        fields = _fields(partial if isinstance(partial, bytes) else b"")
    except (IndexError, ValueError):
        return Refusal()
    records, why = fields.get(1, 0), fields.get(2, b"")
    if not isinstance(records, int) or not isinstance(why, bytes):
        return Refusal()
    return Refusal(records, why.decode("utf-8", "replace"))


def _fields(data: bytes) -> dict[int, int | bytes]:
    """Return the fields of a message that are numbers or have a length; the last one counts.

    :raises ValueError: it is no message, or has fields that nobody expects here.
    :raises IndexError: it ends within a field.
    """
    found: dict[int, int | bytes] = {}
    position = 0
    while position < len(data):
        tag, position = _read_varint(data, position)
        value, position = _read_varint(data, position)
        if tag & 7 == 2:
            if position + value > len(data):
                raise IndexError("a field is longer than its message")
            found[tag >> 3] = data[position : position + value]
            position += value
        elif tag & 7 == 0:
            found[tag >> 3] = value
        else:
            raise ValueError(f"a field of wire type {tag & 7} is not expected")
    return found


def _read_varint(data: bytes, position: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        byte = data[position]
        position += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, position
        shift += 7
        if shift > 63:
            raise ValueError("a number has more than ten bytes")
