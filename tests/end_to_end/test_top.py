"""``gateway top`` with a real gateway: printed once, and live on a terminal of 80 columns."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable

import pytest

from tests.end_to_end.kit import PATIENCE, Gateway, Upstream, get, get_over_both
from tests.end_to_end.test_running_gateway import gateway, runtime

__all__ = ["runtime"]

pytestmark = pytest.mark.timeout(300)

CONFIG = """
listen: "127.0.0.1:0"
workers: 2
plugins: [{{name: cors, config: {{origins: [https://a.example.com]}}}}]
upstreams:
  - {{name: users, endpoints: [{{url: "{url}"}}]}}
  - {{name: dead, endpoints: [{{url: "http://127.0.0.1:1"}}]}}
routes:
  - {{id: users, path_prefix: /users, target: users}}
  - {{id: dead, path_prefix: /dead, target: dead}}
"""


async def traffic(url: str, until: asyncio.Event) -> None:
    while not until.is_set():
        await get(url, "/users/1")
        await get(url, "/dead")


async def test_traffic_of_all_workers_is_printed_once_without_a_terminal(
    start: Callable[..., Gateway], upstream: Upstream
) -> None:
    running, ended = start(CONFIG.format(url=upstream.url)), asyncio.Event()
    url = await running.ready()
    async with asyncio.TaskGroup() as group:
        group.create_task(traffic(url, ended))
        printed = await gateway("top", "--interval", "2", "--sort", "errors")
        as_json = await gateway("top", "--json", "--interval", "2")
        ended.set()

    assert (printed.returncode, printed.stderr) == (0, "")
    assert "\x1b" not in printed.stdout
    lines = printed.stdout.splitlines()
    assert max(map(len, lines)) < 80
    routes = lines[lines.index("") + 2 :]
    assert routes[0].startswith("dead ")  # it has the errors
    found = json.loads(as_json.stdout)
    rates = {each["route"]: each["rate"] for each in found["routes"]}
    errors = {each["route"]: each["errors"] for each in found["routes"]}
    assert rates["users"] > 0
    assert errors["dead"] == pytest.approx(rates["dead"])
    assert errors["users"] == 0
    assert found["workers"] == 2
    assert {each["upstream"] for each in found["upstreams"]} == {"users", "dead"}
    assert all(each["plugin"] == "cors" for each in found["plugins"])
    await running.stops()


async def test_on_a_terminal_it_is_drawn_again_sorted_by_keys_and_leaves_the_terminal_as_it_was(
    start: Callable[..., Gateway], upstream: Upstream
) -> None:
    running = start(CONFIG.format(url=upstream.url))
    url = await running.ready()
    await get_over_both(url, "/users/1")
    primary, secondary = pty.openpty()
    fcntl.ioctl(secondary, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    before = termios.tcgetattr(secondary)
    process = on_terminal(secondary)
    try:
        first = await asyncio.to_thread(read_until, primary, b"sorted by rate")
        os.write(primary, b"e")
        await asyncio.to_thread(read_until, primary, b"sorted by errors")
        os.write(primary, b"q")
        last = await asyncio.to_thread(read_until, primary, b"\x1b[?1049l")
        assert await asyncio.to_thread(process.wait, PATIENCE) == 0
    finally:
        process.kill()
        process.wait()

    assert first.startswith(b"\x1b[?1049h")
    assert b"users" in first
    assert b"\x1b[?25h" in last
    assert termios.tcgetattr(secondary) == before
    os.close(primary)
    os.close(secondary)
    await running.stops()


async def test_sigterm_leaves_the_terminal_as_it_was(start: Callable[..., Gateway], upstream: Upstream) -> None:
    running = start(CONFIG.format(url=upstream.url))
    await running.ready()
    primary, secondary = pty.openpty()
    before = termios.tcgetattr(secondary)
    process = on_terminal(secondary)
    try:
        await asyncio.to_thread(read_until, primary, b"reading the traffic")
        process.terminate()
        last = await asyncio.to_thread(read_until, primary, b"\x1b[?1049l")
        assert await asyncio.to_thread(process.wait, PATIENCE) == 143
    finally:
        process.kill()
        process.wait()

    assert b"\x1b[?25h" in last
    assert termios.tcgetattr(secondary) == before
    os.close(primary)
    os.close(secondary)
    await running.stops()


async def test_without_a_gateway_nothing_is_drawn() -> None:
    done = await gateway("top")

    assert (done.returncode, done.stdout) == (3, "")
    assert (await gateway("top", "--sort", "size")).returncode == 2


def on_terminal(number: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "gateway_core.cli", "top", "--interval", "0.2"]
    return subprocess.Popen(command, stdin=number, stdout=number, stderr=number, env={**os.environ, "TERM": "xterm"})


def read_until(primary: int, wanted: bytes) -> bytes:
    """Return what a terminal shows up to some text."""
    found, until = b"", time.monotonic() + PATIENCE
    while wanted not in found:
        ready, _, _ = select.select([primary], [], [], max(0.0, until - time.monotonic()))
        assert ready, found
        found += os.read(primary, 65536)
    return found
