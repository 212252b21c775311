"""Requests of the command line to a running gateway: over its control socket, or to an admin listener.

`options.running_gateway_options` gives a command what names one. Everything that keeps a question from being decided
(no gateway, no response in time, refused) is a `GatewayError`, and exit status 3.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NoReturn
from urllib.parse import urlsplit

import click

from gateway_core.cli.client_token import client_context, client_token, is_loopback
from gateway_core.cli.layout import printable
from gateway_core.cli.options import UNDECIDABLE
from gateway_core.config.sources import ConfigRoot, parse_root
from gateway_core.errors import GatewayError
from gateway_core.process.control_socket import control_directory, find_sockets, find_starting, socket_address

_PATIENCE: Final = 15.0
"""Seconds in which a gateway that exchanges its program (SIGUSR2) listens again."""


class NoGatewayError(GatewayError):
    """No running gateway was found, or several; the text says how to name one."""


class UnavailableError(GatewayError):
    """The gateway ends, or exchanges its program: it closed the connection without a response, or responded 503."""


def client_of(roots: Sequence[str], pid: int | None, admin: str | None) -> AdminClient:
    """Return what sends requests to the gateway that the options name, or to the only one of this user.

    :raises NoGatewayError: there is none, or more than one.
    """
    if admin is None:
        return AdminClient(find_gateway(_parsed(roots), pid))
    if roots or pid is not None:
        raise click.UsageError("give either --admin, or -c and --pid")
    if admin.startswith("unix:"):
        return AdminClient(Path(admin.removeprefix("unix:")))
    parts = urlsplit(admin if "://" in admin else f"http://{admin}")
    try:
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise click.BadParameter(f"{admin!r} is no address: {error}") from None
    if parts.scheme not in {"http", "https"} or not host:
        raise click.BadParameter(f"{admin!r} is no address: write unix:/path or http://127.0.0.1:9090")
    has_tls = parts.scheme == "https"
    token = client_token(os.environ)
    if token is not None and not has_tls and not is_loopback(host):
        raise NoGatewayError(f"the token is not sent to {host} over plain HTTP: write https://, or unix:/path")
    return AdminClient((host, port or (443 if has_tls else 80)), token, has_tls)


def _parsed(texts: Sequence[str]) -> tuple[ConfigRoot, ...] | None:
    try:
        return tuple(parse_root(text) for text in texts) or None
    except ValueError as error:
        raise click.BadParameter(f"a source {error}") from None


def exit_undecided(error: GatewayError | str) -> NoReturn:
    """Say why nothing could be decided, and exit with status 3."""
    click.echo(f"gateway: {error}", err=True)
    raise click.exceptions.Exit(UNDECIDABLE)


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
    if starting := find_starting(directory, roots=roots, pid=pid):
        each = ", ".join(f"process {number} is {printable(text)}" for number, text in starting.items())
        raise NoGatewayError(f"the gateway is starting and serves nothing yet: {each}")
    what = " with this configuration" if roots is not None else f" as process {pid}" if pid is not None else ""
    others = find_sockets(directory)
    named = f"name one of those that run with --pid ({_pids(others)})" if others else "start one with `gateway run`"
    raise NoGatewayError(
        f"no gateway of this user runs{what}, looked in {directory}: {named}, or reach another's with --admin"
    )


def find_again(path: Path) -> Path:
    """Return the control socket of a gateway that may have been restarted, as another process, since it was found.

    :raises NoGatewayError: no gateway runs its configuration, or several others do.
    """
    found = find_sockets(path.parent, like=path)
    if path in found:
        return path
    if len(found) != 1:
        raise NoGatewayError(f"the gateway at {path} is gone")
    return found[0]


def _pids(paths: Sequence[Path]) -> str:
    return ", ".join(path.stem.rpartition("-")[2] for path in paths)


@dataclass(frozen=True, slots=True)
class AdminClient:
    """Sends requests to one gateway, each on a connection of its own."""

    address: Path | tuple[str, int]
    """A unix socket, or a host and port."""
    token: str | None = field(default=None, repr=False)
    """Sent to a host."""
    has_tls: bool = False

    def get(self, target: str, timeout: float) -> Any:
        """Return the JSON of a page.

        :param timeout: seconds that the response may take.
        :raises GatewayError: there is no response, or another one than 200.
        """
        status, content = self._request("GET", target, None, timeout)
        if status != 200:
            raise GatewayError(f"the gateway at {self._name} responded {status}: {detail_of(content)}")
        return content

    def post(self, target: str, body: Any, timeout: float) -> tuple[int, Any]:
        """Send JSON, and return the status and the JSON (or text) of the response.

        :param body: None for none.
        :param timeout: seconds that the response may take.
        :raises GatewayError: the gateway is gone, does not respond, or refuses.
        """
        # What is not UTF-8 on the command line is an error here, rather than half of a character in the gateway.
        text = None if body is None else json.dumps(body, ensure_ascii=False).encode()
        status, content = self._request("POST", target, text, timeout)
        if status == 503:
            raise UnavailableError(f"the gateway at {self._name}: {detail_of(content)}")
        if status in {401, 403, 421, 429}:
            raise GatewayError(f"the gateway at {self._name} refused: {detail_of(content)}")
        return status, content

    @contextmanager
    def stream(self, target: str, headers: Mapping[str, str], timeout: float) -> Iterator[http.client.HTTPResponse]:
        """Give the response of a page that does not end.

        :param timeout: seconds that it may take from one byte to the next.
        :raises GatewayError: there is no response, or another one than 200.
        """
        connection = self._connection(timeout)
        try:
            try:
                connection.request("GET", target, headers={**self._fields(None), **headers})
                response = connection.getresponse()
            except (http.client.HTTPException, OSError) as error:
                why = _reason(error) if isinstance(error, OSError) else "closed the connection"
                raise UnavailableError(f"the gateway at {self._name}: {why}") from error
            if response.status != 200:
                with contextlib.suppress(ValueError):
                    kind = UnavailableError if response.status == 503 else GatewayError
                    raise kind(f"the gateway at {self._name} refused: {detail_of(json.loads(response.read()))}")
                raise GatewayError(f"the gateway at {self._name} responded {response.status}")
            yield response
        finally:
            connection.close()

    @property
    def _name(self) -> str:
        return str(self.address) if isinstance(self.address, Path) else f"{self.address[0]}:{self.address[1]}"

    def _fields(self, body: bytes | None) -> dict[str, str]:
        fields = {} if body is None else {"Content-Type": "application/json"}
        return fields if self.token is None else {**fields, "Authorization": f"Bearer {self.token}"}

    def _connection(self, timeout: float) -> http.client.HTTPConnection:
        if isinstance(self.address, Path):
            return _UnixConnection(self.address, timeout)
        if self.has_tls:
            context = client_context(os.environ)
            return http.client.HTTPSConnection(*self.address, timeout=timeout, context=context)
        return http.client.HTTPConnection(*self.address, timeout=timeout)

    def _request(self, method: str, target: str, body: bytes | None, timeout: float) -> tuple[int, Any]:
        connection = self._connection(timeout)
        try:
            try:
                connection.request(method, target, body, self._fields(body))
                response = connection.getresponse()
                content = response.read()
            except (ConnectionResetError, BrokenPipeError, http.client.HTTPException) as error:
                raise UnavailableError(f"the gateway at {self._name} closed the connection") from error
            except OSError as error:
                why = f"did not respond within {timeout:.3g} s" if isinstance(error, TimeoutError) else _reason(error)
                raise GatewayError(f"the gateway at {self._name}: {why}") from error
        finally:
            connection.close()
        if response.headers.get_content_type() not in {"application/json", "application/problem+json"}:
            return response.status, content.decode(errors="replace").strip()
        try:
            return response.status, json.loads(content)
        except ValueError as error:
            raise GatewayError(f"the gateway at {self._name} sent what is no JSON: {error}") from error


def detail_of(content: Any) -> Any:
    """Return why a gateway refuses, of a problem (RFC 9457) or of another body."""
    return content.get("detail", content) if isinstance(content, dict) else content


def _reason(error: OSError) -> str:
    return error.strerror or str(error) or type(error).__name__


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
                # Nothing listens while the program is exchanged: then the process, which the file's name ends with, is
                # there. Another file may be any admin listener's, which is there or not.
                if not self._path.stem.rpartition("-")[2].isdecimal() or time.monotonic() > until:
                    raise
                time.sleep(0.05)
            else:
                return
