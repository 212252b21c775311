"""How the connection of a client ends.

States of a connection, and what leads from one to the next:

    OPEN         requests are read
      eof()        -> HALF_CLOSED   the client has sent its FIN, and responses are still due
      linger()     -> LINGERING     the last response is written, and the client may not know that it is the last
      close()      -> FLUSHING      the client knows
    HALF_CLOSED  what came before the FIN is served; the client may read on, or be gone: no packet says which
      GRACE without progress, or nothing left to serve -> FLUSHING or aborted
      linger(), close() -> FLUSHING  nothing more will come that would have to be read
    LINGERING    our FIN is sent; what still comes is read and dropped, because closing a socket with unread bytes is a
                 reset, which may destroy the response on its way (RFC 9112 section 9.6)
      the client's FIN, or LINGER seconds -> FLUSHING, or aborted if it does not read
    FLUSHING     the transport is closed and sends what is written, for ``write_timeout`` at most; over TLS it then
                 waits for the client's close_notify, which need not come (RFC 8446 section 6.1): LINGER seconds
    Any state ends with the transport (`lost`), at once by `abort`.

While the gateway drains, an idle connection is closed; one without a request yet gets FRESH_GRACE for the request that
it was made for (`close_if_idle`).

RFC 9112 section 9.6 lets a client close its half and read on, and scripts do; browsers that close a tab look the same.
So a response that is at hand or in progress is sent, and no work goes on for long for a client that may be gone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from enum import IntEnum
from typing import Final, Protocol

from gateway_core.proxy.socket_options import abort_unread, is_flushed, reset_on_close, say_end
from gateway_core.proxy.sweeper import NEVER
from gateway_core.snapshot import SnapshotHolder

GRACE: Final = 0.5
"""Seconds without a byte of a response after which a client that has closed its half counts as gone."""

FRESH_GRACE: Final = 0.5
"""Seconds that a connection without a request yet is kept when the gateway drains."""

LINGER: Final = 2.0
"""Seconds that a connection is read from after a last response that its client may not expect to be the last."""


class State(IntEnum):
    """Where a connection is on its way to its end."""

    OPEN = 0
    HALF_CLOSED = 1
    LINGERING = 2
    FLUSHING = 3


_OPEN: Final = State.OPEN  # every connection has these two, and a look-up in an Enum takes time
_FLUSHING: Final = State.FLUSHING


class Ending(Protocol):
    """What the shutdown asks of its connection, and calls."""

    served: int
    """Requests so far."""

    @property
    def waiting_bytes(self) -> int:
        """Bytes that the client has not taken."""

    def progress(self) -> tuple[object, int]:
        """Return the exchange in progress, None if there is none, and the bytes of its response so far."""

    def is_busy(self) -> bool:
        """Whether something is in progress, or is still to be served."""

    def stop_requests(self) -> None:
        """Read no further requests, and drop what waits."""


class _NoConnection:
    """What a `Shutdown` has for its connection once that is lost, so that they do not keep each other."""

    served = waiting_bytes = 0

    def progress(self) -> tuple[object, int]:
        return None, 0

    def is_busy(self) -> bool:
        return False

    def stop_requests(self) -> None:
        pass


_GONE: Final = _NoConnection()
_NO_PROGRESS: Final = (None, 0)


class ShutdownHost(Protocol):
    """The process's `Proxy`, as far as this goes."""

    ending: set[Shutdown]
    """What the sweeper looks at."""

    holder: SnapshotHolder

    @property
    def now(self) -> Callable[[], float]: ...


class Shutdown:
    """The end of one connection; in the sweeper's set only while there is something to wait for."""

    __slots__ = (
        "_connection", "_flush_until", "_host", "_is_flushed", "_is_tls", "_progress", "_transport", "deadline",
        "is_reading", "state",
    )  # fmt: skip

    def __init__(self, connection: Ending, transport: asyncio.Transport, host: ShutdownHost, *, is_tls: bool) -> None:
        """Begin in OPEN."""
        self._connection = connection
        self._transport = transport
        self._host = host
        self._is_tls = is_tls
        self._progress: tuple[object, int] = _NO_PROGRESS
        self.state = _OPEN
        self.is_reading = True
        """Whether what comes, or has come, is a request's: in OPEN and HALF_CLOSED."""
        self._flush_until = self.deadline = NEVER
        self._is_flushed = False

    def eof(self) -> None:
        """Keep a connection open whose client will send nothing more."""
        self.state = State.HALF_CLOSED
        self._progress = self._connection.progress()
        self._wait(GRACE)

    def linger(self) -> None:
        """Send our FIN behind the last response, and let the client read it."""
        if self.state is State.HALF_CLOSED:
            self.close()
            return
        self.state, self.is_reading = State.LINGERING, False
        self._connection.stop_requests()
        self._wait(LINGER)
        say_end(self._transport)

    def close(self) -> None:
        """Close once what is written is sent."""
        self.state, self.is_reading = _FLUSHING, False
        self._connection.stop_requests()
        host, transport, now = self._host, self._transport, self._host.now()
        if not transport.is_closing():  # closed twice, a TLS transport of asyncio raises from then on
            transport.close()
        self.deadline = self._flush_until = now + host.holder.current.write_wait
        if self._is_tls:
            self.deadline = min(self.deadline, now + LINGER)
        host.ending.add(self)

    def abort(self) -> None:
        """Close at once."""
        self.state, self.is_reading = _FLUSHING, False
        self._connection.stop_requests()
        abort_unread(self._transport)

    def close_if_idle(self) -> None:
        """Close the connection unless a request is in progress, which then is its last."""
        if not self.is_reading or self._connection.is_busy():
            return
        if self._connection.served:
            self.close()
        else:
            self._wait(FRESH_GRACE)

    def lost(self) -> None:
        """Called when the connection is gone."""
        self.state, self.is_reading = _FLUSHING, False
        self.deadline = NEVER
        self._connection = _GONE
        self._host.ending.discard(self)

    def _wait(self, seconds: float) -> None:
        self.deadline = self._host.now() + seconds
        self._host.ending.add(self)

    def expire(self, now: float) -> None:
        """Go on to the next state: the time for this one is over."""
        transport = self._transport
        if self.state is State.OPEN:
            self.deadline = NEVER
            if not self._connection.is_busy():
                self.close()  # the request that a fresh connection was made for has not come
        elif self.state is State.HALF_CLOSED and not transport.is_closing():
            self._expire_half_closed(now)
        elif self.state is State.FLUSHING and now < self._flush_until and not self._was_flushed():
            self.deadline = min(self._flush_until, now + LINGER / 2)
        elif transport.get_write_buffer_size() or transport.is_closing():
            self.deadline = NEVER
            abort_unread(transport)  # what is written will not be read any more
        else:
            self.close()

    def _was_flushed(self) -> bool:
        """Whether all that is written is sent, now and at the last look: between two writes it looks the same."""
        before, self._is_flushed = self._is_flushed, is_flushed(self._transport)
        return before and self._is_flushed

    def _expire_half_closed(self, now: float) -> None:
        """Close the connection unless its response has got further since the last time."""
        self.deadline = now + GRACE
        exchange, count = progress = self._connection.progress()
        before, self._progress = self._progress, progress
        if exchange is None:
            self.close_if_idle()
        # What waits to be written is another matter: a client that is gone refuses it, one that is there has its time.
        elif (progress == before or not count) and not self._connection.waiting_bytes:
            reset_on_close(self._transport)  # or HTTP/1.0 would take this for the end of the body
            self.abort()
