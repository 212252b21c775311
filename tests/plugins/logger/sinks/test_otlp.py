"""What a collector receives, read by the classes that OpenTelemetry generates from its own definitions."""

from __future__ import annotations

import base64
import gzip
import json
import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from gateway_plugin_logger.config import LoggerConfig, OtlpSink
from gateway_plugin_logger.open_sinks import make_forms
from gateway_plugin_logger.sinks.otlp import Refusal, encoding_of, read_binary_response, read_json_response
from google.protobuf.json_format import Parse
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsPartialSuccess,
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, SeverityNumber
from pydantic import ValidationError

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
ENCODINGS = ["json", "protobuf"]


def sink_of(encoding: str, **options: Any) -> OtlpSink:
    return OtlpSink.model_validate({"type": "otlp", "endpoint": "http://127.0.0.1:1", "encoding": encoding, **options})


def read(encoding: str, body: bytes) -> ExportLogsServiceRequest:
    """Read a request; unknown fields and values of a wrong type are errors."""
    if encoding == "protobuf":
        request = ExportLogsServiceRequest.FromString(body)
        request.DiscardUnknownFields()
        assert request.SerializeToString(deterministic=True) == ExportLogsServiceRequest.FromString(
            body
        ).SerializeToString(deterministic=True)
        return request
    # OTLP's JSON has ids in hexadecimal (specification, "JSON Protobuf Encoding"); the library expects base64 there.
    document = json.loads(body)
    for record in document["resourceLogs"][0]["scopeLogs"][0]["logRecords"]:
        for name in ("traceId", "spanId"):
            if name in record:
                record[name] = base64.b64encode(bytes.fromhex(record[name])).decode()
    return Parse(json.dumps(document), ExportLogsServiceRequest())


def plain(value: AnyValue) -> Any:
    """Return what a value holds."""
    match value.WhichOneof("value"):
        case "kvlist_value":
            return {pair.key: plain(pair.value) for pair in value.kvlist_value.values}
        case "array_value":
            return [plain(item) for item in value.array_value.values]
        case None:
            return None
        case name:
            return getattr(value, name)


def records_of(encoding: str, config: dict[str, Any], *events: Any) -> list[LogRecord]:
    sink = {"type": "otlp", "endpoint": "http://127.0.0.1:1", "encoding": encoding}
    logger = LoggerConfig.model_validate({**config, "sinks": [sink]})
    (render,) = make_forms(logger).otel.values()
    (target,) = logger.sinks
    assert isinstance(target, OtlpSink)
    body = encoding_of(target).make_body([render(*event) for event in events])
    return list(read(encoding, body).resource_logs[0].scope_logs[0].log_records)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_batch_says_whose_it_is_and_who_made_it(encoding: str) -> None:
    sink = sink_of(encoding, service_name="edge 🚀", resource={"deployment.environment.name": "prod"})

    request = read(encoding, encoding_of(sink).make_body(['{"severityNumber":9}']))

    (logs,) = request.resource_logs
    attributes = {pair.key: plain(pair.value) for pair in logs.resource.attributes}
    assert attributes == {"service.name": "edge 🚀", "deployment.environment.name": "prod"}
    assert [scope.scope.name for scope in logs.scope_logs] == ["gateway_plugin_logger"]


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_record_has_time_severity_body_trace_and_attributes(encoding: str, make_event: Any) -> None:
    headers = {"traceparent": f"00-{TRACE}-{SPAN}-01", "User-Agent": 'curl "8"\u00fc'}
    event = make_event(headers=headers, status=503, attempts=2, claims={"roles": ["a", 7, 1.5, True, None], "x": {}})

    (record,) = records_of(encoding, {"add": {"c": "{claims}", "t": "{attempt_details}"}}, event)

    assert record.time_unix_nano == 1_795_389_621_123_000_000
    assert record.observed_time_unix_nano == 1_795_389_621_135_500_000
    assert (record.severity_number, record.severity_text) == (SeverityNumber.SEVERITY_NUMBER_ERROR, "ERROR")
    assert record.body.string_value == "GET /api/users/7 503"
    assert (record.trace_id.hex(), record.span_id.hex(), record.flags) == (TRACE, SPAN, 1)
    attributes = {pair.key: plain(pair.value) for pair in record.attributes}
    assert attributes["http.response.status_code"] == 503
    assert attributes["gateway.duration_ms"] == 12.5
    assert attributes["url.path"] == "/api/users/7"
    assert attributes["user_agent.original"].startswith('curl "8"')
    assert attributes["c"]["roles"][:4] == ["a", 7, 1.5, True]
    assert attributes["c"]["x"] == {}
    assert [each["endpoint"] for each in attributes["t"]] == ["users-1", "users-2"]
    assert len(attributes) == len(record.attributes)


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize(("status", "number"), [(200, 9), (302, 9), (404, 13), (500, 17)])
def test_the_severity_follows_the_status(encoding: str, status: int, number: int, make_event: Any) -> None:
    (record,) = records_of(encoding, {}, make_event(status=status))

    assert record.severity_number == number


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize(
    "hostile", ['"', "\\", "\n\r\x00\x1b[31m", "\ud800", "\udfff\ud800", "x" * 100_000, "ü🚀", "{}", '"}]}}]}']
)
def test_whatever_a_client_sends_stays_inside_its_value(encoding: str, hostile: str, make_event: Any) -> None:
    event = make_event(subject=hostile, status=200)

    records = records_of(encoding, {}, event, make_event())

    assert len(records) == 2
    assert records[1].body.string_value == "GET /api/users/7 200"


def nested(depth: int) -> Any:
    value: Any = "x"
    for _ in range(depth):
        value = {"a": [value]}
    return value


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("value", [1 << 63, -(1 << 63) - 1, float("inf"), float("-inf"), float("nan"), nested(40)])
def test_a_claim_that_no_collector_can_hold_costs_no_other_record(encoding: str, value: Any, make_event: Any) -> None:
    events = make_event(claims={"c": value}), make_event()

    records = records_of(encoding, {"add": {"c": "{claims}"}}, *events)

    assert [record.body.string_value for record in records] == ["GET /api/users/7 200"] * 2
    assert "c" in {pair.key for pair in records[0].attributes}


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_without_a_trace_there_are_no_ids(encoding: str, make_event: Any) -> None:
    (record,) = records_of(encoding, {}, make_event())

    assert (record.trace_id, record.span_id, record.flags) == (b"", b"", 0)


@pytest.mark.parametrize("number", [0, 1, 127, 128, 300, 2**31, 2**53])
def test_numbers_of_any_size_arrive(number: int, make_event: Any) -> None:
    event = make_event()
    event.record.bytes_sent = number

    (record,) = records_of("protobuf", {"fields": ["bytes_sent"]}, event)

    assert plain(record.attributes[0].value) == number


def test_what_a_collector_refuses_is_read_from_its_answer() -> None:
    partial = ExportLogsPartialSuccess(rejected_log_records=300, error_message="too öld")
    answer = ExportLogsServiceResponse(partial_success=partial).SerializeToString()

    assert read_binary_response(answer) == Refusal(300, "too öld")
    assert read_json_response(b'{"partialSuccess":{"rejectedLogRecords":"2","errorMessage":"x"}}') == Refusal(2, "x")


@pytest.mark.parametrize("answer", [b"", b"no json", b"[]", b'{"partialSuccess":null}', b'{"partialSuccess":{"a":1}}'])
def test_other_answers_in_json_mean_that_nothing_was_refused(answer: bytes) -> None:
    assert read_json_response(answer) == Refusal()


@pytest.mark.parametrize(
    "answer", [b"", b"\x0a", b"\x0a\x05\x08", b"\xff" * 20, b"\x08\x01", b"\x0a\x02\x0a\x00", b"<html>", b"\x0a\x00"]
)
def test_other_answers_in_the_binary_form_mean_that_nothing_was_refused(answer: bytes) -> None:
    assert read_binary_response(answer) == Refusal()


def test_the_binary_form_is_refused_with_a_remedy_where_its_library_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.proto", None)

    with pytest.raises(ValidationError, match=r"pip install 'gateway-plugin-logger\[otlp\]'"):
        sink_of("protobuf")

    assert sink_of("json").encoding == "json"


@pytest.fixture
async def collector() -> AsyncIterator[tuple[str, list[tuple[str, ExportLogsServiceRequest]]]]:
    received: list[tuple[str, ExportLogsServiceRequest]] = []

    async def take(request: web.Request) -> web.Response:
        kind = request.headers["content-type"]
        body = await request.read()
        body = gzip.decompress(body) if body.startswith(b"\x1f\x8b") else body
        received.append((request.path, read("json" if kind == "application/json" else "protobuf", body)))
        return web.Response(body=b"", content_type=kind)

    application = web.Application()
    application.router.add_post("/{path:.*}", take)
    server = TestServer(application)
    await server.start_server()
    yield str(server.make_url("/")), received
    await server.close()


@pytest.mark.parametrize("encoding", ENCODINGS)
async def test_a_logger_sends_what_a_collector_understands(
    encoding: str, collector: Any, loggers: Any, make_event: Any
) -> None:
    url, received = collector
    logger = await loggers.start({"sinks": [{"type": "otlp", "endpoint": url, "encoding": encoding}]})

    for number in range(5):
        logger.gateway_log(*make_event(f"/{number}"))
    await loggers.stop(logger)

    assert {path for path, _ in received} == {"/v1/logs"}
    records = [record for _, request in received for record in request.resource_logs[0].scope_logs[0].log_records]
    assert [record.body.string_value for record in records] == [f"GET /{number} 200" for number in range(5)]
