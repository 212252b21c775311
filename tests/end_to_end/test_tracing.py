"""Traces of a gateway with two workers: both export, and what waits is sent however the processes end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
from collections.abc import Callable

import pytest

from tests.collector import Collector
from tests.end_to_end.kit import PATIENCE, Gateway, Upstream, eventually, get, get_over_both

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

Start = Callable[..., Gateway]


def config(collector: Collector, upstream: Upstream, tracing: str = "queue: {delay: 10ms}", workers: int = 2) -> str:
    return f"""
listen: 127.0.0.1:0
workers: {workers}
shutdown_timeout: 2s
tracing: {{otlp: {{url: "{collector.url}"}}, {tracing}}}
routes: [{{id: all, path_prefix: /, target: "{upstream.url}"}}]
"""


async def has(condition: Callable[[], bool]) -> None:
    """Wait for what other processes do."""
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - it knows no event
            await asyncio.sleep(0.02)


def instances(collector: Collector) -> set[str]:
    return {str(each.resource["service.instance.id"]) for each in collector.servers()}


async def test_each_worker_exports_and_so_does_one_that_replaces_a_killed_one(
    start: Start, upstream: Upstream, collector: Collector
) -> None:
    gateway = start(config(collector, upstream))
    url = await gateway.ready()

    async def until_workers(count: int) -> None:
        async with asyncio.timeout(PATIENCE):
            while len(instances(collector)) < count:
                with contextlib.suppress(OSError, EOFError):  # the one that is killed has some
                    await get(url, "/x")

    await until_workers(2)
    os.kill(int(instances(collector).pop().rpartition(":")[2]), signal.SIGKILL)
    await eventually(url, "/x", "HTTP/1.1")
    await until_workers(3)
    await gateway.stops()

    ids = [each.span_id for each in collector.spans]
    assert len(ids) == len(set(ids))
    assert len({each.trace_id for each in collector.servers()}) == len(collector.servers())


async def test_spans_that_wait_are_sent_when_the_gateway_stops(
    start: Start, upstream: Upstream, collector: Collector
) -> None:
    gateway = start(config(collector, upstream, "queue: {delay: 1h}"))
    url = await gateway.ready()
    for _ in range(10):
        await get(url, "/x")

    assert collector.spans == []
    await gateway.stops()

    assert len(collector.spans) == 20


async def test_a_collector_that_never_responds_does_not_hold_up_the_end(
    start: Start, upstream: Upstream, collector: Collector
) -> None:
    released = asyncio.Event()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await released.wait()
        writer.close()

    silent = await asyncio.start_server(accept, "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    text = config(collector, upstream).replace(collector.url, f"http://127.0.0.1:{port}")
    gateway = start(text.replace("otlp: {", "otlp: {timeout: 1h, "))
    url = await gateway.ready()
    await get_over_both(url, "/x")

    await gateway.stops()
    released.set()
    silent.close()

    lost = re.findall(r"the collector did not take them before the end; (\d+) spans are lost", gateway.text)
    assert sum(map(int, lost)) == 4  # of two requests, by one worker or two


async def test_a_reload_changes_what_is_traced_in_all_workers(
    start: Start, upstream: Upstream, collector: Collector
) -> None:
    gateway = start(config(collector, upstream, "queue: {delay: 10ms}, sample: 0"))
    url = await gateway.ready()
    for _ in range(10):
        await get(url, "/quiet")
    await gateway.rewrites(config(collector, upstream, "queue: {delay: 10ms}, sample: 1"))
    for _ in range(10):
        await get(url, "/seen")
    await has(lambda: len(collector.servers()) == 10)
    await gateway.rewrites(config(collector, upstream).replace("tracing:", "x-tracing:"))
    for _ in range(10):
        await get(url, "/quiet")
    await gateway.stops()

    assert {each.attributes["url.path"] for each in collector.servers()} == {"/seen"}
    assert len(collector.servers()) == 10
