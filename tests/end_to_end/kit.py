"""What the end-to-end tests drive: ``gateway run`` as a process, upstreams that can be told to wait, clients."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.commands import start as commands

PATIENCE = 90.0
"""Seconds after which something that should happen counts as not happening."""


ToClients = Callable[[str], Awaitable[str]]


async def directly(url: str) -> str:
    return url


class Upstream:
    """Answers with its name and the request line, after `delay` seconds; ``/slow`` waits until `go`."""

    def __init__(self, name: str, *, delay: float = 0, port: int = 0) -> None:
        self.name = name
        self.delay = delay
        self._port = port
        self.seen: list[str] = []
        self.waiting = asyncio.Event()
        self.go = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> Upstream:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        assert self._server is not None
        self.go.set()
        self._server.close()
        for writer in tuple(self._writers):
            writer.close()

    @property
    def url(self) -> str:
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                line = head.split("\r\n")[0]
                self.seen.append(line)
                if "/slow" in line:
                    self.waiting.set()
                    await self.go.wait()
                await asyncio.sleep(self.delay)
                body = f"{self.name} {line}".encode()
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
                await writer.drain()
        except (asyncio.IncompleteReadError, OSError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()


class Gateway:
    """A running ``gateway run``; its stderr is kept line by line."""

    def __init__(
        self,
        config: Path,
        *more: str,
        environ: dict[str, str] | None = None,
        python: str | Path | None = None,
        inside: Path | None = None,
        directory: Path | None = None,
        to_clients: ToClients = directly,
    ) -> None:
        """Start it.

        :param to_clients: takes the URL on which it listens; returns the one for clients.
        :param python: the interpreter to start; by default it is forked by one that is ready (`tests.commands`).
        :param inside: the virtual environment whose packages it has as well.
        """
        self.config = config
        self.to_clients = to_clients
        self.lines: list[str] = []
        self._changed = threading.Condition()
        arguments = ["run", "-c", str(config), *more]
        self.process = commands.start(
            arguments,
            environ={**os.environ, **(environ or {})},
            directory=directory or config.parent,
            python=python,
            inside=inside,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            with self._changed:
                self.lines.append(line.decode(errors="replace").rstrip("\n"))
                self._changed.notify_all()
        with self._changed:
            self.lines.append("<end of output>")
            self._changed.notify_all()

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    async def says(self, pattern: str, *, after: int = 0) -> str:
        """Wait until a line matches, and return it."""
        return await self.finds(lambda line: re.search(pattern, line) is not None, repr(pattern), after=after)

    async def finds(self, is_it: Callable[[str], bool], what: str, *, after: int = 0) -> str:
        """Wait for a line that fulfils a condition, and return it.

        :param what: names the condition.
        """
        return await asyncio.to_thread(self._find, is_it, what, after)

    def _find(self, is_it: Callable[[str], bool], what: str, after: int) -> str:
        deadline = time.monotonic() + PATIENCE
        with self._changed:
            while True:
                for line in self.lines[after:]:
                    if is_it(line):
                        return line
                left = deadline - time.monotonic()
                if left <= 0 or "<end of output>" in self.lines[after:]:
                    raise AssertionError(f"no line matches {what} in:\n{self.text}")
                self._changed.wait(left)

    async def ready(self) -> str:
        """Wait until it listens, and return the URL for clients, which may lead through a bridge to HTTP/2."""
        return await self.to_clients(await self.address())

    async def address(self) -> str:
        """Wait until it listens, and return its own URL."""
        return (await self.says(r"^listening on ")).removeprefix("listening on ")

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    async def ends(self) -> int:
        """Wait until it has ended, and return its exit status."""
        try:
            status = await asyncio.to_thread(self.process.wait, PATIENCE)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it did not end within {PATIENCE} s:\n{self.text}") from None
        await asyncio.to_thread(self._reader.join, PATIENCE)
        return status

    async def stops(self) -> None:
        """Send SIGTERM; it must end with status 0."""
        self.signal(signal.SIGTERM)
        assert await self.ends() == 0, self.text

    async def rewrites(self, text: str, expected: str = r"configuration in force") -> str:
        """Change the configuration in place and wait for what it says."""
        after = len(self.lines)
        self.config.write_text(text)
        return await self.says(expected, after=after)

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._reader.join(5)
        if self.process.stderr is not None:
            self.process.stderr.close()


class Client:
    """One connection to the gateway."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def to(cls, url: str) -> Client:
        if url.startswith("unix:"):
            return cls(*await asyncio.open_unix_connection(url.removeprefix("unix:")))
        host, _, port = url.removeprefix("http://").rpartition(":")
        return cls(*await asyncio.open_connection(host.strip("[]"), int(port)))

    async def send(self, path: str, method: str = "GET", headers: str = "") -> None:
        self.writer.write(f"{method} {path} HTTP/1.1\r\nHost: test\r\n{headers}\r\n".encode())
        await self.writer.drain()

    async def answer(self) -> tuple[int, str]:
        """Return status and body of the next answer."""
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        length = re.search(r"content-length: (\d+)", head)
        body = await self.reader.readexactly(int(length[1]) if length else 0)
        return int(head.split(" ", 2)[1]), body.decode()

    def close(self) -> None:
        self.writer.transport.abort()


async def in_flight(url: str, upstream: Upstream, path: str = "/slow") -> list[Client]:
    """Send a request over either protocol, and return the clients when the upstream has both requests."""
    clients = [await Client.to(url) for _ in range(2)]
    for client in clients:
        await client.send(path)
    async with asyncio.timeout(PATIENCE):
        while sum(path in line for line in upstream.seen) < len(clients):  # noqa: ASYNC110 - it knows no event
            await asyncio.sleep(0.01)
    return clients


def close(clients: Iterable[Client]) -> None:
    for client in clients:
        client.close()


async def get(url: str, path: str, *, headers: str = "") -> tuple[int, str]:
    """Ask once, on a connection of its own."""
    client = await Client.to(url)
    try:
        await client.send(path, headers=headers + "Connection: close\r\n")
        async with asyncio.timeout(PATIENCE):
            return await client.answer()
    finally:
        client.close()


async def get_over_both(url: str, path: str, *, headers: str = "") -> tuple[int, str]:
    """Ask over either protocol; the responses are the same."""
    (status, body), (other, _) = [await get(url, path, headers=headers) for _ in range(2)]
    assert status == other, body
    return status, body


async def get_json(url: str, path: str) -> Any:
    status, body = await get(url, path)
    assert status == 200, body
    return json.loads(body)


async def eventually(url: str, path: str, expected: str) -> None:
    """Ask until two answers in a row, "STATUS BODY", contain the text; three digits alone are a status.

    Two, because of two connections in a row one speaks HTTP/2.
    """
    is_status = re.fullmatch(r"\d{3}", expected) is not None
    deadline = time.monotonic() + PATIENCE
    found = 0
    while True:
        status, body = await get(url, path)
        # An error's body names its request, whose id may contain any number.
        found = found + 1 if (status == int(expected) if is_status else expected in f"{status} {body}") else 0
        if found == 2:
            return
        if found:
            continue
        assert time.monotonic() < deadline, f"{status} {body}"
        await asyncio.sleep(0.05)


def children_of(pid: int) -> list[int]:
    """Return the processes that it has started, and those that they have."""
    threads = Path(f"/proc/{pid}/task").iterdir()
    found = [int(each) for thread in threads for each in (thread / "children").read_text().split()]
    return [*found, *(each for child in found for each in children_of(child))]
