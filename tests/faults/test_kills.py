"""Processes of any kind are killed at any moment, under edits and traffic, for ``GATEWAY_KILL_SECONDS``."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.end_to_end.kit import Gateway, Upstream, children_of, eventually
from tests.end_to_end.load import clients
from tests.end_to_end.test_processes import command_of, ends

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

Start = Callable[..., Gateway]

SECONDS = float(os.environ.get("GATEWAY_KILL_SECONDS", "15"))


def config(upstream: Upstream, admin: str, path: str) -> str:
    return (
        f"listen: 127.0.0.1:0\nworkers: 2\nshutdown_timeout: 1s\nadmin: {{listen: '{admin}'}}\n"
        f"upstreams: [{{name: u, endpoints: [{{url: '{upstream.url}'}}], health_check: {{interval: 200ms}}}}]\n"
        f"routes: [{{id: it, path: {path}, target: u}}, {{id: load, path: /load, target: u}}]\n"
    )


def processes_that_name(text: str) -> list[int]:
    found = []
    for each in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if each.name.isdigit() and text.encode() in (each / "cmdline").read_bytes():
                found.append(int(each.name))
    return found


@pytest.mark.parametrize("is_supervisor_killed", [False, True])
async def test_after_kills_at_any_moment_an_edit_comes_into_force_and_no_process_is_left_over(
    start: Start, upstream: Upstream, tmp_path: Path, *, is_supervisor_killed: bool
) -> None:
    admin, rng = f"unix:{tmp_path}/admin", random.Random(7)
    gateway = start(config(upstream, admin, "/p"), python=sys.executable)  # found by command line
    url = await gateway.ready()
    killed: set[str] = set()
    loop = asyncio.get_running_loop()

    async with clients(url, 2) as load:
        end, number = loop.time() + SECONDS / 2, 0
        while loop.time() < end:
            await asyncio.sleep(rng.random() * 0.5)  # any moment
            with contextlib.suppress(OSError, IndexError):
                child = rng.choice(children_of(gateway.process.pid))
                killed.add(command_of(child).split("roles ")[-1].split(" ")[0])
                os.kill(child, signal.SIGKILL)
            if rng.random() < 0.5:
                number += 1
                gateway.config.write_text(config(upstream, admin, f"/p{number}"))
        gateway.config.write_text(config(upstream, admin, "/last"))
        await eventually(url, "/last", "200")
        await eventually(admin, "/ready", "200 ready\n")

    assert load.answered
    children = children_of(gateway.process.pid)
    if is_supervisor_killed:
        gateway.process.kill()
        await gateway.ends()
    else:
        await gateway.stops()
    for child in children:
        await ends(child)
    assert processes_that_name(str(gateway.config)) == []
