"""An example as a reader runs it: a copy of its folder, its certificates, its services as processes, the gateway."""

from __future__ import annotations

import asyncio
import shutil
import socket
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

import httpx

from tests.end_to_end.kit import PATIENCE, Gateway
from tests.ports import free_port
from tests.protocols.alternating import Turns
from tests.protocols.httpx_in_turn import AsyncInTurn, InTurn, Verify

EXAMPLES = Path(__file__).parents[2] / "examples"


class Service:
    """One of the small programs of the examples; the lines that it prints are kept."""

    def __init__(self, *command: str) -> None:
        self.lines: list[str] = []
        self.process = subprocess.Popen(
            [sys.executable, *command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.decode().rstrip("\n"))

    def listens(self, port: int) -> None:
        deadline = time.monotonic() + PATIENCE
        while True:
            with socket.socket() as connection:
                if connection.connect_ex(("127.0.0.1", port)) == 0:
                    return
            assert self.process.poll() is None, self.lines
            assert time.monotonic() < deadline, self.lines
            time.sleep(0.05)

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()
        self._reader.join(PATIENCE)
        if self.process.stdout is not None:
            self.process.stdout.close()


class Example:
    """Start it in a ``with`` statement; everything that was started ends with it."""

    def __init__(self, name: str, folder: Path) -> None:
        self.folder = folder / name
        shutil.copytree(EXAMPLES / name, self.folder)
        self.environ: dict[str, str] = {}
        self._running = ExitStack()
        self._turns = Turns()

    def __enter__(self) -> Example:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self._running.close()
        assert kind is not None or self._turns.protocols != "HTTP/2 only", "send more than one request"

    def client(self, url: str, *, verify: Verify = True, host: str = "") -> httpx.Client:
        """Return a client of the gateway, every second request of which goes over HTTP/2; others' URLs get HTTP/1.

        :param host: sent in place of that of the URL.
        """
        headers = {"Host": host} if host else {}
        return httpx.Client(base_url=url, headers=headers, mounts={url: InTurn(self._turns, verify)})

    def async_client(self, url: str) -> httpx.AsyncClient:
        """Return a client as `client` does, for a test with a loop."""
        return httpx.AsyncClient(base_url=url, mounts={url: AsyncInTurn(self._turns)})

    def port(self, variable: str) -> int:
        """Choose a free port for a variable of the configuration."""
        port = free_port()
        self.environ[variable] = str(port)
        return port

    def certificates(self, *names: str) -> None:
        script = EXAMPLES / "certificates.sh"
        subprocess.run([str(script), str(self.folder / "certificates"), *names], check=True, capture_output=True)

    def service(self, *command: str, port: int) -> Service:
        """Start a program of the example, and wait until it listens."""
        service = Service(*command)
        self._running.callback(service.stop)
        service.listens(port)
        return service

    def upstream(self, name: str, variable: str, *options: str) -> Service:
        port = self.port(variable)
        return self.service(str(EXAMPLES / "upstream.py"), name, str(port), *options, port=port)

    def gateway(self, *more: str) -> Gateway:
        gateway = Gateway(self.folder / "gateway.yaml", *more, environ=self.environ)
        self._running.callback(gateway.kill)
        return gateway

    def ready(self, listening: str = "") -> tuple[Gateway, str]:
        """Start the gateway, and return it with the URL of the listener whose URL has this text."""
        gateway = self.gateway()
        line = says(gateway, f"^listening on .*{listening}")
        return gateway, line.removeprefix("listening on ")


def says(gateway: Gateway, pattern: str) -> str:
    """Wait until a line of the gateway's matches, in a test without a loop, and return the line."""
    return asyncio.run(gateway.says(pattern))


def stops(gateway: Gateway) -> None:
    """Stop the gateway, which must end with status 0."""
    asyncio.run(gateway.stops())
