"""Listening sockets: bound once, by the process that owns them, and inherited by others."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import shutil
import socket
import stat
import struct
import sys
from array import array
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

from gateway_core.config.address import ListenAddress
from gateway_core.errors import GatewayError

BACKLOG = 2048
"""Connections that may wait to be accepted; asyncio's 100 drops some when many clients come at once."""


class BindError(GatewayError):
    """An address that cannot be listened on; the message is one line for the operator."""

    def __init__(self, message: str, address: str = "") -> None:
        super().__init__(message)
        self.address = address
        """As configured."""


_KEEPALIVE: Final = (
    ("SO_KEEPALIVE", socket.SOL_SOCKET, 1),
    ("TCP_KEEPIDLE", socket.IPPROTO_TCP, 60),
    ("TCP_KEEPINTVL", socket.IPPROTO_TCP, 15),
    ("TCP_KEEPCNT", socket.IPPROTO_TCP, 4),
)
"""Options of listening sockets that accepted ones inherit: a client that vanished without a word is noticed after two
minutes, also on connections that have no time limit, and no firewall between forgets an idle one."""


def bind(
    address: ListenAddress,
    text: str,
    mode: str | None = None,
    owner: str | None = None,
    *,
    reuse_port: bool = False,
) -> socket.socket:
    """Return a listening, non-blocking socket.

    :param text: the address as configured, for messages.
    :param mode: of the file of a unix socket, as in `set_access`.
    :param owner: of the file of a unix socket, as in `set_access`.
    :param reuse_port: share the port with sockets that have SO_REUSEPORT as well.
    :raises BindError: the address is taken, not ours or not allowed.
    """
    try:
        return bind_unix(address.path, mode, owner) if address.path else _bind_tcp(address, reuse_port=reuse_port)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        remedy = _remedy(error, is_unix=bool(address.path))
        raise BindError(f"cannot listen on {text}: {reason}{remedy}", text) from error


def share_port(socks: Iterable[socket.socket], *, is_shared: bool) -> None:
    """Let another socket of this user have the same port as these, or not any more."""
    for sock in socks:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, int(is_shared))


def _remedy(error: OSError, *, is_unix: bool) -> str:
    if isinstance(error, PermissionError) and is_unix:
        return ": use a directory in which the gateway's user may make files"
    if isinstance(error, PermissionError):
        return ": use a port above 1023, or grant CAP_NET_BIND_SERVICE"
    if error.errno == errno.EADDRINUSE:
        return ": stop what listens there, or change listen in the configuration"
    return ""


_NO_IPV6: Final = frozenset({errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT, errno.EADDRNOTAVAIL})
"""What a kernel without IPv6, or with it switched off, says to a socket for IPv6 and to binding it."""


def _bind_tcp(address: ListenAddress, *, reuse_port: bool) -> socket.socket:
    host = address.host or None
    found = socket.getaddrinfo(host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    if host is None:
        # Every interface is one dual-stack socket where the machine has IPv6, else IPv4.
        found.sort(key=lambda entry: entry[0] != socket.AF_INET6)
    error: OSError | None = None
    for family, kind, protocol, _, where in found:
        try:
            sock = socket.socket(family, kind, protocol)
            if reuse_port:
                share_port([sock], is_shared=True)
            return _listening(sock, where, dual_stack=host is None)
        except OSError as failure:
            error = error or failure
            # A port that is taken for IPv6 alone is taken: half of the interfaces would go unserved without a word.
            if host is not None or failure.errno not in _NO_IPV6:
                break
    assert error is not None
    raise error


def _listening(sock: socket.socket, where: object, *, dual_stack: bool) -> socket.socket:
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        for name, level, value in _KEEPALIVE:
            if hasattr(socket, name):
                sock.setsockopt(level, getattr(socket, name), value)
        if sock.family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if dual_stack else 1)
        sock.setblocking(False)
        sock.bind(where)  # type: ignore[arg-type]  # as getaddrinfo gave it
        sock.listen(BACKLOG)
    except OSError:
        sock.close()
        raise
    return sock


def bind_unix(path: str, mode: str | None, owner: str | None) -> socket.socket:
    """Return a socket that listens at a path.

    :raises BindError: something else is there, or the file cannot be given that mode and owner.
    :raises OSError: it cannot be made.
    """
    if (reason := unusable_path(path)) is not None:
        raise BindError(f"cannot listen on unix:{path}: {reason}", f"unix:{path}")
    _remove_stale(path)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.bind(path)
        # Before it listens: until then no client can connect, whatever the umask allows.
        set_access(path, mode, owner)
        sock.listen(BACKLOG)
    except BindError:
        close(sock)
        raise
    except OSError:
        sock.close()
        raise
    return sock


def set_access(path: str, mode: str | None, owner: str | None) -> None:
    """Give the file of a unix socket a mode and an owner, which decide who may connect.

    :param mode: octal digits; None leaves it as it is.
    :param owner: ``user`` or ``user:group``, names or numbers; None leaves it as it is.
    :raises BindError: there is no such user or group, or the process may not give it away.
    """
    try:
        if owner is not None:
            user, _, group = owner.partition(":")
            shutil.chown(path, int(user) if user.isdigit() else user, _group(group))
        if mode is not None:
            Path(path).chmod(int(mode, 8))
    except LookupError as error:
        raise BindError(f"cannot give unix:{path} to {owner}: {error}") from error
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise BindError(
            f"cannot set mode and owner of unix:{path}: {reason}: leave them out, or run as root"
        ) from error


def unusable_path(path: str) -> str | None:
    """Return why no unix socket can be made at a path, with a remedy; None if nothing is in the way."""
    folder = Path(path).parent
    if not folder.is_dir():
        return f"there is no directory {str(folder)!r}: create it, or listen elsewhere"
    try:
        if stat.S_ISSOCK(Path(path).stat().st_mode):
            return None
    except OSError:
        if not Path(path).is_symlink():
            return None
        return f"{path!r} is a link that leads nowhere: remove it, or listen elsewhere"
    return f"{path!r} is there already and is no socket: remove it, or listen elsewhere"


def _group(group: str) -> str | int | None:
    return int(group) if group.isdigit() else group or None


def _remove_stale(path: str) -> None:
    """Remove the file of a unix socket that no process listens on any more."""
    try:
        if not stat.S_ISSOCK(Path(path).stat().st_mode):
            return
    except OSError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            Path(path).unlink(missing_ok=True)


def adopt(descriptor: int) -> socket.socket:
    """Take over an inherited listening socket."""
    sock = socket.socket(fileno=descriptor)
    sock.setblocking(False)
    os.set_inheritable(descriptor, False)
    return sock


async def serve_unix(
    factory: Callable[[], asyncio.BaseProtocol], sock: socket.socket, backlog: int = 100
) -> asyncio.AbstractServer:
    """Accept connections on a bound unix socket; its file stays when the server closes.

    Another program may serve it by then, or another listener after a reload. From Python 3.13 on asyncio and uvloop
    would remove the file unless `close` is asked not to.
    """
    more: dict[str, Any] = {"cleanup_socket": False} if sys.version_info >= (3, 13) else {}
    return await asyncio.get_running_loop().create_unix_server(factory, sock=sock, backlog=backlog, **more)


def close(sock: socket.socket) -> None:
    """Stop listening; the file of a unix socket is removed."""
    if sock.family == socket.AF_UNIX:
        path = sock.getsockname()
        sock.close()
        if path:
            Path(path).unlink(missing_ok=True)
        return
    sock.close()


# A filter of Linux (linux/filter.h): load the byte of TCP's flags, mask SYN and ACK, drop SYN alone, take the rest.
_DROP_SYN: Final = b"".join(
    struct.pack("@HBBI", *each)
    for each in ((0x30, 0, 0, 13), (0x54, 0, 0, 0x12), (0x15, 0, 1, 0x02), (0x06, 0, 0, 0), (0x06, 0, 0, 0xFFFFFFFF))
)
_SO_ATTACH_FILTER: Final = 26


def drop_new(sock: socket.socket) -> None:
    """Have the system drop the first segment of who connects, for a listener that is about to be closed.

    A client sends it again a second later, to what listens there by then. Else it might be queued after the last one
    was accepted, and be reset when the socket is closed. Where there are no such filters, that moment remains.
    """
    if sys.platform != "linux" or sock.family == socket.AF_UNIX:
        return
    code = array("B", _DROP_SYN)
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("@HP", len(code) // 8, code.buffer_info()[0]))


def url_of(sock: socket.socket, scheme: str) -> str:
    """Return where the socket listens, as ``http://127.0.0.1:8080`` or ``unix:/path``."""
    name = sock.getsockname()
    if sock.family == socket.AF_UNIX:
        return f"unix:{name}"
    host, port = name[:2]
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"
