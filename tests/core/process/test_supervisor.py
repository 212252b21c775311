from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator

import pytest
from gateway_core.config import ConfigError, GatewayConfig
from gateway_core.metrics.catalogue import REQUESTS
from gateway_core.process import process_metrics
from gateway_core.process.machine import available_cpus
from gateway_core.process.supervisor import Supervisor, count_of
from gateway_core.tasks import spawn

from tests.core.process.conftest import Canon, ask, put_in_force


def config(upstream: str, path: str = "/a", workers: int = 2, more: str = "", listen: str = "127.0.0.1:0") -> str:
    return (
        f"listen: {listen}\nworkers: {workers}\nshutdown_timeout: 5s\n"
        f"routes: [{{id: it, path: {path}, target: '{upstream}'}}]\n{more}"
    )


BROKEN = "upstreams: [{name: u, endpoints: [{url: 'https://127.0.0.1:1'}], tls: {ca: /nowhere}}]\n"


@pytest.fixture
async def supervisor() -> AsyncIterator[Supervisor]:
    supervisor = Supervisor()
    yield supervisor
    await supervisor.stop(1)


async def versions(supervisor: Supervisor) -> dict[int, str]:
    status = await supervisor.status()
    return {worker["pid"]: worker["version"] for worker in status["workers"]}


async def test_a_refusal_of_one_keeps_the_old_configuration_in_all(
    supervisor: Supervisor, canon: Canon, upstream: str
) -> None:
    first = canon(config(upstream))
    await put_in_force(supervisor, first)
    before = await versions(supervisor)
    assert list(before.values()) == [first.version] * 2

    with pytest.raises(ConfigError, match=r"upstreams\[0\].tls"):
        await put_in_force(supervisor, canon(config(upstream, "/b", more=BROKEN)))

    assert await versions(supervisor) == before
    changes = await put_in_force(supervisor, canon(config(upstream, "/b")))
    assert changes.endswith("; 2 workers")
    assert (await versions(supervisor)).keys() == before.keys()
    assert await ask(supervisor.urls()[0], "/b") == (200, "up GET /b HTTP/1.1")


async def test_a_replacement_that_is_refused_keeps_the_old_workers_and_listeners(
    supervisor: Supervisor, canon: Canon, upstream: str
) -> None:
    await put_in_force(supervisor, canon(config(upstream)))
    before = await versions(supervisor)

    with pytest.raises(ConfigError):
        await put_in_force(
            supervisor, canon(config(upstream, workers=1, more=BROKEN, listen="['127.0.0.1:0', '[::1]:0']"))
        )

    assert await versions(supervisor) == before
    assert len(supervisor.urls()) == 1
    assert (await ask(supervisor.urls()[0], "/a"))[0] == 200


async def test_a_listener_that_a_refused_configuration_gives_up_stays(
    supervisor: Supervisor, canon: Canon, upstream: str
) -> None:
    await put_in_force(supervisor, canon(config(upstream, listen="['127.0.0.1:0', '[::1]:0']")))
    before, urls = await versions(supervisor), supervisor.urls()

    with pytest.raises(ConfigError, match=r"upstreams\[0\].tls"):
        await put_in_force(supervisor, canon(config(upstream, "/b", more=BROKEN)))

    assert await versions(supervisor) == before
    assert supervisor.urls() == urls
    assert [(await ask(url, "/a"))[0] for url in urls] == [200, 200]


async def test_a_new_listener_is_served_by_new_workers(supervisor: Supervisor, canon: Canon, upstream: str) -> None:
    await put_in_force(supervisor, canon(config(upstream)))
    before = await versions(supervisor)

    changes = await put_in_force(supervisor, canon(config(upstream, listen="['127.0.0.1:0', '[::1]:0']")))

    assert "since there is a new listener" in changes
    assert not before.keys() & (await versions(supervisor)).keys()
    for url in supervisor.urls():
        assert (await ask(url, "/a"))[0] == 200


async def test_a_configuration_that_cannot_be_started_does_not_start(
    supervisor: Supervisor, canon: Canon, upstream: str
) -> None:
    with pytest.raises(ConfigError):
        await put_in_force(supervisor, canon(config(upstream, more=BROKEN)))


async def test_plugins_that_changed_get_new_workers(supervisor: Supervisor, canon: Canon, upstream: str) -> None:
    from dataclasses import replace

    limited = "plugins: [{name: ratelimit, config: {rate: 100, burst: 100}}]\n"
    first = replace(canon(config(upstream, workers=1, more=limited)), plugins={"ratelimit": "1"})
    await put_in_force(supervisor, first)
    before = await versions(supervisor)

    changes = await put_in_force(supervisor, replace(first, plugins={"ratelimit": "2"}))

    assert "since ratelimit is 2 now" in changes
    assert not before.keys() & (await versions(supervisor)).keys()
    async with asyncio.timeout(30):
        while not sum((await supervisor.samples()).series[REQUESTS.name].values.values()):  # type: ignore[arg-type]
            await ask(supervisor.urls()[0], "/a")


async def test_an_edit_is_in_force_although_a_worker_that_ended_is_not_replaced_yet(
    supervisor: Supervisor, canon: Canon, upstream: str
) -> None:
    await put_in_force(supervisor, canon(config(upstream)))
    async with supervisor._pool.changing:  # its successor waits until this is free
        editing = spawn(put_in_force(supervisor, canon(config(upstream, "/b"))), name="edit")
        await end_one(supervisor)

    assert (await editing).endswith("; 2 workers")
    assert await ask(supervisor.urls()[0], "/b") == (200, "up GET /b HTTP/1.1")


async def test_a_worker_that_ended_and_is_not_replaced_yet_is_not_handed_over(
    supervisor: Supervisor, canon: Canon, upstream: str
) -> None:
    bundle = canon(config(upstream))
    await put_in_force(supervisor, bundle)
    async with supervisor._pool.changing:
        restarting = spawn(supervisor.restart(bundle), name="restart")
        await end_one(supervisor)

    left = await restarting

    assert len(left.workers) == 1
    os.kill(left.workers[0].pid, signal.SIGKILL)
    for number in (left.workers[0].channel, *left.listeners.values()):
        os.close(number)


async def end_one(supervisor: Supervisor) -> None:
    worker = next(iter(supervisor._pool))
    os.kill(worker.child.pid, signal.SIGKILL)
    await asyncio.wait_for(worker.child.gone.wait(), 30)


def test_zero_workers_is_one_for_each_cpu() -> None:
    assert count_of(GatewayConfig(workers=0)) == available_cpus() >= 1
    assert count_of(GatewayConfig(workers=3)) == 3


async def test_metrics_show_how_late_the_supervisors_own_loop_is(
    supervisor: Supervisor, canon: Canon, upstream: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process_metrics, "LAG_EVERY", 0.01)
    await put_in_force(supervisor, canon(config(upstream)))

    async with asyncio.timeout(30):
        while (await supervisor.samples()).value("gateway_event_loop_lag_seconds", "supervisor") is None:
            pass
