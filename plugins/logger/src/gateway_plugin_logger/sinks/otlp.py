"""Batches of records as OTLP wants them over HTTP (specification 1.7), in JSON or as protocol buffers.

Records are made as JSON (`gateway_plugin_logger.formats.build`); a batch in the binary form is translated from that by
the thread that packs it, with the classes that OpenTelemetry generates from its definitions.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

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


def _make_binary(resource: dict[str, str]) -> Callable[[Sequence[str]], bytes]:
    # Only a sink with this encoding needs the library, an extra of this distribution.
    from google.protobuf.json_format import ParseDict  # noqa: PLC0415
    from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest  # noqa: PLC0415

    make_json = _make_json(resource)

    def make_body(records: Sequence[str]) -> bytes:
        document = json.loads(make_json(records))
        for record in document["resourceLogs"][0]["scopeLogs"][0]["logRecords"]:
            for name in {"traceId", "spanId"} & record.keys():
                # OTLP's JSON has ids in hexadecimal, that of protocol buffers has bytes in base64.
                record[name] = base64.b64encode(bytes.fromhex(record[name])).decode("ascii")
        return ParseDict(document, ExportLogsServiceRequest()).SerializeToString()

    return make_body


def read_binary_response(body: bytes) -> Refusal:
    """Return what a response in the binary form says of refused records."""
    from google.protobuf.message import DecodeError  # noqa: PLC0415
    from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse  # noqa: PLC0415

    try:
        partial = ExportLogsServiceResponse.FromString(body).partial_success
    except DecodeError:
        return Refusal()
    return Refusal(partial.rejected_log_records, partial.error_message)
