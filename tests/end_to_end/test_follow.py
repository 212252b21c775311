"""``gateway events`` and ``gateway tail`` as processes, beside real gateways of two workers."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.end_to_end.admin_kit import Api
from tests.end_to_end.kit import PATIENCE, Gateway, Upstream, get

CONFIG = """
listen: "127.0.0.1:0"
workers: 2
upstreams: [{{name: users, endpoints: [{{url: "{url}"}}]}}]
routes: [{{id: users, path_prefix: /users, target: users}}]
"""


class Command:
    """A command that follows a gateway."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def line(self) -> str:
        assert self.process.stdout is not None
        return (await asyncio.wait_for(self.process.stdout.readline(), PATIENCE)).decode().rstrip("\n")

    async def object(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(await self.line())
        return found

    async def ends(self) -> tuple[int, str]:
        """Return exit status and standard error."""
        _, error = await asyncio.wait_for(self.process.communicate(), PATIENCE)
        assert self.process.returncode is not None
        return self.process.returncode, error.decode()


@asynccontextmanager
async def following(*arguments: str) -> AsyncIterator[Command]:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway_core.cli", *arguments),
        stdout=pipe,
        stderr=pipe,
        stdin=asyncio.subprocess.DEVNULL,
        # A shell has what it runs in the background ignore SIGINT, and what that starts.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        yield Command(process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def test_tail_shows_what_its_filters_let_through_until_ctrl_c(
    start: Callable[..., Gateway], upstream: Upstream, api: Api
) -> None:
    running = start(CONFIG.format(url=upstream.url))
    url = await running.ready()
    async with following("tail", "--json", "--status", "404", "--method", "GET") as command:
        assert (await command.object())["type"] == "hello"
        for _ in range(4):
            assert (await get(url, "/users/1"))[0] == 200
            assert (await get(url, "/none?token=secret"))[0] == 404
        found = [await command.object() for _ in range(4)]

        assert {(each["type"], each["path"], each["query"], each["reason"]) for each in found} == {
            ("tail", "/none", "token=REDACTED", "no-route")
        }
        command.process.send_signal(signal.SIGINT)
        assert await command.ends() == (0, "")
    await running.stops()


async def test_events_follow_a_gateway_to_its_end_if_they_are_asked_to(
    start: Callable[..., Gateway], upstream: Upstream, api: Api
) -> None:
    text = CONFIG.format(url=upstream.url)
    running = start(text)
    await running.ready()
    async with following("events", "--json", "--until-stop") as command:
        assert (await command.object())["type"] == "hello"
        await running.rewrites(text + "drain_delay: 1ms\n")
        applied = await command.object()
        assert (applied["type"], applied["event"]) == ("change", "config.applied")

        await running.stops()
        while (line := await command.line()) and json.loads(line)["event"] != "server.stopping":
            pass
        status, error = await command.ends()
        assert (status, error) == (0, "gateway: the gateway is stopping\n")


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_events_go_on_with_the_same_gateway_after_a_restart_and_after_a_stop_and_a_start(
    start: Callable[..., Gateway], upstream: Upstream, api: Api
) -> None:
    text = CONFIG.format(url=upstream.url).replace("workers: 2", "workers: 1")
    # Another gateway, which is the only one while the first one is stopped.
    other = start(text, name="other.yaml")
    await other.ready()
    running = start(text)
    await running.ready()
    async with following("events", "--json", "--pid", str(running.process.pid)) as command:
        assert (await command.object())["type"] == "hello"
        running.signal(signal.SIGUSR2)
        while (await command.object())["type"] != "hello":
            pass
        await running.says("server.restarted")
        await running.stops()
        again = start(text)
        await again.ready()
        while (await command.object())["type"] != "hello":
            pass
        await again.rewrites(text + "drain_delay: 1ms\n")
        while (found := await command.object())["type"] == "gap":
            assert found["reason"] == "restarted"
        while found["event"] != "config.applied":
            found = await command.object()
    await again.stops()
    await other.stops()


async def test_without_a_gateway_or_with_a_bad_filter_the_status_says_so(api: Api) -> None:
    async with following("events") as command:
        status, error = await command.ends()
        assert (status, "no gateway of this user runs" in error) == (3, True)
    async with following("tail", "--status", "9xx") as command:
        status, error = await command.ends()
        assert (status, "'9xx' is no status" in error) == (2, True)
