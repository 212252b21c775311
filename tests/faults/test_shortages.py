"""What a machine may be short of: descriptors, space on its disks, a clock that goes on steadily."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.end_to_end.environment import Environment
from tests.end_to_end.kit import PATIENCE, Client, Gateway, Upstream, eventually, get, get_over_both
from tests.end_to_end.load import clients

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

Start = Callable[..., Gateway]


def config(upstream: Upstream, admin: str, workers: int, path: str, more: str = "") -> str:
    return (
        f"listen: 127.0.0.1:0\nworkers: {workers}\nadmin: {{listen: '{admin}'}}\n{more}\nroutes:\n"
        f"  - {{id: load, path: /load, target: '{upstream.url}'}}\n"
        f"  - {{id: it, path: {path}, target: '{upstream.url}'}}\n"
    )


async def served(url: str) -> None:
    """Wait until a client gets a response: while there are no descriptors its connection is closed."""
    while True:
        with contextlib.suppress(OSError, EOFError):
            await get_over_both(url, "/p4")
            return
        await asyncio.sleep(0.05)


@pytest.mark.parametrize("workers", [1, 2])
async def test_edits_are_in_force_with_200_descriptors_that_clients_have_taken(
    start: Start, upstream: Upstream, tmp_path: Path, workers: int
) -> None:
    admin = f"unix:{tmp_path}/admin"
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (200, 200) if before[1] == 200 else (200, before[1]))
    try:
        gateway = start(config(upstream, admin, workers, "/p"))
        resource.prlimit(gateway.process.pid, resource.RLIMIT_NOFILE, (200, 200))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    url, past_the_bridge = await gateway.ready(), await gateway.address()
    idle = []
    for _ in range(300):
        with contextlib.suppress(OSError):
            idle.append(await Client.to(past_the_bridge))

    for number in range(5):
        text = config(upstream, admin, workers, f"/p{number}")
        await gateway.rewrites(text, "configuration in force: routes changed: it")
    for client in idle:
        client.close()

    async with asyncio.timeout(PATIENCE):
        await served(url)
    await eventually(url, "/p4", "200")
    await eventually(admin, "/ready", "ready")
    assert "task.failed" not in gateway.text
    await gateway.stops()


async def test_idle_connections_of_an_admin_listener_keep_no_client_out_with_200_descriptors(
    start: Start, upstream: Upstream, tmp_path: Path
) -> None:
    health = f"unix:{tmp_path}/health"
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (200, before[1]))
    try:
        gateway = start(
            f"listen: 127.0.0.1:0\nadmin: {{health_listen: '{health}'}}\n"
            f"routes: [{{path: /it, target: '{upstream.url}'}}]\n"
        )
        resource.prlimit(gateway.process.pid, resource.RLIMIT_NOFILE, (200, 200))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    url = await gateway.ready()
    await eventually(health, "/ready", "ready")

    idle = []
    for _ in range(300):
        with contextlib.suppress(OSError):
            idle.append(await Client.to(health))

    await eventually(health, "/ready", "ready")
    await eventually(url, "/it", "200")
    assert "connection.not_accepted" not in gateway.text
    for client in idle:
        client.close()
    await gateway.stops()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a disk of 64 KiB; only root can."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(folder)]
    if os.geteuid() != 0 or subprocess.run(command, check=False, capture_output=True).returncode != 0:
        pytest.skip("a file system can be mounted by root only")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(disk: Path) -> Path:
    file = disk / "filling"
    with contextlib.suppress(OSError), file.open("wb", buffering=0) as writing:
        while True:
            writing.write(b"x" * 1024)
    return file


@pytest.mark.parametrize("workers", [1, 2])
async def test_a_disk_that_is_full_costs_lines_of_the_access_log_and_nothing_else(
    start: Start, upstream: Upstream, small_disk: Path, tmp_path: Path, workers: int
) -> None:
    admin, log = f"unix:{tmp_path}/admin", small_disk / "access.log"
    logger = f"plugins: [{{name: logger, config: {{sinks: [{{type: file, path: {log}}}]}}}}]"
    gateway = start(config(upstream, admin, workers, "/p", logger), "--state", str(small_disk / "state"))
    url = await gateway.ready()
    filling = fill(small_disk)

    async with clients(url, 2) as load:
        for number in range(3):
            await gateway.rewrites(config(upstream, admin, workers, f"/p{number}", logger))
            await eventually(url, f"/p{number}", "200")
        await gateway.says("No space left on device")
        filling.unlink()
        written = log.stat().st_size
        async with asyncio.timeout(30):
            while log.stat().st_size == written:  # noqa: ASYNC110 - a file has no event
                await asyncio.sleep(0.05)
        await gateway.rewrites(config(upstream, admin, workers, "/later", logger))
        await eventually(url, "/later", "200")

    assert load.lost == []
    assert (await get(admin, "/ready"))[0] == 200
    await gateway.stops()


CLOCK = """
import pathlib, time

real, file = time.time, pathlib.Path(%r)
real_ns = time.time_ns
offset = lambda: float(file.read_text() or 0)
time.time = lambda: real() + offset()
time.time_ns = lambda: real_ns() + int(offset() * 1e9)
"""


@pytest.mark.parametrize("workers", [1, 2])
async def test_a_clock_that_is_set_back_and_forth_changes_nothing(
    start: Start, upstream: Upstream, environment: Environment, tmp_path: Path, workers: int
) -> None:
    admin, offset = f"unix:{tmp_path}/admin", tmp_path / "offset"
    offset.write_text("0")
    (environment.site / "a_clock.py").write_text(CLOCK % str(offset))
    (environment.site / "a_clock.pth").write_text("import a_clock\n")
    gateway = start(config(upstream, admin, workers, "/p"), python=environment.python)
    url = await gateway.ready()

    async with clients(url, 2) as load:
        for number, seconds in enumerate([86400 * 365, -86400 * 365 * 20, -2_000_000_000, 4e9, 0, 1e11, -1e10, -1]):
            partial = tmp_path / "offset.new"
            partial.write_text(str(seconds))
            partial.replace(offset)
            gateway.config.write_text(config(upstream, admin, workers, f"/p{number}"))
            await eventually(url, f"/p{number}", "200")
            assert (await get(admin, "/ready"))[0] == 200
            assert (await get(admin, "/metrics"))[0] == 200

    assert load.lost == []
    after = len(gateway.lines)
    gateway.signal(signal.SIGHUP)
    await gateway.says("SIGHUP: configuration in force", after=after)
    assert "Traceback" not in gateway.text
    await gateway.stops()
