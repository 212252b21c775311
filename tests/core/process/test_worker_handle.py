from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator

import pytest
from gateway_core.clock import SystemClock
from gateway_core.config import ListenConfig
from gateway_core.metrics.samples import Samples
from gateway_core.process.channel import ChannelClosedError, parts
from gateway_core.process.socket_table import SocketTable
from gateway_core.process.sockets import url_of
from gateway_core.process.worker_handle import WorkerEndedError, WorkerHandle, WorkerRefusedError, WorkerServices
from gateway_core.reload.bundle import ConfigBundle

from tests.core.process.conftest import Canon, ask

LISTEN = [ListenConfig(address="127.0.0.1:0")]


@pytest.fixture
async def table() -> AsyncIterator[SocketTable]:
    table = SocketTable()
    table.bind(LISTEN)
    yield table
    table.keep_only(())


@pytest.fixture
async def worker(table: SocketTable) -> AsyncIterator[WorkerHandle]:
    worker = await WorkerHandle.start(3, table.descriptors(), WorkerServices(SystemClock()))
    yield worker
    await worker.child.end()


def config(upstream: str, more: str = "") -> str:
    return f"listen: 127.0.0.1:0\nroutes: [{{id: it, path: /a, target: '{upstream}'}}]\n{more}"


async def test_serves_after_prepare_and_commit_and_ends_when_told(
    worker: WorkerHandle, table: SocketTable, canon: Canon, upstream: str
) -> None:
    url = url_of(table["127.0.0.1:0"], "http")
    bundle = canon(config(upstream))

    await worker.prepare(bundle)
    changes = await worker.commit(bundle.version)

    assert "routes added: " in changes
    assert worker.version == bundle.version
    assert await ask(url, "/a") == (200, "up GET /a HTTP/1.1")
    assert (await worker.ask("status"))["status"]["version"] == bundle.version
    assert "gateway_requests" in Samples.load((await worker.ask("metrics")).body).series
    await worker.drain(5)
    assert worker.child.exit_status == 0


async def test_says_why_it_refuses_and_goes_on(worker: WorkerHandle, canon: Canon, upstream: str) -> None:
    broken = "upstreams: [{name: u, endpoints: [{url: 'https://127.0.0.1:1'}], tls: {ca: /nowhere}}]\n"

    with pytest.raises(WorkerRefusedError) as refused:
        await worker.prepare(canon(config(upstream, broken)))
    assert [problem.key_path for problem in refused.value.problems] == ["upstreams[0].tls.ca"]
    with pytest.raises(WorkerRefusedError, match="worker 3"):
        await worker.prepare(ConfigBundle("v", (b'{"format": 99}',)))

    good = canon(config(upstream))
    await worker.prepare(good)
    await worker.discard()
    await worker.prepare(good)
    await worker.commit(good.version)


async def test_a_killed_worker_is_noticed(worker: WorkerHandle, canon: Canon, upstream: str) -> None:
    worker.child.kill()
    await worker.child.gone.wait()

    assert worker.child.exit_status == -9
    with pytest.raises(WorkerRefusedError, match="ended while it prepared"):
        await worker.prepare(canon(config(upstream)))
    with pytest.raises(ChannelClosedError):
        await worker.ask("status")


@pytest.mark.parametrize("size", [1, 4 << 20], ids=["small", "more than it is sent at once"])
async def test_a_worker_that_does_not_respond_holds_no_configuration_up_and_is_ended(
    worker: WorkerHandle, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr("gateway_core.process.worker_handle._RESPONSE_TIMEOUT", 0.5)
    os.kill(worker.child.pid, signal.SIGSTOP)

    with pytest.raises(WorkerEndedError, match="it does not respond, and is replaced"):
        await worker.prepare(ConfigBundle("v", (b"x" * size,)), timeout=0.5)

    await asyncio.wait_for(worker.child.gone.wait(), 30)


async def test_a_worker_that_reads_nothing_is_ended_in_time(worker: WorkerHandle) -> None:
    os.kill(worker.child.pid, signal.SIGSTOP)
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(worker.child.channel.send("part", body=b"x" * (4 << 20)), 0.1)

    await asyncio.wait_for(worker.drain(0), 30)

    assert worker.child.exit_status == -signal.SIGKILL


async def test_only_a_worker_that_is_there_and_reads_is_handed_over(
    worker: WorkerHandle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway_core.process.worker_handle._RESPONSE_TIMEOUT", 0.5)
    os.kill(worker.child.pid, signal.SIGSTOP)
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(worker.child.channel.send("part", body=b"x" * (4 << 20)), 0.1)

    assert await worker.leave() is None

    await asyncio.wait_for(worker.child.gone.wait(), 30)
    assert await worker.leave() is None


def test_lines_are_packed_into_pieces_that_keep_their_order() -> None:
    lines = [b"%d" % number * 1000 for number in range(300)]

    packed = parts(lines)

    assert b"\n".join(packed).split(b"\n") == lines
    assert 1 < len(packed) < 30
