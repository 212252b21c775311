"""Requests of the command line to a running gateway, over its control socket."""

from __future__ import annotations

import http.client
import json
import os
import socket
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from gateway_core.config.sources import ConfigRoot
from gateway_core.errors import GatewayError
from gateway_core.process.control_socket import control_directory, find_sockets, socket_address

_PATIENCE: Final = 15.0
"""Seconds in which a gateway that exchanges its program (SIGUSR2) listens again."""


class NoGatewayError(GatewayError):
    """No running gateway was found, or several; the text says how to name one."""


def find_gateway(roots: Sequence[ConfigRoot] | None, pid: int | None) -> Path:
    """Return the control socket of a gateway: of these files and sources, of a process, or of the only one that runs.

    :raises NoGatewayError: there is none, or more than one.
    """
    directory = control_directory(os.environ)
    found = find_sockets(directory, roots=roots, pid=pid)
    if len(found) == 1:
        return found[0]
    if found:
        text = f"several gateways run (process ids {_pids(found)}): name one with --pid, or with -c as it was run"
        raise NoGatewayError(text)
    what = " with this configuration" if roots is not None else f" as process {pid}" if pid is not None else ""
    others = find_sockets(directory)
    hint = f": name one of those that run with --pid ({_pids(others)})" if others else ""
    raise NoGatewayError(f"no gateway of this user runs{what}, looked in {directory}{hint}")


def _pids(paths: Sequence[Path]) -> str:
    return ", ".join(path.stem.rpartition("-")[2] for path in paths)


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__("gateway", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        until = time.monotonic() + _PATIENCE
        while True:
            self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self.sock.settimeout(self.timeout)
            try:
                with socket_address(self._path) as address:
                    self.sock.connect(address)
            except (ConnectionRefusedError, FileNotFoundError):
                self.sock.close()
                if time.monotonic() > until:
                    raise
                time.sleep(0.05)  # its program is being exchanged
            else:
                return


def post(path: Path, target: str, body: Any, timeout: float) -> tuple[int, Any]:
    """Send JSON to a gateway, and return the status and the JSON (or text) of its response.

    :param timeout: seconds that the response may take.
    :raises GatewayError: it is gone, or does not respond.
    """
    connection = _UnixConnection(path, timeout)
    try:
        connection.request("POST", target, json.dumps(body), {"Content-Type": "application/json"})
        response = connection.getresponse()
        content = response.read()
    except (OSError, http.client.HTTPException) as error:
        raise GatewayError(f"the gateway at {path} did not respond: {str(error) or type(error).__name__}") from error
    finally:
        connection.close()
    if response.headers.get_content_type() == "application/json":
        return response.status, json.loads(content)
    return response.status, content.decode(errors="replace").strip()
