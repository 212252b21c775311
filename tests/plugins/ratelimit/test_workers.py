"""The real command with several workers: a limit holds over all of them."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

CONFIG = """
listen: 127.0.0.1:{port}
workers: {workers}
routes:
  - id: limited
    path_prefix: /
    target: http://127.0.0.1:{upstream}
    plugins:
      - {{name: ratelimit, config: {{quota: 50, window: 1d, key: constant, refusal: {{detail: "{detail}"}}}}}}
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
async def upstream() -> AsyncIterator[int]:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while await reader.readuntil(b"\r\n\r\n"):
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()


async def statuses(port: int, requests: int) -> Counter[str]:
    """Send requests over connections of their own; return how many answers have which status."""

    async def one() -> str:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        head = await reader.read()
        writer.close()
        await writer.wait_closed()
        return head.split(b" ", 2)[1].decode()

    return Counter(
        [status for _ in range(requests // 20) for status in await asyncio.gather(*[one() for _ in range(20)])]
    )


async def lines_until(gateway: asyncio.subprocess.Process, text: str) -> None:
    assert gateway.stderr is not None
    async with asyncio.timeout(100):
        while text.encode() not in (line := await gateway.stderr.readline()):
            assert line, f"the gateway ended without saying {text!r}"


@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_a_limit_holds_over_all_workers_and_over_a_reload(tmp_path: Path, upstream: int) -> None:
    port, file = free_port(), tmp_path / "gateway.yaml"

    def write(detail: str) -> None:
        file.write_text(CONFIG.format(port=port, workers=2, upstream=upstream, detail=detail))

    write("before")
    command = [sys.executable, "-m", "gateway_core.cli", "run", "-c", str(file)]
    gateway = await asyncio.create_subprocess_exec(*command, stderr=subprocess.PIPE)
    try:
        await lines_until(gateway, "listening on")
        first = await statuses(port, 40)
        write("after")
        gateway.send_signal(signal.SIGHUP)
        await lines_until(gateway, "changed")
        second = await statuses(port, 80)
    finally:
        gateway.send_signal(signal.SIGTERM)
        await gateway.communicate()

    assert first == {"200": 40}
    assert second == {"200": 10, "429": 70}
