from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from gateway_plugin_logger.config import HttpSink, OtlpSink
from gateway_plugin_logger.sinks import http
from gateway_plugin_logger.sinks.otlp import Refusal
from gateway_plugin_logger.sinks.retry import DeliveryError, RejectedError


class Collector:
    """A real server that keeps what it receives."""

    def __init__(self, port: int | None = None) -> None:
        self.requests: list[tuple[str, str, dict[str, str], bytes]] = []
        self.answers: list[web.Response] = []
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", self._take)
        self.server = TestServer(application, port=port)

    async def _take(self, request: web.Request) -> web.Response:
        body = await request.read()
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.requests.append((request.method, request.path, headers, body))
        return self.answers.pop(0) if self.answers else web.Response()

    @property
    def url(self) -> str:
        return str(self.server.make_url("/logs"))


@pytest.fixture
async def collector() -> AsyncIterator[Collector]:
    collector = Collector()
    await collector.server.start_server()
    yield collector
    await collector.server.close()


async def deliver(target: http.HttpTarget, *batches: list[str]) -> list[Refusal]:
    refused: list[Refusal] = []
    client = http.HttpClient(target, lambda: 1_795_389_621.0, refused.append)
    try:
        for batch in batches:
            await client.deliver(batch)
    finally:
        await client.aclose()
    return refused


def http_sink(**options: Any) -> HttpSink:
    return HttpSink.model_validate({"type": "http", **options})


@pytest.mark.parametrize(
    ("options", "form", "body", "content_type"),
    [
        ({}, "json", b'{"a":1}\n{"a":2}\n', "application/x-ndjson"),
        ({"body": "array"}, "json", b'[{"a":1},{"a":2}]', "application/json"),
        ({}, "combined", b'{"a":1}\n{"a":2}\n', "text/plain"),
        ({"content_type": "application/vnd.x"}, "json", b'{"a":1}\n{"a":2}\n', "application/vnd.x"),
    ],
)
async def test_batches_are_sent_as_lines_or_as_an_array(
    collector: Collector, options: dict[str, Any], form: str, body: bytes, content_type: str
) -> None:
    sink = http_sink(url=collector.url, headers={"Authorization": "Bearer t"}, compress=False, **options)

    await deliver(http.lines_target(sink, form), ['{"a":1}\n', '{"a":2}\n'])

    method, path, headers, received = collector.requests[0]
    assert (method, path, received) == ("POST", "/logs", body)
    assert headers["content-type"] == content_type
    assert headers["authorization"] == "Bearer t"
    assert "content-encoding" not in headers


async def test_bodies_are_compressed_and_the_connection_is_kept(collector: Collector) -> None:
    sink = http_sink(url=collector.url, method="PUT")

    await deliver(http.lines_target(sink, "json"), ["1\n"], ["2\n"])

    for method, _, headers, body in collector.requests:
        assert (method, headers["content-encoding"]) == ("PUT", "gzip")
        assert body[:2] in {b"\x1f\x8b", b"1\n", b"2\n"}
    assert len(collector.requests) == 2


async def test_an_idle_connection_is_closed_if_none_is_to_be_kept(collector: Collector) -> None:
    target = http.lines_target(http_sink(url=collector.url, keepalive=0), "json")

    await deliver(target, ["1\n"], ["2\n"])

    assert [headers.get("connection") for _, _, headers, _ in collector.requests] == ["close", "close"]


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
async def test_a_server_in_trouble_is_asked_again_when_it_says_so(collector: Collector, status: int) -> None:
    collector.answers = [web.Response(status=status, headers={"Retry-After": "7"})]

    with pytest.raises(DeliveryError, match=f"status {status}") as failed:
        await deliver(http.lines_target(http_sink(url=collector.url), "json"), ["1\n"])

    assert failed.value.retry_after == 7


@pytest.mark.parametrize("status", [301, 400, 401, 413, 501])
async def test_what_will_never_be_taken_is_not_sent_again(collector: Collector, status: int) -> None:
    collector.answers = [web.Response(status=status, headers={"Location": "/elsewhere"})]

    with pytest.raises(RejectedError, match=f"status {status}"):
        await deliver(http.lines_target(http_sink(url=collector.url), "json"), ["1\n"])

    assert len(collector.requests) == 1


async def test_a_server_that_is_away_is_tried_again(collector: Collector) -> None:
    target = http.lines_target(http_sink(url=collector.url), "json")
    await collector.server.close()

    with pytest.raises(DeliveryError, match="ClientConnectorError"):
        await deliver(target, ["1\n"])


async def test_records_go_to_a_collector_with_their_resource(collector: Collector) -> None:
    sink = OtlpSink.model_validate(
        {
            "type": "otlp",
            "endpoint": str(collector.server.make_url("/")),
            "service_name": "edge",
            "resource": {"deployment.environment.name": "prod"},
            "compress": False,
        }
    )

    await deliver(http.otlp_target(sink), ['{"severityNumber":9}', '{"severityNumber":17}'])

    _, path, headers, body = collector.requests[0]
    assert path == "/v1/logs"
    assert headers["content-type"] == "application/json"
    assert json.loads(body) == {
        "resourceLogs": [
            {
                "resource": {
                    "attributes": [
                        {"key": "service.name", "value": {"stringValue": "edge"}},
                        {"key": "deployment.environment.name", "value": {"stringValue": "prod"}},
                    ]
                },
                "scopeLogs": [
                    {
                        "scope": {"name": "gateway_plugin_logger"},
                        "logRecords": [{"severityNumber": 9}, {"severityNumber": 17}],
                    }
                ],
            }
        ]
    }


async def test_records_that_a_collector_refused_are_counted(collector: Collector) -> None:
    sink = OtlpSink.model_validate({"type": "otlp", "endpoint": collector.url})
    collector.answers = [
        web.json_response({"partialSuccess": {"rejectedLogRecords": "2", "errorMessage": "too old"}}),
        web.json_response({}),
    ]

    assert await deliver(http.otlp_target(sink), ["{}", "{}", "{}"], ["{}"]) == [Refusal(2, "too old")]
    assert collector.requests[0][1] == "/logs"


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("5", 5.0),
        ("Sun, 22 Nov 2026 23:20:31 GMT", 10.0),
        ("Sun, 22 Nov 2020 23:20:31 GMT", 0.0),
        ("soon", None),
        ("-1", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(value: str | None, seconds: float | None) -> None:
    assert http.retry_after(value, 1_795_389_621.0) == seconds


async def test_a_logger_sends_lines_and_records_until_it_is_stopped(
    collector: Collector, loggers: Any, make_event: Any
) -> None:
    logger = await loggers.start(
        {
            "sinks": [
                {"type": "http", "url": collector.url, "queue": {"delay": "1m"}},
                {"type": "otlp", "endpoint": collector.url + "/otlp", "queue": {"delay": "1m"}},
            ]
        }
    )

    for number in range(10):
        logger.gateway_log(*make_event(f"/{number}"))
    await loggers.stop(logger)

    bodies = {path: body for _, path, _, body in collector.requests}
    lines = [json.loads(line) for line in _plain(bodies["/logs"]).splitlines()]
    records = json.loads(_plain(bodies["/logs/otlp"]))["resourceLogs"][0]["scopeLogs"][0]["logRecords"]
    assert [line["path"] for line in lines] == [f"/{number}" for number in range(10)]
    assert [record["body"]["stringValue"] for record in records] == [f"GET /{number} 200" for number in range(10)]


async def test_a_collector_that_dies_and_comes_back_gets_everything_that_fits_the_queue(
    collector: Collector, loggers: Any, make_event: Any, eventually: Any
) -> None:
    port = collector.server.port
    queue = {"delay": 0, "max_lines": 100, "retries": {"initial_delay": "1ms", "max_delay": "5ms"}}
    logger = await loggers.start({"sinks": [{"type": "http", "url": collector.url, "compress": False, "queue": queue}]})
    label = f"http:127.0.0.1:{port}"

    logger.gateway_log(*make_event("/before"))
    await eventually(lambda: collector.requests)
    await collector.server.close()
    for number in range(150):
        logger.gateway_log(*make_event(f"/{number}"))
    await eventually(lambda: loggers.counted("retries", sink=label) > 2)
    revived = Collector(port)
    await revived.server.start_server()
    await loggers.stop(logger)
    await revived.server.close()

    lines = b"".join(body for _, _, _, body in revived.requests).splitlines()
    assert [json.loads(line)["path"] for line in lines] == [f"/{number}" for number in range(100)]
    assert loggers.counted("dropped", sink=label, reason="overflow") == 50
    assert loggers.counted("lines", sink=label) == 101


def _plain(body: bytes) -> bytes:
    return gzip.decompress(body) if body.startswith(b"\x1f\x8b") else body
