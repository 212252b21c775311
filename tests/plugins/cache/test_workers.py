"""The real command with two workers: purges and changes reach both before their sender gets a response."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

CONFIG = """
listen: 127.0.0.1:0
workers: 2
routes:
  - id: all
    path_prefix: /
    target: http://127.0.0.1:{upstream}
    plugins: [{{name: cache}}]
"""


@pytest.fixture
async def upstream() -> AsyncIterator[int]:
    """Respond with the number of the response, fresh for a minute."""
    number = 0

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal number
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while await reader.readuntil(b"\r\n\r\n"):
                number += 1
                head = "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nCache-Tag: t\r\nContent-Length: 4\r\n\r\n"
                writer.write(f"{head}{number:04}".encode())
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()


async def send(port: int, method: str = "GET") -> bytes:
    """Send a request over a connection of its own, which either worker may accept; return the body."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"{method} /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    reply = await reader.read()
    writer.close()
    await writer.wait_closed()
    return reply.partition(b"\r\n\r\n")[2]


async def fill(port: int) -> set[bytes]:
    """Have both workers store a response; return the bodies, of which each worker has one."""
    seen: set[bytes] = set()
    while len(seen) < 2:
        seen |= set(await asyncio.gather(*[send(port) for _ in range(10)]))
    return seen


async def call(file: Path, environ: dict[str, str], *words: str) -> None:
    command = [sys.executable, "-m", "gateway_core.cli", "call", "--config", str(file), *words]
    caller = await asyncio.create_subprocess_exec(
        *command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environ
    )
    output, _ = await caller.communicate()
    assert caller.returncode == 0, output.decode()


@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_purges_and_changes_reach_both_workers(tmp_path: Path, upstream: int) -> None:
    file = tmp_path / "gateway.yaml"
    environ = {**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)}  # where the control socket is
    file.write_text(CONFIG.format(upstream=upstream))
    command = [sys.executable, "-m", "gateway_core.cli", "run", "-c", str(file)]
    gateway = await asyncio.create_subprocess_exec(*command, stderr=subprocess.PIPE, env=environ)
    try:
        assert gateway.stderr is not None
        port = 0
        async with asyncio.timeout(100):
            while not port:
                line = (await gateway.stderr.readline()).decode()
                assert line, "the gateway ended"
                if "listening on" in line and "sock" not in line:
                    port = int(line.rstrip().rpartition(":")[2])

        first = await fill(port)
        await send(port, "POST")
        second = await fill(port)
        await call(file, environ, "all/cache", "purge", "tag=t")
        third = await fill(port)
    finally:
        gateway.send_signal(signal.SIGTERM)
        await gateway.communicate()

    assert [len(each) for each in (first, second, third)] == [2, 2, 2], "the workers keep their own"
    assert max(first) < min(second)
    assert max(second) < min(third)
