"""Requests lost while workers come and go under load, and how long each exchange takes.

    python benchmarks/rolling_restarts.py sigusr2            # the whole program, 20 times
    python benchmarks/rolling_restarts.py sighup             # the code of a plugin, edited before each
    python benchmarks/rolling_restarts.py kill --rounds 10   # a worker killed: only what it was doing may be lost

Every client keeps its connection, asks the next question as soon as it has an answer, and counts each request. Lost is
a request without a whole answer of status 200, also one that was sent on a kept connection which closed at that
moment, although HTTP lets clients try those again. Exit status 1 if more was lost than may be.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from statistics import median

PATIENCE = 120.0
WARM_UP = 200
"""Answers before the first round and after each."""

BODY = b"x" * 1024
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(BODY), BODY)
QUESTION = b"GET /load HTTP/1.1\r\nHost: test\r\n\r\n"
LENGTH = re.compile(rb"\r\nContent-Length: *(\d+)", re.IGNORECASE)

PLUGIN = """
from gateway_plugin_sdk import Plugin, hookimpl


class Edited(Plugin[dict]):
    name = "edited"
    config_schema = {"type": "object"}

    @hookimpl
    def gateway_response(self, request, response):
        response.headers["x-code"] = "%d"
"""


class UpstreamServer(asyncio.Protocol):
    """Answers whatever ends a head, from memory."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._left = b""

    def data_received(self, data: bytes) -> None:
        *heads, self._left = (self._left + data).split(b"\r\n\r\n")
        self._transport.write(ANSWER * len(heads))


class Clients:
    """Connections that never rest."""

    def __init__(self, port: int, count: int) -> None:
        self._port = port
        self._is_over = False
        self._count = count
        self.answered = 0
        self.lost: Counter[str] = Counter()
        self.codes: set[bytes] = set()

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(self._count):
                group.create_task(self._client())

    def stop(self) -> None:
        self._is_over = True

    async def more(self, number: int) -> None:
        """Wait for so many further answers."""
        wanted = self.answered + number
        async with asyncio.timeout(PATIENCE):
            while self.answered < wanted:  # noqa: ASYNC110  # an event for each answer would cost more
                await asyncio.sleep(0.005)

    async def all_have(self, code: bytes) -> None:
        """Wait until a while has only answers of this code; workers that leave give each client a last one."""
        async with asyncio.timeout(PATIENCE):
            while self.codes != {code}:
                self.codes.clear()
                await self.more(WARM_UP)

    async def _client(self) -> None:
        while not self._is_over:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
            except OSError as error:
                self.lost[f"connect: {type(error).__name__}"] += 1
                await asyncio.sleep(0.01)
                continue
            try:
                await self._use(reader, writer)
            finally:
                writer.transport.abort()

    async def _use(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served = 0
        while not self._is_over:
            got = b""
            try:
                writer.write(QUESTION)
                got = await reader.readuntil(b"\r\n\r\n")
                length = LENGTH.search(got)
                await reader.readexactly(int(length[1]) if length else 0)
            except (asyncio.IncompleteReadError, OSError) as error:
                broken = bool(got or getattr(error, "partial", b""))
                age = "a new" if not served else "a kept"
                self.lost["an answer broke off" if broken else f"{age} connection closed under a request"] += 1
                return
            status = got[9:12]
            served += 1
            if status != b"200":
                self.lost[f"status {status.decode()}"] += 1
            self.answered += 1
            if code := re.search(rb"x-code: (\d+)", got):
                self.codes.add(code[1])
            if b"\r\nconnection: close" in got.lower():
                return


class Program:
    """``gateway run`` whose log is read."""

    def __init__(self, folder: Path, workers: int, upstream: int, *, is_edited: bool) -> None:
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            self.port = sock.getsockname()[1]
        self.admin = folder / "admin.sock"
        binding = "plugins: [{name: edited}]\n" if is_edited else ""
        config = folder / "gateway.yaml"
        config.write_text(
            f"listen: 127.0.0.1:{self.port}\nworkers: {workers}\nadmin: {{listen: 'unix:{self.admin}'}}\n{binding}"
            f"routes:\n  - {{id: load, path: /load, target: 'http://127.0.0.1:{upstream}'}}\n"
        )
        path = os.pathsep.join(filter(None, (str(folder), os.environ.get("PYTHONPATH"))))
        self.process = subprocess.Popen(
            [sys.executable, "-m", "gateway_core.cli", "run", "-c", str(config)],
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": path},
        )
        self.lines: list[str] = []
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(line.decode(errors="replace").rstrip())

    async def says(self, pattern: str, after: int = 0) -> str:
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end and self.process.poll() is None:
            for line in self.lines[after:]:
                if re.search(pattern, line):
                    return line
            await asyncio.sleep(0.005)
        raise SystemExit(f"no line matches {pattern!r} in:\n" + "\n".join(self.lines[-30:]))

    async def workers(self) -> list[int]:
        """Return the process ids of the workers that serve."""
        reader, writer = await asyncio.open_unix_connection(str(self.admin))
        writer.write(b"GET /config HTTP/1.1\r\nHost: admin\r\nConnection: close\r\n\r\n")
        text = await reader.read()
        writer.close()
        return [each["pid"] for each in json.loads(text.partition(b"\r\n\r\n")[2])["workers"]]


def write_plugin(folder: Path, number: int) -> None:
    """Publish a plugin in a folder of the search path, or edit it there."""
    metadata = folder / "edited-1.0.dist-info"
    metadata.mkdir(exist_ok=True)
    (folder / "edited.py").write_text(PLUGIN % number)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: edited\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[gateway.plugins]\nedited = edited:Edited\n")


async def exchange(program: Program, clients: Clients, how: str, folder: Path, number: int) -> float:
    """Have workers exchanged once; return the seconds that it took until the new ones served."""
    after, begun = len(program.lines), time.monotonic()
    if how == "sigusr2":
        program.process.send_signal(signal.SIGUSR2)
        await program.says("^listening on", after)
    elif how == "sighup":
        write_plugin(folder, number)
        program.process.send_signal(signal.SIGHUP)
        await program.says("configuration in force: .*replaced", after)
        await clients.all_have(b"%d" % number)
    else:
        before = await program.workers()
        os.kill(min(before), signal.SIGKILL)
        while min(before) in (now := await program.workers()) or len(now) < len(before):  # noqa: ASYNC110  # no event
            await asyncio.sleep(0.02)
    return time.monotonic() - begun


@contextlib.contextmanager
def running(folder: Path, workers: int, upstream: int, *, is_edited: bool) -> Iterator[Program]:
    program = Program(folder, workers, upstream, is_edited=is_edited)
    try:
        yield program
        program.process.send_signal(signal.SIGTERM)
        if program.process.wait(PATIENCE) != 0:
            raise SystemExit("it did not end well:\n" + "\n".join(program.lines[-30:]))
    finally:
        program.process.kill()
        program.process.wait()


async def measure(options: argparse.Namespace, folder: Path) -> int:
    server = await asyncio.get_running_loop().create_server(UpstreamServer, "127.0.0.1", 0)
    write_plugin(folder, 0)
    is_edited = options.how == "sighup"
    upstream = server.sockets[0].getsockname()[1]
    with running(folder, options.workers, upstream, is_edited=is_edited) as program:
        await program.says("^listening on")
        clients = Clients(program.port, options.connections)
        load = asyncio.create_task(clients.run())
        await clients.more(WARM_UP)
        took = []
        for number in range(1, options.rounds + 1):
            took.append(await exchange(program, clients, options.how, folder, number))
            lost = dict(clients.lost)
            print(f"round {number}: {took[-1]:.2f} s, {clients.answered} answers, lost {lost}", flush=True)
            await clients.more(WARM_UP)
        clients.stop()
        await load
    server.close()
    total = clients.lost.total()
    print(f"{options.how}: {options.rounds} rounds, {clients.answered} answers, {total} lost {dict(clients.lost)}")
    print(f"seconds each: median {median(took):.2f}, longest {max(took):.2f}")
    # A killed worker takes with it what its connections were doing, one request each.
    return 1 if total > (options.connections * options.rounds if options.how == "kill" else 0) else 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("how", choices=["sigusr2", "sighup", "kill"])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--connections", type=int, default=32)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        raise SystemExit(asyncio.run(measure(options, Path(folder))))


if __name__ == "__main__":
    main()
