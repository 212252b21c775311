"""A collector that is slow, full, broken or away: requests are untouched, memory is bounded, each span is counted."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Final

import pytest
from aiohttp import web
from gateway_core.clock import SystemClock
from gateway_core.testing import RunningGateway, ScriptedUpstream, eventually

from tests.collector import Collector
from tests.integration.wire import Wire
from tests.protocols.running import spoken_to_in_turn

ROOM: Final = 200
"""Spans that may wait."""


class Rude:
    """Accepts connections; sends what is no response, or nothing."""

    def __init__(self, reply: bytes | None) -> None:
        self._reply = reply
        self._kept: list[socket.socket] = []
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.asked = threading.Event()
        threading.Thread(target=self._serve, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listening.getsockname()[1]}"

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
                self._kept.append(connection)
                connection.recv(10)
                self.asked.set()
                if self._reply is not None:
                    connection.sendall(self._reply)
                    connection.close()
            except OSError:
                return

    def close(self) -> None:
        self._listening.close()
        for each in self._kept:
            each.close()


def config(collector: str, upstream: str, timeout: str = "10s") -> str:
    return f"""
tracing:
  otlp: {{url: "{collector}", timeout: {timeout}}}
  queue: {{delay: 10ms, max_spans: {ROOM}, batch_spans: 50}}
routes: [{{id: all, path_prefix: /, target: "{upstream}"}}]
"""


@contextmanager
def before(text: str) -> Iterator[RunningGateway]:
    with RunningGateway(text) as running, spoken_to_in_turn(running) as gateway:
        yield gateway


def value(gateway: RunningGateway, name: str) -> int:
    """Return the sum of a family's samples."""
    lines = re.findall(rf"^gateway_trace_{name}(?:_total)?(?:{{[^}}]*}})? ([\d.e+]+)$", gateway.metrics(), re.MULTILINE)
    return sum(int(float(each)) for each in lines)


def settled(gateway: RunningGateway) -> int:
    """Return the spans that were taken, lost, or wait; no more wait than there is room for."""
    waiting = value(gateway, "spans_waiting")
    assert waiting <= ROOM
    return value(gateway, "spans_exported") + value(gateway, "spans_lost") + waiting


def send(gateway: RunningGateway, count: int) -> None:
    """Send requests over two connections, of which one speaks HTTP/2; each gets its 200."""
    first = min(count // 2, 50)  # of many requests most go the way that costs the test less
    for numbers in (range(first), range(first, count)):
        with Wire.to(gateway) as wire:
            for number in numbers:
                assert wire.ask(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % number).status == 200


@pytest.fixture
def upstream() -> Iterator[ScriptedUpstream]:
    with ScriptedUpstream() as found:
        yield found


@pytest.mark.parametrize(
    "reply",
    [
        None,
        b"",
        b"garbage\x00\xff\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nnot all of it",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 10_000,
    ],
)
def test_a_collector_that_does_not_speak_http_costs_spans_and_no_request(
    upstream: ScriptedUpstream, reply: bytes | None
) -> None:
    rude = Rude(reply)
    try:
        with before(config(rude.url, upstream.url, "100ms")) as gateway:
            send(gateway, 100)
            assert rude.asked.wait(30)
            send(gateway, 100)

            eventually(lambda: value(gateway, "export_failures"))
            eventually(lambda: settled(gateway) == 400)
            assert value(gateway, "spans_exported") == 0
            assert value(gateway, "spans_lost") >= 400 - ROOM
    finally:
        rude.close()


def test_a_large_response_is_not_kept(upstream: ScriptedUpstream, collector: Collector) -> None:
    collector.replies.append(lambda: web.Response(body=b"\xff" * (4 << 20), content_type="application/json"))
    with before(config(collector.url, upstream.url)) as gateway:
        send(gateway, 10)

        eventually(lambda: value(gateway, "spans_exported") == 20)


def soon() -> str:
    return format_datetime(datetime.fromtimestamp(SystemClock().wall() + 1, UTC), usegmt=True)


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("retry_after", [lambda: "1", soon, lambda: "soon", lambda: "-1"])
def test_what_a_collector_takes_later_is_sent_again_when_it_says(
    upstream: ScriptedUpstream, collector: Collector, status: int, retry_after: Callable[[], str]
) -> None:
    def reply() -> web.Response:
        return web.Response(status=status, headers={"Retry-After": retry_after()})

    collector.replies += [reply, reply]
    with before(config(collector.url, upstream.url)) as gateway:
        send(gateway, 20)

        found = collector.wait_for(40)
        assert value(gateway, "export_failures") == 2
        eventually(lambda: settled(gateway) == 40)
    assert len({each.span_id for each in found}) == 40


def test_a_shutdown_waits_for_no_retry_after(upstream: ScriptedUpstream, collector: Collector) -> None:
    collector.replies.append(lambda: web.Response(status=503, headers={"Retry-After": "100"}))
    with before(config(collector.url, upstream.url)) as gateway:
        send(gateway, 20)
        eventually(lambda: value(gateway, "export_failures"))

    assert len(collector.spans) == 40


def test_a_reload_that_changes_tracing_loses_nothing(upstream: ScriptedUpstream, collector: Collector) -> None:
    collector.replies.append(lambda: web.Response(status=503, headers={"Retry-After": "100"}))
    text = config(collector.url, upstream.url)
    with before(text) as gateway:
        send(gateway, 10)
        eventually(lambda: value(gateway, "export_failures"))
        gateway.reload(text.replace("tracing:\n", "tracing:\n  sample: 0\n  service_name: second\n"))
        send(gateway, 10)
        gateway.reload(text[text.index("routes:") :])
        send(gateway, 10)
        gateway.reload(text.replace("tracing:\n", "tracing:\n  service_name: fourth\n"))
        send(gateway, 10)
        collector.wait_for(40)

    names = [str(each.resource["service.name"]) for each in collector.spans]
    assert sorted(names) == ["fourth"] * 20 + ["gateway"] * 20


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_ten_thousand_requests_pass_while_the_collector_dies_and_comes_back(
    upstream: ScriptedUpstream, collector: Collector
) -> None:
    with before(config(collector.url, upstream.url)) as gateway:
        sending = [threading.Thread(target=send, args=(gateway, 2500)) for _ in range(4)]
        finished = _run(sending)
        collector.wait_for(2000)
        collector.stop()
        eventually(lambda: value(gateway, "spans_lost") > 500)
        collector.start()
        finished()

        assert len(upstream.requests) == 10_000
        eventually(lambda: value(gateway, "spans_waiting") == 0)
        eventually(lambda: settled(gateway) == 20_000)
        assert value(gateway, "spans_lost") > 0
        # What a collector took and could not confirm any more is sent once more, or counted as lost.
        assert value(gateway, "spans_exported") <= len({each.span_id for each in collector.spans}) < 20_000


def _run(threads: list[threading.Thread]) -> Callable[[], None]:
    """Start threads whose failures are raised where they are waited for."""
    failures: list[BaseException] = []
    hook, threading.excepthook = threading.excepthook, lambda given: failures.append(given.exc_value or Exception())
    for each in threads:
        each.start()

    def finished() -> None:
        for each in threads:
            each.join()
        threading.excepthook = hook
        assert failures == []

    return finished
