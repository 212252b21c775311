"""Processes that are killed, held up or left behind: the gateway goes on, or ends cleanly and in time."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.end_to_end.environment import Environment
from tests.end_to_end.kit import Gateway, Upstream, children_of, eventually, get, get_over_both

Start = Callable[..., Gateway]

HELD = pytest.mark.one_protocol(reason="behind the one request whose hook holds the loop, none is served")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

PLUGIN = """
import asyncio, atexit, logging, os, re, signal, subprocess, sys, threading, time
from gateway_plugin_sdk import Plugin, hookimpl

class Tiny(Plugin[dict]):
    name = "tiny"
    config_schema = {"type": "object"}

    async def start(self):
        %s

    @hookimpl
    def gateway_pre_proxy(self, request):
        %s
"""

LEAVES = """threading.Thread(target=time.sleep, args=(600,)).start()
        atexit.register(time.sleep, 600)
        logging.getLogger().addHandler(Slow())

class Slow(logging.Handler):
    def flush(self):
        time.sleep(600)

if True:
    if True:
        pass"""

BOUND = ", plugins: [{name: tiny}]"


def config(upstream: Upstream, workers: int, plugins: str = "", path: str = "/fine") -> str:
    return (
        f"listen: 127.0.0.1:0\nworkers: {workers}\nshutdown_timeout: 1s\nroutes:\n"
        f"  - {{id: fine, path: {path}, target: '{upstream.url}'}}\n"
        f"  - {{id: load, path: /load, target: '{upstream.url}'{plugins}}}\n"
    )


def command_of(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()


def sockets_of(pid: int) -> list[str]:
    files = [str(each.readlink()) for each in Path(f"/proc/{pid}/fd").iterdir()]
    return [each for each in files if each.startswith("socket:")]


async def ends(pid: int) -> None:
    """Wait until a process has ended, whether or not this one is its parent."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    ended = asyncio.Event()
    asyncio.get_running_loop().add_reader(descriptor, ended.set)
    try:
        await asyncio.wait_for(ended.wait(), 30)
    finally:
        asyncio.get_running_loop().remove_reader(descriptor)
        os.close(descriptor)


async def hold(gateway: Gateway, url: str, hint: str) -> asyncio.Task[tuple[int, str]]:
    """Send a request whose hook does not return, and wait until that is noticed."""
    held = asyncio.ensure_future(get(url, "/load"))  # noqa: TID251  # a test's own
    await gateway.says(hint)
    return held


@HELD
@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("hook", ["time.sleep(600)", "while True: pass", "re.match('(a+)+$', 'a' * 50 + 'b')"])
async def test_sigterm_ends_it_in_time_while_a_hook_holds_the_loop(
    start: Start, upstream: Upstream, environment: Environment, workers: int, hook: str
) -> None:
    says = "open('/proc/self/fd/2', 'a').write('the hook has begun\\n')"
    environment.install("1.0", code=PLUGIN % ("pass", f"{says}\n        {hook}"))
    gateway = start(config(upstream, workers, BOUND), inside=environment.folder)
    held = await hold(gateway, await gateway.ready(), "the hook has begun")

    await gateway.stops()  # which has less patience than the plugin

    with pytest.raises((OSError, EOFError)):
        await held


@pytest.mark.parametrize("workers", [1, 2])
async def test_sigterm_ends_it_in_time_whatever_plugins_leave_behind(
    start: Start, upstream: Upstream, environment: Environment, workers: int
) -> None:
    environment.install("1.0", code=PLUGIN % (LEAVES, "pass"))
    gateway = start(config(upstream, workers, BOUND), inside=environment.folder)
    assert (await get_over_both(await gateway.ready(), "/load"))[0] == 200
    pids = children_of(gateway.process.pid)

    await gateway.stops()

    for pid in pids:
        await ends(pid)


@HELD
async def test_nothing_is_left_when_the_supervisor_is_killed_while_a_hook_holds_a_worker(
    start: Start, upstream: Upstream, environment: Environment
) -> None:
    environment.install("1.0", code=PLUGIN % ("pass", "time.sleep(600)"))
    gateway = start(config(upstream, 2, BOUND), inside=environment.folder)
    held = await hold(gateway, await gateway.ready(), "blocks the event loop")
    pids = children_of(gateway.process.pid)

    gateway.process.kill()

    assert len(pids) >= 3, "two workers and the process that validates"
    for pid in pids:
        await ends(pid)
    with pytest.raises((OSError, EOFError)):
        await held


@pytest.mark.parametrize("workers", [1, 2])
async def test_the_next_edit_works_whatever_child_is_killed(start: Start, upstream: Upstream, workers: int) -> None:
    gateway = start(config(upstream, workers))
    url = await gateway.ready()

    for number, pid in enumerate(children_of(gateway.process.pid)):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        await ends(pid)
        await gateway.rewrites(config(upstream, workers, path=f"/edit{number}"))
        await eventually(url, f"/edit{number}", f"one GET /edit{number}")

    await gateway.stops()


async def test_a_program_that_a_plugin_starts_inherits_no_socket(
    start: Start, upstream: Upstream, environment: Environment
) -> None:
    starts = "self.child = subprocess.Popen(['sleep', '60'], close_fds=False)"
    environment.install("1.0", code=PLUGIN % (starts, "pass"))
    gateway = start(config(upstream, 2, BOUND), inside=environment.folder)
    await gateway.ready()

    sleeping = [pid for pid in children_of(gateway.process.pid) if command_of(pid).startswith("sleep")]
    try:
        assert len(sleeping) == 2
        for pid in sleeping:
            assert sockets_of(pid) == []
        await gateway.stops()
        with pytest.raises(ConnectionRefusedError):
            await get(await gateway.address(), "/fine")
    finally:
        for pid in sleeping:
            os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("workers", [1, 2])
async def test_what_a_hook_does_to_the_log_is_undone_and_an_end_by_a_plugin_is_named(
    start: Start, upstream: Upstream, environment: Environment, workers: int
) -> None:
    hook = "logging.disable(); request.query_string and os._exit(9)"
    environment.install("1.0", code=PLUGIN % ("pass", hook))
    gateway = start(config(upstream, workers, BOUND), inside=environment.folder)
    url = await gateway.ready()

    assert (await get(url, "/load"))[0] == 200
    await gateway.says("a plugin changed the gateway.s log")
    with pytest.raises((OSError, EOFError)):
        await get(url, "/load?end")

    assert "gateway_plugin_tiny.py:" in await gateway.says("ended with status 9 by os._exit at ")
    if workers > 1:
        await gateway.says("ended unexpectedly .status 9. and is replaced")
        await gateway.stops()
    else:
        assert await gateway.ends() == 9


OTHER = """
from gateway_core.reload import bundle
bundle.PROTOCOL += {}
"""


@pytest.mark.parametrize("difference", [1, -1])
async def test_a_version_that_speaks_otherwise_takes_nothing_over_and_going_back_works(
    start: Start, upstream: Upstream, environment: Environment, difference: int
) -> None:
    gateway = start(config(upstream, 2), inside=environment.folder)
    url = await gateway.ready()
    other = environment.site / "sitecustomize.py"
    other.write_text(OTHER.format(difference))

    gateway.signal(signal.SIGUSR2)
    assert "protocol" in await gateway.says("SIGUSR2: not restarted")
    await gateway.rewrites(config(upstream, 2, path="/edit"), "the old one stays in force: .*protocol")
    os.kill(await worker_of(gateway), signal.SIGKILL)
    await gateway.says("cannot be replaced yet: .* speaks another protocol than the one that runs")
    assert (await get(url, "/fine"))[0] == 200

    other.unlink()
    await gateway.rewrites(config(upstream, 2, path="/back"))
    await eventually(url, "/back", "one GET /back")
    after = len(gateway.lines)
    gateway.signal(signal.SIGUSR2)
    await gateway.says("the new program has taken over", after=after)
    assert (await get(url, "/back"))[0] == 200
    await gateway.stops()


async def test_a_directory_for_state_that_cannot_be_used_any_more_ends_no_gateway_that_restarts(
    start: Start, upstream: Upstream, tmp_path: Path
) -> None:
    state = tmp_path / "state"
    gateway = start(config(upstream, 1), "--state", str(state))
    url = await gateway.ready()
    shutil.rmtree(state, ignore_errors=True)
    state.write_text("no directory")

    gateway.signal(signal.SIGUSR2)
    await gateway.says("the new program has taken over")

    assert (await get_over_both(url, "/fine"))[0] == 200
    await gateway.stops()


async def worker_of(gateway: Gateway) -> int:
    """Return the process of one worker, which the template has forked."""
    return children_of(gateway.process.pid)[-1]


@pytest.mark.parametrize("workers", [1, 2])
async def test_a_lack_of_descriptors_ends_no_reloading(start: Start, upstream: Upstream, workers: int) -> None:
    gateway = start(config(upstream, workers))
    url = await gateway.ready()
    _, most = resource.prlimit(gateway.process.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(gateway.process.pid, resource.RLIMIT_NOFILE, (3, most))
    for pid in children_of(gateway.process.pid):
        os.kill(pid, signal.SIGKILL)

    await gateway.rewrites(config(upstream, workers, path="/edit"), "[Tt]oo many open files")

    resource.prlimit(gateway.process.pid, resource.RLIMIT_NOFILE, (most, most))
    await eventually(url, "/edit", "one GET /edit")
    after = len(gateway.lines)
    gateway.signal(signal.SIGHUP)
    await gateway.says("SIGHUP: configuration in force", after=after)
    await gateway.rewrites(config(upstream, workers, path="/later"))
    await eventually(url, "/later", "one GET /later")
    await gateway.stops()


@pytest.mark.parametrize("workers", [1, 2])
async def test_edits_are_in_force_while_the_disk_is_full(start: Start, upstream: Upstream, workers: int) -> None:
    gateway = start(config(upstream, workers))
    url = await gateway.ready()
    resource.prlimit(gateway.process.pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))

    await gateway.rewrites(config(upstream, workers, path="/edit"))
    await eventually(url, "/edit", "one GET /edit")

    await gateway.stops()
