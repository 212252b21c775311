"""The control socket: the admin API of a running gateway for its own user, found without knowing an address.

Each running gateway has one unix socket, mode 0600 in a directory of mode 0700: ``$XDG_RUNTIME_DIR/gateway``, else
``gateway-UID`` in the directory for temporary files. Its name is a digest of what ``-c`` named and the process id, so
that commands find a gateway by either (`find_sockets`). A gateway that cannot make it serves without: a read-only
file system must not keep it from starting.

A gateway that was killed leaves its file behind, and the next one that starts removes it. Whether a file is stale is
shown by the connection being refused and the process being gone: SIGUSR2 exchanges the program, and for that moment
nothing listens although the process lives.

A gateway that starts has nothing to show yet, and may wait for long, for a source for example. Until it has a socket
there is a file in its place with what it waits for, so that commands do not report that there is no gateway.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import socket
import stat
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from gateway_core.config.sources import ConfigRoot, names_of
from gateway_core.errors import GatewayError
from gateway_core.events import CONTROL_SOCKET_MISSING, emit
from gateway_core.failure_text import system_reason
from gateway_core.process.sockets import serve_unix

if TYPE_CHECKING:
    from gateway_core.admin import AdminView
    from gateway_core.admin.server import AdminServer


_SUFFIX: Final = ".sock"
_STARTING: Final = ".starting"
_LONGEST_ADDRESS: Final = 103
"""Bytes of a path that fit into the address of a unix socket on every system (Linux takes four more)."""

_BACKLOG: Final = 16
_SHUTDOWN_TIMEOUT: Final = 1.0
"""Seconds in which a response under way may end."""


def control_directory(environ: Mapping[str, str]) -> Path:
    """Return where this user's gateways have their control sockets."""
    runtime = environ.get("XDG_RUNTIME_DIR", "")
    if Path(runtime).is_absolute():
        return Path(runtime) / "gateway"
    try:
        temporary = Path(tempfile.gettempdir())
    except FileNotFoundError:  # no directory can be written: then there is no socket, and no other harm
        temporary = Path("/tmp")  # noqa: S108  # a directory for this user alone is made in it
    return temporary / f"gateway-{os.geteuid()}"


def socket_path(directory: Path, roots: Sequence[ConfigRoot], pid: int) -> Path:
    """Return the path of the control socket of a gateway that runs these files and sources."""
    return directory / f"{_digest(roots)}-{pid}{_SUFFIX}"


def find_sockets(
    directory: Path, *, roots: Sequence[ConfigRoot] | None = None, pid: int | None = None, like: Path | None = None
) -> list[Path]:
    """Return the control sockets of gateways of a configuration, of a process, or of all; stale ones are left out.

    :param like: a control socket of a gateway of the configuration, in place of ``roots``.
    :raises GatewayError: the directory is another user's, or open to others, who could pose as a gateway there.
    """
    begin = "*" if roots is None else _digest(roots)
    if like is not None:
        begin = like.stem.rpartition("-")[0]
    end = "*" if pid is None else str(pid)
    return [path for path in _files(directory, f"{begin}-{end}{_SUFFIX}") if not _is_stale(path)]


def find_starting(
    directory: Path, *, roots: Sequence[ConfigRoot] | None = None, pid: int | None = None
) -> dict[int, str]:
    """Return what gateways wait for that have no control socket yet, by their process.

    :raises GatewayError: see `find_sockets`.
    """
    begin = "*" if roots is None else _digest(roots)
    end = "*" if pid is None else str(pid)
    found = {}
    for path in _files(directory, f"{begin}-{end}{_STARTING}"):
        owner = path.stem.rpartition("-")[2]
        with contextlib.suppress(OSError):  # it has just started
            if _is_alive(owner):
                found[int(owner)] = path.read_text(errors="replace")
    return found


def _files(directory: Path, pattern: str) -> list[Path]:
    remedy = "run this as the gateway's user, or name its admin listener with --admin"
    try:
        is_own = _is_own(directory)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise GatewayError(f"{directory} cannot be read: {system_reason(error).lower()}: {remedy}") from error
    if not is_own:
        raise GatewayError(f"{directory} is not a directory for this user alone: {remedy}")
    return sorted(directory.glob(pattern))


@contextmanager
def socket_address(path: Path) -> Iterator[str]:
    """Give what a socket is bound or connected to: a short way to the path where it is too long for an address."""
    if len(os.fsencode(path)) <= _LONGEST_ADDRESS or not Path("/proc/self/fd").is_dir():
        yield str(path)
        return
    descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{descriptor}/{path.name}"
    finally:
        os.close(descriptor)


def _digest(roots: Sequence[ConfigRoot]) -> str:
    return hashlib.sha256("\n".join(names_of(roots)).encode()).hexdigest()[:16]


def _is_stale(path: Path) -> bool:
    """Return whether no process has this socket. A gateway that runs here is not connected to for that."""
    if _is_alive(path.stem.rpartition("-")[2]):
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:  # it may be of another container
        probe.settimeout(1)
        try:
            with socket_address(path) as address:
                probe.connect(address)
        except ConnectionRefusedError:
            return True
        except OSError:
            return False
    return False


def _is_alive(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except (ProcessLookupError, ValueError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


class ControlSocket:
    """The control socket of this gateway."""

    def __init__(self, path: Path, view: AdminView, is_draining: Callable[[], bool]) -> None:
        """Name the socket; nothing is opened yet."""
        self.path = path
        self._view = view
        self._is_draining = is_draining
        self._server: asyncio.AbstractServer | None = None
        self._admin: AdminServer | None = None

    def announce(self, status: str) -> None:
        """Have commands find a gateway that is starting.

        :param status: what it waits for.
        """
        # Without a directory for it there is no socket either, which `open` reports.
        with contextlib.suppress(OSError, GatewayError):
            self._use_directory()
            self._mark.touch(0o600)
            self._mark.write_text(status)

    def withdraw(self) -> None:
        """Have commands not find a gateway that is starting: it listens, or will not."""
        with contextlib.suppress(OSError):
            self._mark.unlink(missing_ok=True)

    @property
    def _mark(self) -> Path:
        return self.path.with_suffix(_STARTING)

    async def open(self) -> None:
        """Listen, and remove what gateways left that are gone; a failure is logged, and there is no socket then."""
        try:
            sock = await asyncio.to_thread(self._bind)
        except (OSError, GatewayError) as error:
            text = f"there is no control socket, so that commands such as gateway status find no gateway: {error}"
            emit(CONTROL_SOCKET_MISSING, text, reason=str(error))
            return
        self._server = await serve_unix(self._connected, sock)
        self.withdraw()

    def _bind(self) -> socket.socket:
        self._use_directory()
        for path in self.path.parent.glob(f"*{_SUFFIX}"):
            if path == self.path or _is_stale(path):
                path.unlink(missing_ok=True)
        for path in self.path.parent.glob(f"*{_STARTING}"):
            if not _is_alive(path.stem.rpartition("-")[2]):
                path.unlink(missing_ok=True)
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.setblocking(False)
            with socket_address(self.path) as address:
                sock.bind(address)
            self.path.chmod(0o600)
            sock.listen(_BACKLOG)
        except BaseException:
            sock.close()
            raise
        return sock

    def _use_directory(self) -> None:
        """Make the directory, unless it is there.

        :raises GatewayError: others could replace the socket there.
        """
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _check_directory(self.path.parent)

    def _connected(self) -> asyncio.BaseProtocol:
        if self._admin is None:
            # Most gateways are never called, and a supervisor serves no HTTP otherwise.
            from gateway_core.admin import admin_server  # noqa: PLC0415

            self._admin = admin_server(self._view, is_draining=self._is_draining, is_private=True)
        return self._admin()

    async def aclose(self, *, keeps_file: bool = False) -> None:
        """Stop listening, and remove the file, unless another program is about to listen under its name."""
        server, self._server = self._server, None
        if server is not None:
            # Some rounds of the loop take in who has connected already (accepted, made a transport, given a protocol):
            # what is accepted later than that would be closed by nothing.
            for _ in range(5):
                await asyncio.sleep(0)
            server.close()
        admin, self._admin = self._admin, None
        if admin is not None:
            await admin.shutdown(_SHUTDOWN_TIMEOUT)
        if server is not None and not keeps_file:
            with contextlib.suppress(OSError):
                await asyncio.to_thread(self.path.unlink, missing_ok=True)


def _check_directory(directory: Path) -> None:
    """Refuse a directory in which others could replace the socket.

    :raises GatewayError: it is another user's, no directory, or open to others.
    """
    if not _is_own(directory):
        raise GatewayError(f"{str(directory)!r} is not a directory for this user alone: remove it, or run chmod 700")


def _is_own(directory: Path) -> bool:
    found = directory.lstat()
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o077
