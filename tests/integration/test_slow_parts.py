"""A trace as a person reads it who looks for the slow part of a request."""

from __future__ import annotations

import socket
from itertools import pairwise

import pytest
from gateway_core.clock import SystemClock
from gateway_core.testing import RunningGateway, ScriptedUpstream, eventually

from tests.collector import Collector
from tests.integration.test_tracing import pair, traced
from tests.protocols.fixtures import SpokenTo

pytestmark = pytest.mark.http1_upstream


def test_a_trace_shows_a_person_where_its_time_went(collector: Collector, spoken_to: SpokenTo) -> None:
    """A retry after a failure, and a slow second attempt: each has a span with its part of the time and its reason."""
    with ScriptedUpstream() as upstream:
        upstream.answer_next(status=503)
        upstream.answer_next(delay=0.2)
        more = ", retries: {attempts: 1, on: [503], backoff_base: 1ms}"
        with spoken_to(RunningGateway(traced(collector, upstream.url, more=more))) as gateway:
            gateway.get("/orders")
            eventually(lambda: len(collector.spans) == 3)

    server, first, second = sorted(collector.spans, key=lambda each: (each.kind != "server", each.started))
    assert server.started <= first.started <= first.ended <= second.started <= second.ended <= server.ended
    assert "gateway.connected" in first.events, "the time before it is that of the connection"
    assert first.attributes["error.type"] == "503"
    assert second.attributes["http.request.resend_count"] == 1
    assert (
        second.events["gateway.response_head"] - second.started >= 190_000_000
    )  # what the upstream waited, less a clock's coarseness
    assert {each.attributes["gateway.upstream"] for each in (first, second)} == {"up"}


class Stepwise:
    """An upstream of one connection at a time, whose test does each step."""

    def __init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"

    def accept(self) -> socket.socket:
        connection, _ = self._listening.accept()
        return connection

    def close(self) -> None:
        self._listening.close()


def _read_until(connection: socket.socket, end: bytes) -> None:
    seen = b""
    while not seen.endswith(end):
        seen += connection.recv(1000)


def test_a_trace_tells_a_slow_client_from_a_slow_upstream_and_a_slow_head_from_a_slow_body(
    collector: Collector,
    spoken_to: SpokenTo,
) -> None:
    clock, upstream = SystemClock(), Stepwise()
    try:
        with (
            spoken_to(RunningGateway(traced(collector, upstream.url))) as gateway,
            socket.create_connection(("127.0.0.1", gateway.port)) as client,
        ):
            client.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nfirst")
            sent = upstream.accept()
            _read_until(sent, b"first")
            uploading = clock.wall()
            client.sendall(b"later")
            _read_until(sent, b"later")
            responding = clock.wall()
            sent.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst")
            _read_until(client, b"first")
            downloading = clock.wall()
            sent.sendall(b"later")
            _read_until(client, b"later")
            server, attempt = pair(collector.wait_for(2))
            sent.close()
    finally:
        upstream.close()

    moments = [
        attempt.started, attempt.events["gateway.connected"], uploading, server.events["gateway.request_body"],
        responding, attempt.events["gateway.response_head"], downloading, attempt.ended,
    ]  # fmt: skip
    seconds = [each / 1e9 if isinstance(each, int) else each for each in moments]
    # What is in different clocks may differ by what they are read apart.
    assert all(before <= after + 0.001 for before, after in pairwise(seconds)), seconds


def test_a_request_that_waits_for_a_connection_has_a_span_of_that_before_its_attempt(
    collector: Collector, spoken_to: SpokenTo
) -> None:
    upstream = Stepwise()
    config = traced(collector, upstream.url).replace(
        "endpoints:", "limits: {max_connections: 1, pending_timeout: 60s}, endpoints:"
    )
    response = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    try:
        with (
            spoken_to(RunningGateway(config)) as gateway,
            socket.create_connection(("127.0.0.1", gateway.port)) as first,
            socket.create_connection(("127.0.0.1", gateway.port)) as second,
        ):
            first.sendall(b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\n")
            sent = upstream.accept()
            _read_until(sent, b"\r\n\r\n")
            second.sendall(b"GET /2 HTTP/1.1\r\nHost: a\r\n\r\n")
            eventually(lambda: 'gateway_upstream_requests_pending{upstream="up"} 1' in gateway.metrics())
            sent.sendall(response)
            _read_until(sent, b"\r\n\r\n")
            sent.sendall(response)
            _read_until(second, b"ok")
            spans = collector.wait_for(5)
            sent.close()
    finally:
        upstream.close()

    (wait,) = [each for each in spans if each.kind == "internal"]
    (server,) = [each for each in spans if each.span_id == wait.parent_id]
    (attempt,) = [each for each in spans if each.parent_id == server.span_id and each.kind == "client"]
    assert (wait.name, server.attributes["url.path"]) == ("queue up", "/2")
    assert server.started <= wait.started <= wait.ended == attempt.started
