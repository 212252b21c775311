"""What plugins of running gateways may use: shared values, commands in every worker, background work."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tests.commands import start as commands
from tests.end_to_end.kit import PATIENCE, Gateway, Upstream, eventually, get
from tests.ports import free_port

pytestmark = pytest.mark.timeout(300)

LEDGER = """
import asyncio, os
from typing import Annotated
from pydantic import Field
from gateway_plugin_sdk import CommandError, Plugin, Response, SharedStoreFull, command, hookimpl

class Ledger(Plugin[dict]):
    name = "ledger"
    config_schema = {"type": "object"}

    async def start(self):
        self.spawn(self._mark())

    async def _mark(self):
        await self.shared.increment("starts")
        try:
            await asyncio.Event().wait()
        finally:
            await self.shared.increment("ends")

    async def stop(self):
        await self.shared.put("stopped", b"yes")

    @hookimpl
    async def gateway_pre_proxy(self, request):
        action = request.raw_path.removeprefix("/")
        if action == "count":
            return Response(200, body=b"%d" % await self.shared.increment("n"))
        if action == "everywhere":
            return Response(200, body=repr(await self.everywhere("describe")).encode())
        if action == "failing":
            try:
                await self.everywhere("fail", worker=os.getpid())
            except CommandError as error:
                return Response(200, body=str(error).encode())
        if action.startswith("get/"):
            value = await self.shared.get(action[4:])
            return Response(200, body=b"none" if value is None else value)

    @command(role="viewer")
    async def describe(self, prefix: str = "at") -> dict:
        return {prefix: os.getpid()}

    @command(role="operator")
    def scale(self, factor: Annotated[int, Field(gt=0)], tags: list[str] = []) -> dict:
        return {"factor": factor * 2, "tags": tags}

    @command(role="operator")
    async def fail(self, worker: int = 0) -> None:
        if worker in (0, os.getpid()):
            raise ValueError("no such entry")

    @command(role="operator")
    async def hang(self) -> None:
        await self.shared.put("hanging", b"yes")
        await asyncio.Event().wait()

    @command(role="viewer")
    async def wrong(self) -> object:
        return object()
"""


@pytest.fixture
def plugins(tmp_path: Path) -> Path:
    """A folder for PYTHONPATH that publishes the plugin, as an installed distribution does."""
    folder = tmp_path / "site"
    metadata = folder / "ledger-1.0.dist-info"
    metadata.mkdir(parents=True)
    (folder / "ledger_plugin.py").write_text(LEDGER)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: ledger\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[gateway.plugins]\nledger = ledger_plugin:Ledger\n")
    return folder


@pytest.fixture
def environ(tmp_path: Path, plugins: Path) -> dict[str, str]:
    return {"PYTHONPATH": str(plugins), "XDG_RUNTIME_DIR": str(tmp_path)}


@pytest.fixture
def start(start: Callable[..., Gateway], environ: dict[str, str]) -> Callable[[str], Gateway]:
    numbers = count()
    return lambda text: start(text, name=f"gateway{next(numbers)}.yaml", environ=environ)


def config(upstream: Upstream, workers: int, more: str = "", *, plugin: str = "{name: ledger}") -> str:
    return (
        f"listen: 127.0.0.1:0\nworkers: {workers}\nshutdown_timeout: 5s\n"
        f"routes: [{{id: it, path_prefix: /, target: '{upstream.url}', plugins: [{plugin}]}}]\n{more}"
    )


def call(environ: dict[str, str], *arguments: str) -> tuple[int, str, str]:
    done = commands.run("call", *arguments, environ={**os.environ, **environ}, timeout=PATIENCE)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("workers", [1, 2])
async def test_commands_run_in_every_worker(
    start: Callable[[str], Gateway], upstream: Upstream, environ: dict[str, str], workers: int
) -> None:
    gateway = start(config(upstream, workers))
    url = await gateway.ready()

    status, out, _ = call(environ, "it/ledger", "describe", "--json")
    found = json.loads(out)

    assert status == 0
    assert [entry["worker"] for entry in found] == list(range(workers))
    assert len({entry["result"]["at"] for entry in found}) == workers
    assert await get(url, "/everywhere") == (200, repr([entry["result"] for entry in found]))
    assert call(environ, "it/ledger", "scale", "factor=3", 'tags:=["a"]')[:2] == (
        0,
        "".join(f'worker {number}: {{"factor": 6, "tags": ["a"]}}\n' for number in range(workers)),
    )
    workers_named = ", ".join(map(str, range(workers)))
    assert call(environ, "it/ledger", "scale", "factor=0")[0::2] == (
        1,
        f"worker {workers_named}: command 'scale': factor: input should be greater than 0\n",
    )
    assert call(environ, "it/ledger", "scale")[2].endswith("command 'scale': factor: is missing\n")
    assert "there is no binding 'nothing': there are it/ledger" in call(environ, "nothing", "scale")[2]
    assert (
        "has no command 'nothing': it has describe, fail, hang, scale, wrong"
        in call(environ, "it/ledger", "nothing")[2]
    )
    assert call(environ, "it/ledger", "fail")[0::2] == (1, f"worker {workers_named}: ValueError: no such entry\n")
    assert "JSON cannot hold a object" in call(environ, "it/ledger", "wrong")[2]
    assert "ValueError: no such entry" in (await get(url, "/failing"))[1]
    await gateway.stops()
    status, _, err = call(environ, "it/ledger", "describe")
    assert (status, "no gateway of this user runs" in err) == (3, True)


async def test_statuses_of_the_api_and_no_commands_over_tcp(
    start: Callable[[str], Gateway], upstream: Upstream, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    import aiohttp

    gateway = start(config(upstream, 2))
    await gateway.ready()
    (control,) = (tmp_path / "gateway").glob("*.sock")

    # The path may be too long for the address of a socket.
    short = tmp_path_factory.getbasetemp().parents[1] / f"gateway-{os.getpid()}.sock"
    short.symlink_to(control)
    async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(short))) as session:

        async def post(path: str, data: str = "") -> tuple[int, str]:
            headers = {"Content-Type": "application/json"}
            async with session.post(f"http://gateway/api/v1/bindings/{path}", data=data, headers=headers) as response:
                return response.status, await response.text()

        assert [(await post(path))[0] for path in ("nothing/describe", "it/ledger/nothing", "ledger")] == [404] * 3
        assert (await post("it/ledger/scale", '{"factor": "x"}'))[0] == 422
        assert (await post("it/ledger/scale", '{"factor": 1, "other": 2}'))[0] == 422
        assert (await post("it/ledger/scale", "[1]"))[0] == 422
        assert (await post("it/ledger/scale", "{"))[0] == 400
        assert (await post("it/ledger/fail"))[0] == 500
        status, text = await post("it%2Fledger/scale", '{"factor": 4}')
        assert (status, json.loads(text)) == (
            200,
            [{"worker": number, "result": {"factor": 8, "tags": []}} for number in (0, 1)],
        )
        async with session.get("http://gateway/api/v1/bindings/it/ledger/describe") as response:
            assert (response.status, response.headers["Allow"]) == (405, "POST")
    short.unlink()
    assert control.stat().st_mode & 0o777 == 0o600
    assert control.parent.stat().st_mode & 0o777 == 0o700
    await gateway.stops()
    assert not control.exists()


@pytest.mark.parametrize("workers", [1, 2])
async def test_shared_values_outlive_reloads_and_are_dropped_with_their_binding(
    start: Callable[[str], Gateway], upstream: Upstream, workers: int
) -> None:
    gateway = start(config(upstream, workers))
    url = await gateway.ready()
    counts = sorted([int((await get(url, "/count"))[1]) for _ in range(20)])

    await gateway.rewrites(config(upstream, workers, plugin="{name: ledger, config: {other: 1}}"))

    assert counts == list(range(1, 21))
    assert await get(url, "/count") == (200, "21")
    await eventually(url, "/get/stopped", "yes")
    await eventually(url, "/get/ends", str(workers))
    await gateway.rewrites(config(upstream, workers, plugin="{name: ledger, id: other}"))
    await gateway.rewrites(config(upstream, workers))
    assert await get(url, "/count") == (200, "1")
    await gateway.stops()


async def test_a_worker_that_dies_loses_no_shared_value_and_its_command_has_failed(
    start: Callable[[str], Gateway], upstream: Upstream, environ: dict[str, str]
) -> None:
    gateway = start(config(upstream, 2))
    url = await gateway.ready()
    for _ in range(5):
        await get(url, "/count")
    pids = [entry["result"]["at"] for entry in json.loads(call(environ, "it/ledger", "describe", "--json")[1])]
    hanging = asyncio.ensure_future(asyncio.to_thread(call, environ, "it/ledger", "hang"))  # noqa: TID251
    await eventually(url, "/get/hanging", "yes")

    for pid in pids:
        os.kill(pid, signal.SIGKILL)

    status, _, err = await hanging
    assert (status, "the worker ended" in err) == (1, True)
    await gateway.says("ended unexpectedly")
    await eventually(url, "/count", "6")
    await gateway.stops()


@pytest.mark.parametrize("workers", [1, 2])
async def test_shared_values_outlive_the_exchange_of_the_program(
    start: Callable[[str], Gateway], upstream: Upstream, environ: dict[str, str], workers: int
) -> None:
    gateway = start(config(upstream, workers))
    url = await gateway.ready()
    assert await get(url, "/count") == (200, "1")
    before = call(environ, "it/ledger", "describe")[1]
    told = len(gateway.lines)
    counted: list[int] = []

    async def count() -> None:
        while not stop.is_set():
            counted.append(int((await get(url, "/count"))[1]))

    stop = asyncio.Event()
    counting = asyncio.ensure_future(count())  # noqa: TID251
    gateway.signal(signal.SIGUSR2)
    await gateway.says("^listening on ", after=told)
    stop.set()
    await counting

    assert sorted(counted) == list(range(2, 2 + len(counted)))
    assert call(environ, "it/ledger", "describe", "--pid", str(gateway.process.pid))[1] != before
    await gateway.stops()


async def test_several_gateways_are_told_apart_by_configuration_and_process(
    start: Callable[[str], Gateway], upstream: Upstream, environ: dict[str, str], tmp_path: Path
) -> None:
    gateways = [start(config(upstream, 1)), start(config(upstream, 1))]
    for gateway in gateways:
        await gateway.ready()
    pids: list[Any] = [gateway.process.pid for gateway in gateways]

    status, _, err = call(environ, "it/ledger", "describe")
    assert (status, "several gateways run" in err) == (3, True)
    for gateway, pid in zip(gateways, pids, strict=True):
        expected = f'worker 0: {{"at": {pid}}}\n'
        assert call(environ, "it/ledger", "describe", "-c", str(gateway.config))[1] == expected
        assert call(environ, "it/ledger", "describe", "--pid", str(pid))[1] == expected
    gateways[0].kill()
    assert call(environ, "it/ledger", "describe")[1] == f'worker 0: {{"at": {pids[1]}}}\n'
    third = start(config(upstream, 1))
    await third.ready()
    assert len(list((tmp_path / "gateway").glob("*.sock"))) == 2  # the killed one's was removed
    await gateways[1].stops()
    await third.stops()


async def test_commands_are_refused_over_tcp_without_a_token(
    start: Callable[[str], Gateway], upstream: Upstream
) -> None:

    import aiohttp

    port = free_port()
    gateway = start(config(upstream, 1, f"admin: {{listen: '127.0.0.1:{port}'}}\n"))
    await gateway.ready()

    async with (
        aiohttp.ClientSession() as session,
        session.post(f"http://127.0.0.1:{port}/api/v1/bindings/it/ledger/scale", json={"factor": 1}) as response,
    ):
        assert (response.status, "operations need a token" in await response.text()) == (403, True)
    await gateway.stops()


async def test_a_file_that_changes_makes_a_new_instance_by_a_reload(
    start: Callable[[str], Gateway], upstream: Upstream, environ: dict[str, str], plugins: Path, tmp_path: Path
) -> None:
    (plugins / "ledger_plugin.py").write_text(GREETER)
    greeting = tmp_path / "greeting"
    greeting.write_text("hello")
    gateway = start(config(upstream, 2, plugin=f"{{name: ledger, config: {{file: {greeting}}}}}"))
    url = await gateway.ready()
    assert await get(url, "/") == (200, "hello 1")

    greeting.write_text("good morning")
    await gateway.says("greeting changed: configuration in force: .*1 binding rebuilt")
    assert await get(url, "/") == (200, "good morning 1")

    told = len(gateway.lines)
    greeting.unlink()
    await gateway.says("names no file: create it, or correct the path", after=told)
    assert (await get(url, "/"))[1].startswith("good morning")
    await gateway.stops()


GREETER = """
from gateway_plugin_sdk import ConfigFile, ConfigModel, Plugin, Response, hookimpl

class Options(ConfigModel):
    file: ConfigFile

class Ledger(Plugin[Options]):
    name = "ledger"
    config_model = Options

    async def start(self):
        self.text = self.config.file.read_bytes()

    @hookimpl
    def gateway_pre_proxy(self, request):
        return Response(200, body=self.text + b" 1")
"""
