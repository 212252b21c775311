"""Plugins that are installed, upgraded and removed while the gateway serves."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.end_to_end.environment import PLUGIN, Environment
from tests.end_to_end.kit import Gateway, Upstream, children_of, eventually, get, get_json, get_over_both
from tests.end_to_end.load import clients

Start = Callable[..., Gateway]

EXTENSION = """
import asyncio
from gateway_plugin_sdk import Discovered, EndpointSpec, hookimpl

class Found:
    def __init__(self, config, context):
        pass

    async def watch(self):
        yield Discovered((EndpointSpec.from_url("%s"),))
        await asyncio.Event().wait()

class Extension:
    @hookimpl
    def gateway_discovery(self):
        return {"tiny": Found}

Tiny = Extension()
"""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def config(upstream: Upstream, workers: int, binding: str = "{name: tiny}") -> str:
    return (
        f"listen: 127.0.0.1:0\nworkers: {workers}\n"
        f"routes:\n  - {{id: plain, path: /plain, target: '{upstream.url}'}}\n"
        f"  - {{id: load, path: /load, target: '{upstream.url}', plugins: [{binding}]}}\n"
    )


@pytest.mark.parametrize("workers", [1, 2])
async def test_a_plugin_installed_while_running_is_used_without_a_restart(
    start: Start, upstream: Upstream, environment: Environment, workers: int
) -> None:
    gateway = start(config(upstream, workers, ""), inside=environment.folder)
    url = await gateway.ready()
    await gateway.rewrites(config(upstream, workers), 'no plugin "tiny" is installed')
    after = len(gateway.lines)

    # Nothing is edited any more: it is the refused configuration that is tried again.
    environment.install("1.0")

    await gateway.says(r"plugin tiny installed: configuration in force: .*routes changed: ", after=after)
    assert await get_over_both(url, "/load") == (200, "tiny 1.0")
    assert not [line for line in gateway.lines if "replaced" in line or "restart" in line]
    await gateway.stops()


@pytest.mark.parametrize("workers", [1, 2])
async def test_an_upgrade_under_load_loses_no_answer(
    start: Start, upstream: Upstream, environment: Environment, workers: int
) -> None:
    environment.install("1.0")
    gateway = start(config(upstream, workers), inside=environment.folder)
    url = await gateway.ready()

    async with clients(url) as load:
        await load.answered_more(20)
        await asyncio.to_thread(environment.pip_install, "2.0")
        await eventually(url, "/load", "tiny 2.0")
        await load.answered_more(20)

    assert load.lost == []
    assert gateway.process.poll() is None
    await gateway.stops()


async def test_a_signal_to_stop_while_a_worker_takes_over_lets_the_requests_of_both_finish(
    start: Start, upstream: Upstream, second_upstream: Upstream, environment: Environment
) -> None:
    environment.install("1.0")
    routes = config(upstream, 1) + f"  - {{id: other, path: /other, target: '{second_upstream.url}'}}\n"
    gateway = start(routes, inside=environment.folder)
    url = await gateway.ready()
    async with asyncio.TaskGroup() as tasks:
        before = tasks.create_task(get(url, "/plain?at=/slow/before"))
        await upstream.waiting.wait()
        environment.install("2.0")
        await eventually(url, "/load", "tiny 2.0")
        after = tasks.create_task(get(url, "/other?at=/slow/after"))
        await second_upstream.waiting.wait()

        gateway.signal(signal.SIGTERM)
        await gateway.says("stopping, requests may take 30 s to finish")
        upstream.go.set()
        assert (await before)[0] == 200
        end = tasks.create_task(gateway.ends())
        assert not (await asyncio.wait({end}, timeout=1))[0]
        second_upstream.go.set()

        assert (await after)[0] == 200
        assert await end == 0


@pytest.mark.parametrize("workers", [1, 2])
async def test_other_code_of_the_same_version_is_taken_over_as_well(
    start: Start, upstream: Upstream, environment: Environment, workers: int
) -> None:
    environment.install("1.0")
    gateway = start(config(upstream, workers), inside=environment.folder)
    url = await gateway.ready()

    async with clients(url) as load:
        await load.answered_more(20)
        taken = r"plugin tiny changed: configuration in force: .*tiny.* 1\.0 \(|new program has taken over"
        after = len(gateway.lines)
        environment.install("1.0", code=PLUGIN % ("pass", "1.0 once more"))
        await gateway.says(taken, after=after)
        await eventually(url, "/load", "tiny 1.0 once more")

        # An editable one: nothing is installed when its source is saved, so it takes a signal.
        after = len(gateway.lines)
        source = environment.make_editable(PLUGIN % ("pass", "in place"))
        # By all workers: one that starts after the next edit takes that one over by itself.
        await gateway.says(taken, after=after)
        await eventually(url, "/load", "tiny in place")
        source.write_text(PLUGIN % ("pass", "edited"))
        after = len(gateway.lines)
        gateway.signal(signal.SIGHUP)
        await gateway.says(r"SIGHUP: .*tiny.* 1\.0 \(", after=after)
        await eventually(url, "/load", "tiny edited")
        await load.answered_more(20)

    assert load.lost == []
    await gateway.stops()


async def test_an_extension_is_upgraded_like_a_plugin(
    start: Start, upstream: Upstream, second_upstream: Upstream, environment: Environment
) -> None:
    environment.install("1.0", code=EXTENSION % upstream.url)
    text = (
        "listen: 127.0.0.1:0\nworkers: 2\nupstreams:\n  - {name: found, discovery: {name: tiny}}\n"
        "routes:\n  - {id: load, path: /load, target: found}\n"
    )
    gateway = start(text, inside=environment.folder)
    url = await gateway.ready()
    await eventually(url, "/load", "one GET")

    async with clients(url) as load:
        await load.answered_more(20)
        environment.install("2.0", code=EXTENSION % second_upstream.url)
        line = await gateway.says("plugin tiny changed: configuration in force")
        await eventually(url, "/load", "two GET")
        await load.answered_more(20)

    assert "2 workers replaced one by one, since tiny is 2.0 (" in line
    assert load.lost == []
    await gateway.stops()


@pytest.mark.parametrize("workers", [1, 2])
async def test_what_is_broken_or_gone_leaves_the_old_code_serving(
    start: Start, upstream: Upstream, environment: Environment, workers: int
) -> None:
    environment.install("1.0")
    gateway = start(config(upstream, workers), inside=environment.folder)
    url = await gateway.ready()

    async with clients(url, 2) as load:
        changes: list[tuple[Callable[[], None], str]] = [
            (lambda: environment.install("2.0", code="import nothing_of_that_name\n"), '"tiny".*nothing_of_that_name'),
            (lambda: environment.install("3.0", start="raise RuntimeError('no luck')"), "no luck"),
            (environment.uninstall, 'no plugin "tiny" is installed'),
        ]
        for change, told in changes:
            after = len(gateway.lines)
            change()
            await gateway.says(told, after=after)
            assert await get(url, "/load") == (200, "tiny 1.0")
        await load.answered_more(20)
        environment.install("4.0")
        await eventually(url, "/load", "tiny 4.0")

    assert load.lost == []
    await gateway.stops()


async def test_a_successor_that_cannot_start_leaves_every_worker_as_it_was(
    start: Start, upstream: Upstream, environment: Environment, tmp_path: Path
) -> None:
    environment.install("1.0")
    gateway = start(config(upstream, 3), inside=environment.folder)
    url = await gateway.ready()
    workers = children_of(gateway.process.pid)[-3:]
    starts = tmp_path / "starts"
    starts.mkdir()
    count = f"import os, uuid; open({str(starts)!r} + '/' + uuid.uuid4().hex, 'w').close()"
    (full := tmp_path / "full").touch()
    fails = (
        f"assert len(os.listdir({str(starts)!r})) < 2 or not os.path.exists({str(full)!r}), 'no space left on device'"
    )

    environment.install("2.0", start=f"{count}; {fails}")
    await gateway.says("old one stays in force|configuration rejected.*old one stays")

    assert "no space left" in "\n".join(gateway.lines)
    assert {await get(url, "/load") for _ in range(12)} == {(200, "tiny 1.0")}
    for pid in workers:
        os.kill(pid, 0)  # it is still there
    full.unlink()
    after = len(gateway.lines)
    gateway.signal(signal.SIGHUP)
    await gateway.says("configuration in force: .*3 workers replaced one by one", after=after)
    assert {await get(url, "/load") for _ in range(12)} == {(200, "tiny 2.0")}
    await gateway.stops()


@pytest.mark.parametrize("workers", [1, 2])
async def test_a_plugin_that_needs_an_upgraded_library_is_served_by_fresh_processes(
    start: Start, upstream: Upstream, environment: Environment, workers: int
) -> None:
    (environment.site / "its_library.py").write_text("version = 1\n")
    environment.install("1.0", code=f"import its_library\n{PLUGIN % ('pass', '1.0')}")
    gateway = start(config(upstream, workers), inside=environment.folder)
    url = await gateway.ready()

    (environment.site / "its_library.py").write_text("version = 'as new'\n")
    (environment.site / "other.py").write_text(
        f"import its_library\nits_library.version.upper()\n{PLUGIN % ('pass', '1.0')}".replace("tiny", "other")
    )
    metadata = environment.site / "other-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: other\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[gateway.plugins]\nother = other:Tiny\n")
    gateway.config.write_text(config(upstream, workers, "{name: other}"))

    await eventually(url, "/load", "other 1.0")
    await gateway.stops()


async def test_code_that_was_loaded_once_does_not_come_back_after_an_upgrade(
    start: Start, upstream: Upstream, environment: Environment
) -> None:
    environment.install("1.0")
    gateway = start(config(upstream, 2), inside=environment.folder)
    url = await gateway.ready()
    await gateway.rewrites(config(upstream, 2, ""))
    environment.install("2.0")
    await gateway.says("plugin tiny changed: configuration in force")

    line = await gateway.rewrites(config(upstream, 2), r"gateway.yaml changed: configuration in force")

    assert "replaced one by one" in line
    assert await get_over_both(url, "/load") == (200, "tiny 2.0")
    await gateway.stops()


async def test_with_a_lock_only_locked_plugins_come_in(
    start: Start, upstream: Upstream, environment: Environment, tmp_path: Path
) -> None:
    lock = tmp_path / "plugins.lock"
    assert environment.gateway("plugins", "lock", "--file", lock).returncode == 0
    gateway = start(config(upstream, 1, ""), f"--locked={lock}", inside=environment.folder)
    url = await gateway.ready()
    environment.install("1.0")
    await gateway.says("tiny: gateway-plugin-tiny 1.0 is installed and not locked")

    await gateway.rewrites(config(upstream, 1), "tiny: gateway-plugin-tiny 1.0 is installed and not locked")
    assert (await get(url, "/load"))[1].startswith("one ")

    # The lock file is watched like the configuration.
    assert environment.gateway("plugins", "lock", "--file", lock).returncode == 0
    await eventually(url, "/load", "tiny 1.0")
    await gateway.stops()


async def test_the_admin_listener_shows_plugins_with_their_states_and_times(
    start: Start, upstream: Upstream, environment: Environment, tmp_path: Path
) -> None:
    environment.install("1.0")
    admin = f"unix:{tmp_path}/admin.sock"
    more = f"admin: {{listen: '{admin}'}}\nserver_timing: true\n"
    binding = "{name: tiny, id: it, quarantine: {failures: 2}}"
    gateway = start(more + config(upstream, 2, binding), inside=environment.folder)
    url = await gateway.ready()
    for _ in range(10):
        await get(url, "/load")

    workers = (await get_json(admin, "/plugins"))["workers"]

    assert [worker["number"] for worker in workers] == [0, 1]
    for worker in workers:
        (tiny,) = [each for each in worker["installed"] if each["name"] == "tiny"]
        assert (tiny["version"], tiny["state"], tiny["distribution"]) == ("1.0", "loaded", "gateway-plugin-tiny")
        (bound,) = worker["bindings"]
        assert (bound["id"], bound["route"], bound["quarantine"]) == ("it", "load", "closed")
        assert "gateway.yaml:7:" in bound["place"]
    times = [each for worker in workers for each in worker["times"]]
    assert {(each["binding"], each["phase"]) for each in times} == {("it", "gateway_pre_proxy")}
    assert sum(each["calls"] for each in times) == 10
    _, metrics = await get(admin, "/metrics")
    assert 'gateway_plugin_seconds_count{binding="it",phase="gateway_pre_proxy",plugin="tiny"} 10.0' in metrics
    await gateway.stops()


@pytest.mark.parametrize("workers", [1, 2])
async def test_a_plugin_in_use_that_is_uninstalled_is_shown_as_orphaned(
    start: Start, upstream: Upstream, environment: Environment, tmp_path: Path, workers: int
) -> None:
    environment.install("1.0")
    admin = f"unix:{tmp_path / 'admin'}"
    gateway = start(f"admin: {{listen: '{admin}'}}\n" + config(upstream, workers), inside=environment.folder)
    url = await gateway.ready()

    async def states() -> set[str]:
        shown = (await get_json(admin, "/plugins"))["workers"]
        return {each["state"] for one in shown for each in one["installed"] if each["name"] == "tiny"}

    assert await states() == {"loaded"}

    environment.uninstall()

    assert await states() == {"orphaned"}
    assert (await get_over_both(url, "/load"))[0] == 200
