"""Options of single sockets."""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import socket
import ssl
import struct
from asyncio import sslproto
from collections.abc import Iterator
from typing import Any, Final, cast

READ_SIZE: Final = 65536
"""Bytes taken from a socket at once: what one read brings is in memory before anybody can say that it is too much."""

KEEPALIVE_OPTIONS: Final = tuple(
    (getattr(socket, name), value)
    for name, value in (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 15), ("TCP_KEEPCNT", 4))
    if hasattr(socket, name)
)
"""Probe a connection after a minute of silence, four times, 15 s apart: a dead peer is noticed within two minutes."""
_READS_AS_IT_LIKES: Final[set[type[asyncio.BaseTransport]]] = set()
"""Transports without such a setting; each connection would look for it in vain."""

_LINGER_NOT_AT_ALL: Final = struct.pack("ii", 1, 0)


def reset_on_close(transport: asyncio.BaseTransport) -> None:
    """Have closing the connection be a reset, where an orderly end would look like the end of a body.

    TLS needs none: what ends without its close_notify is seen to be cut off (RFC 8446 section 6.1).
    """
    sock = transport.get_extra_info("socket")
    if sock is not None and transport.get_extra_info("ssl_object") is None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT_AT_ALL)


def say_end(transport: asyncio.WriteTransport) -> bool:
    """Send a FIN behind what is written; False if that cannot be said, as over TLS."""
    if not transport.can_write_eof():
        return False
    with contextlib.suppress(OSError):  # the peer has reset the connection, which the transport is yet to notice
        transport.write_eof()
    return True


def is_flushed(transport: asyncio.WriteTransport) -> bool:
    """Whether the kernel seems to have all that is written.

    A TLS transport does not show what waits in the one below; but while something does, the socket takes no more.
    """
    sock = transport.get_extra_info("socket")
    if transport.get_write_buffer_size() or sock is None or sock.fileno() < 0:
        return not transport.get_write_buffer_size()
    poll = select.poll()
    poll.register(sock.fileno(), select.POLLOUT)
    return bool(poll.poll(0))


def ended_orderly(transport: asyncio.BaseTransport) -> bool:
    """Whether a connection that is at its end was ended by the peer: over TLS anybody can fake a FIN.

    Event loops treat an end without close_notify (RFC 8446 section 6.1) like one with it; reading once more shows
    which it was.
    """
    tls = transport.get_extra_info("ssl_object")
    if tls is None:
        return True
    try:
        return not tls.read(1)
    except ssl.SSLZeroReturnError:
        return True
    except (ssl.SSLError, ValueError):
        return False


def last_words(transport: asyncio.BaseTransport) -> Iterator[bytes]:
    """Yield what is left to read of a connection that its transport has given up already."""
    sock = transport.get_extra_info("socket")
    if sock is None or transport.get_extra_info("ssl_object") is not None or sock.fileno() < 0:
        return
    with contextlib.suppress(OSError):
        while data := os.read(sock.fileno(), READ_SIZE):
            yield data


def read_little_over_tls() -> None:
    """Bound what a TLS connection reads at once: asyncio gives each a buffer of 256 KiB for life otherwise."""
    sslproto.SSLProtocol.max_size = READ_SIZE


def close_once(transport: asyncio.Transport) -> None:
    """Close a connection that may be closing already: closed twice, a TLS transport of asyncio raises from then on."""
    if not transport.is_closing():
        transport.close()


def abort_unread(transport: asyncio.Transport) -> None:
    """Abort a connection, by a reset if not all is sent: the kernel would keep megabytes for a client that takes none.

    Such a connection counts for no limit any more, so that clients could have as many as they like.
    """
    sock = transport.get_extra_info("socket")
    if sock is not None and sock.fileno() >= 0 and not is_flushed(transport):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT_AT_ALL)
    transport.abort()


def abort_unless_closed(transport: asyncio.Transport) -> None:
    """Abort a connection if it is still there, or not all is sent: asyncio's do not survive an abort once closed."""
    if not transport.is_closing() or transport.get_write_buffer_size():
        abort_unread(transport)


def abort_later(transport: asyncio.Transport, seconds: float) -> None:
    """Abort a connection if it is still there, or not all is sent, after so many seconds."""
    asyncio.get_running_loop().call_later(seconds, abort_unless_closed, transport)


def set_no_delay(transport: asyncio.BaseTransport) -> None:
    """Have small writes sent at once."""
    sock = transport.get_extra_info("socket")
    if sock is not None and sock.family in {socket.AF_INET, socket.AF_INET6}:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def set_keepalive(transport: asyncio.BaseTransport) -> None:
    """Have the kernel find out whether a silent peer is still there.

    Firewalls and NATs forget silent connections after some minutes; the kernel's own default is two hours.
    """
    sock = transport.get_extra_info("socket")
    if sock is None or sock.family not in {socket.AF_INET, socket.AF_INET6}:
        return
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in KEEPALIVE_OPTIONS:
        sock.setsockopt(socket.IPPROTO_TCP, option, value)


def set_user_timeout(transport: asyncio.BaseTransport, seconds: float) -> None:
    """Have the kernel give a connection up whose peer has acknowledged nothing of what was sent for so long.

    It would send it again for a quarter of an hour.
    """
    sock = transport.get_extra_info("socket")
    if sock is not None and sock.family in {socket.AF_INET, socket.AF_INET6} and hasattr(socket, "TCP_USER_TIMEOUT"):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(seconds * 1000))


def read_little(transport: asyncio.BaseTransport) -> None:
    """Bound what one read brings; asyncio reads 256 KiB unless configured, uvloop cannot be configured.

    TLS holds what it has not decrypted yet beside that: 256 KiB while reading is paused, unless configured.
    """
    kind = type(transport)
    if kind in _READS_AS_IT_LIKES:
        return
    if hasattr(transport, "max_size"):
        cast("Any", transport).max_size = READ_SIZE
    elif hasattr(transport, "set_read_buffer_limits"):
        cast("Any", transport).set_read_buffer_limits(high=READ_SIZE)
    else:
        _READS_AS_IT_LIKES.add(kind)
