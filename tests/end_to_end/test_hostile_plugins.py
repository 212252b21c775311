"""Plugins that end or hold their process: the gateway serves on."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.end_to_end.environment import Environment
from tests.end_to_end.kit import Gateway, Upstream, eventually, get, get_over_both

Start = Callable[..., Gateway]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

PLUGIN = """
import asyncio, os, time
from gateway_plugin_sdk import Plugin, hookimpl

class Tiny(Plugin[dict]):
    name = "tiny"
    config_schema = {"type": "object"}

    async def start(self):
        %s

    @hookimpl
    def gateway_pre_proxy(self, request):
        %s

async def end():
    raise SystemExit(7)
"""


def config(upstream: Upstream, workers: int, plugins: str = "") -> str:
    return (
        f"listen: 127.0.0.1:0\nworkers: {workers}\nroutes:\n"
        f"  - {{id: fine, path: /fine, target: '{upstream.url}'}}\n"
        f"  - {{id: load, path: /load, target: '{upstream.url}'{plugins}}}\n"
    )


@pytest.mark.parametrize("workers", [1, 2])
async def test_a_plugin_that_ends_its_process_while_it_starts_never_gets_into_one_that_serves(
    start: Start, upstream: Upstream, environment: Environment, workers: int
) -> None:
    gateway = start(config(upstream, workers), inside=environment.folder)
    url = await gateway.ready()
    environment.install("1.0", code=PLUGIN % ("os._exit(3)", "pass"))

    line = await gateway.rewrites(config(upstream, workers, ", plugins: [{name: tiny}]"), "the old one stays in force")

    assert "tiny was tried in a process of its own, which failed" in line
    assert (await get(url, "/fine"))[0] == 200
    assert "ended unexpectedly" not in gateway.text
    environment.install("1.1", code=PLUGIN % ("self.task = asyncio.ensure_future(end())", "pass"))
    await gateway.says("the event loop was stopped by SystemExit: 7 .*, and goes on")
    assert (await get(url, "/load"))[0] == 200
    await gateway.stops()


async def test_workers_that_a_hook_ends_are_replaced_with_a_growing_pause(
    start: Start, upstream: Upstream, environment: Environment
) -> None:
    environment.install("1.0", code=PLUGIN % ("pass", "os._exit(9)"))
    gateway = start(config(upstream, 2, ", plugins: [{name: tiny}]"), inside=environment.folder)
    url = await gateway.ready()

    for _ in range(3):
        with pytest.raises((OSError, EOFError)):
            await get(url, "/load")
        await eventually(url, "/fine", "one GET")
    await gateway.says("ended unexpectedly .status 9. and is replaced")

    await gateway.rewrites(config(upstream, 2))
    assert (await get(url, "/load"))[0] == 200
    await gateway.stops()


CODE = """
import asyncio, logging, logging.config, os, signal, time
from gateway_plugin_sdk import Plugin, Response, hookimpl

class Tiny(Plugin[dict]):
    name = "tiny"
    config_schema = {"type": "object"}

    async def start(self):
        %s

    async def stop(self):
        %s

    @hookimpl
    def gateway_pre_proxy(self, request):
        %s
"""

FORKS = """self.pid = os.fork()
        if self.pid == 0:
            time.sleep(20)
            os._exit(0)"""

TAKES = """logging.disable(logging.CRITICAL)
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, lambda: None)
        loop.remove_signal_handler(signal.SIGHUP)"""

TAKES_AT_THE_ROOT = """logging.config.dictConfig({"version": 1, "disable_existing_loggers": True})
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        signal.set_wakeup_fd(-1)
        os.environ.clear()
        os.chdir("/")"""

BOUND = ", plugins: [{name: tiny}]"


async def test_a_crash_is_noticed_while_a_child_of_a_plugin_lives_on(
    start: Start, upstream: Upstream, environment: Environment
) -> None:
    environment.install("1.0", code=CODE % (FORKS, "pass", "os._exit(9)"))
    gateway = start(config(upstream, 2, BOUND), inside=environment.folder)
    url = await gateway.ready()

    with pytest.raises((OSError, EOFError)):
        await get(url, "/load")

    await gateway.says("ended unexpectedly .status 9. and is replaced")
    await eventually(url, "/fine", "one GET")
    await gateway.stops()


@pytest.mark.parametrize("workers", [1, 2])
async def test_a_plugin_that_cancels_all_tasks_of_the_loop_ends_none_of_the_gateway(
    start: Start, upstream: Upstream, environment: Environment, workers: int
) -> None:
    cancels = "[task.cancel() for task in asyncio.all_tasks()]"
    environment.install("1.0", code=CODE % ("pass", "pass", cancels))
    gateway = start(config(upstream, workers, BOUND), inside=environment.folder)
    url = await gateway.ready()

    for _ in range(4):  # whichever worker takes it
        assert (await get(url, "/load"))[0] == 200

    await gateway.rewrites(config(upstream, workers, BOUND).replace("/fine", "/new"))
    await eventually(url, "/new", "one GET")
    after = len(gateway.lines)
    gateway.signal(signal.SIGHUP)
    await gateway.says("SIGHUP: configuration in force", after=after)
    assert "task.failed" not in gateway.text
    await gateway.stops()


@pytest.mark.parametrize("workers", [1, 2])
async def test_a_validation_that_hangs_over_an_import_is_given_up_for_sighup_and_for_the_edit_that_mends_it(
    start: Start, upstream: Upstream, environment: Environment, tmp_path: Path, workers: int
) -> None:
    begun = tmp_path / "begun"
    given_up = r"given up for what changed meanwhile, after \d+ seconds while importing plugin 'tiny'"

    async def imported(times: int) -> None:
        while not begun.exists() or begun.read_text().count("begun") < times:  # noqa: ASYNC110 - another process writes
            await asyncio.sleep(0.05)

    gateway = start(config(upstream, workers), inside=environment.folder)
    url = await gateway.ready()
    environment.install("1.0", code=f"import time\nopen({str(begun)!r}, 'a').write('begun ')\ntime.sleep(600)\n")
    await gateway.says("plugin tiny installed")

    replace(gateway.config, config(upstream, workers, BOUND))
    await imported(1)
    gateway.signal(signal.SIGHUP)
    await gateway.says(given_up)
    await imported(2)
    after = len(gateway.lines)
    replace(gateway.config, config(upstream, workers).replace("/fine", "/new"))

    await gateway.says(given_up, after=after)
    await gateway.says("configuration in force", after=after)
    assert (await get_over_both(url, "/new"))[0] == 200
    await gateway.stops()


def replace(path: Path, text: str) -> None:
    """Put a new file in the place of one, which is one change."""
    new = path.with_suffix(".new")
    new.write_text(text)
    new.replace(path)


@pytest.mark.parametrize("workers", [1, 2])
async def test_the_address_is_free_after_the_end_although_a_child_of_a_plugin_lives_on(
    start: Start, upstream: Upstream, environment: Environment, workers: int
) -> None:
    environment.install("1.0", code=CODE % (FORKS, "pass", "pass"))
    gateway = start(config(upstream, workers, BOUND), inside=environment.folder)
    await gateway.ready()
    await gateway.stops()

    with pytest.raises(ConnectionRefusedError):
        await get(await gateway.address(), "/fine")


@pytest.mark.parametrize("workers", [1, 2])
async def test_sigterm_ends_it_in_time_whatever_a_plugin_does_when_it_stops(
    start: Start, upstream: Upstream, environment: Environment, workers: int
) -> None:
    environment.install("1.0", code=CODE % ("pass", "time.sleep(600)", "pass"))
    text = "shutdown_timeout: 1s\n" + config(upstream, workers, BOUND)
    gateway = start(text, inside=environment.folder)
    await gateway.ready()

    await gateway.stops()  # which has less patience than the plugin


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("takes", [TAKES, TAKES_AT_THE_ROOT])
async def test_a_plugin_takes_neither_the_log_nor_the_signals_nor_the_directory_away(
    start: Start, upstream: Upstream, environment: Environment, workers: int, takes: str, tmp_path: Path
) -> None:
    environment.install("1.0", code=CODE % (takes, "pass", "pass"))
    (tmp_path / "gateway.yaml").write_text(config(upstream, workers, BOUND))
    # A name that is relative to the directory in which the gateway is started, which is that of the file.
    gateway = start("", path=Path("gateway.yaml"), inside=environment.folder, directory=tmp_path)
    await gateway.ready()
    await gateway.says("a plugin changed the gateway's log")

    after = len(gateway.lines)
    gateway.signal(signal.SIGHUP)
    await gateway.says("SIGHUP: configuration in force", after=after)
    await gateway.stops()


ASKS_FOR_THE_MAIN_THREAD = {
    "a signal of its own": ("signal.signal(signal.SIGWINCH, lambda *_: None)", True),
    "a signal of the gateway": ("signal.signal(signal.SIGTERM, signal.SIG_IGN)", True),
    "a function for SIGUSR1": ("signal.signal(signal.SIGUSR1, lambda *_: None)", True),
    "a loop": ("asyncio.get_event_loop()", False),
}


@pytest.mark.parametrize("what", ASKS_FOR_THE_MAIN_THREAD)
async def test_check_and_run_agree_on_a_plugin_that_asks_for_the_main_thread_at_import(
    start: Start, upstream: Upstream, environment: Environment, tmp_path: Path, what: str
) -> None:
    statement, loads = ASKS_FOR_THE_MAIN_THREAD[what]
    environment.install("1.0", code=CODE % ("pass", "pass", "pass") + statement + "\n")
    file = tmp_path / "checked.yaml"
    file.write_text(config(upstream, 1, BOUND))

    checked = environment.gateway("check", str(file))
    assert (checked.returncode, "does not load: RuntimeError" in checked.stderr) == (0 if loads else 1, not loads)

    for workers in (1, 2):
        gateway = start(config(upstream, workers, BOUND), inside=environment.folder)
        if loads:
            assert (await get(await gateway.ready(), "/load"))[0] == 200
            await gateway.stops()
        else:
            await gateway.says("does not load: RuntimeError: There is no current event loop")
