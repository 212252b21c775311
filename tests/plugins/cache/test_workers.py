"""The real command with two workers: purges and changes reach both before their sender gets a response."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from itertools import count
from pathlib import Path

import pytest

from tests.workers import exchange, running, upstream_port

CONFIG = """
listen: 127.0.0.1:0
workers: 2
routes:
  - id: all
    path_prefix: /
    target: http://127.0.0.1:{upstream}
    plugins: [{{name: cache}}]
"""


async def send(port: int, method: str = "GET") -> bytes:
    """Send a request, which either worker may accept; return the body."""
    return (await exchange(port, f"{method} /a")).partition(b"\r\n\r\n")[2]


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
async def test_purges_and_changes_reach_both_workers(tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"
    environ = {**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)}  # where the control socket is
    numbers = count(1)

    def respond() -> bytes:
        """Respond with the number of the response, fresh for a minute."""
        head = "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nCache-Tag: t\r\nContent-Length: 4\r\n\r\n"
        return f"{head}{next(numbers):04}".encode()

    async with upstream_port(respond) as upstream:
        file.write_text(CONFIG.format(upstream=upstream))
        async with running(file, environ) as (_, port):
            first = await fill(port)
            await send(port, "POST")
            second = await fill(port)
            await call(file, environ, "all/cache", "purge", "tag=t")
            third = await fill(port)

    assert [len(each) for each in (first, second, third)] == [2, 2, 2], "the workers keep their own"
    assert max(first) < min(second)
    assert max(second) < min(third)
