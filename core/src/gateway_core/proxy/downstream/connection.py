"""One client's connection of HTTP/1: bytes in, exchanges out, one at a time.

How it works. `data_received` reads one request at most and begins its `Exchange`; there is no task. What came behind
the request waits in `ClientInput`: for the end of the exchange, and then for a turn (`Turns`), in which a few requests
are served while all other connections have theirs. What becomes of bytes that come:

    nothing is in progress           a head is read from them, and an exchange begins
    the beginning of a head waits    they are added to it until it is complete, too large, or late
    a body is in progress            they go through the `BodyIntake` to the exchange's `RequestBody`
    an exchange is in progress, a turn is awaited, or the client does not take what is written
                                     they wait; above `HIGH_WATER` the socket is not read any more
    shutdown                         they are dropped (see `Shutdown`)

The connection owns its socket and all that is made in `connection_made`, the `HeadReader` and the exchange in progress,
which speaks to its writer only. Every head makes an exchange, also one that is refused, so that it is logged.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from gateway_core.proxy.bounded_reads import bound_reads
from gateway_core.proxy.downstream.client import AcceptedConnection, Client
from gateway_core.proxy.downstream.connections import FEW, LARGE_HEAD, SECONDS_PER_TURN, ConnectionHost, has_large_head
from gateway_core.proxy.downstream.head_reader import HeadReader
from gateway_core.proxy.downstream.http1_writer import Http1ResponseWriter
from gateway_core.proxy.downstream.http2_connection import begin_http2
from gateway_core.proxy.downstream.intake import MALFORMED, NO_BODY_CAME, NOTHING_WAITS, BodyIntake, ClientInput
from gateway_core.proxy.downstream.shutdown import Shutdown, State
from gateway_core.proxy.downstream.sweeps import MovingExchange
from gateway_core.proxy.exchange import Exchange
from gateway_core.proxy.socket_options import read_little
from gateway_core.proxy.sweeper import NEVER
from gateway_core.proxy.wire.bodies import BadChunkError
from gateway_core.proxy.wire.h2.frames import PREFACE_HEAD
from gateway_core.proxy.wire.request_head import HeadProblem, RequestHead, late_head, skip_empty_lines
from gateway_core.snapshot import Snapshot


class ClientConnection(asyncio.Protocol):
    """The protocol of one accepted connection."""

    __slots__ = (
        "_accepted", "_exchange", "_expects_more", "_has_begun_head", "_heads", "_input", "_is_tunnel",
        "_is_waiting_for_turn", "_listener", "_proxy", "_transport", "_writer", "client", "deadline", "intake",
        "served", "shutdown",
    )  # fmt: skip

    def __init__(self, proxy: ConnectionHost, listener: str, accepted: AcceptedConnection | None = None) -> None:
        """Begin without a transport.

        :param listener: the address of the listeners.
        :param accepted: what its acceptor knows of it; None if the event loop accepted it.
        """
        self._proxy = proxy
        self._listener = listener
        self._accepted = accepted
        self.deadline = NEVER  # when the head in progress is late, or the idle connection is closed
        self._exchange: Exchange | None = None
        self._has_begun_head = False  # the deadline is that of a head of which a part is held
        self._is_tunnel = self._is_waiting_for_turn = False
        self.served = 0  # requests so far
        self._expects_more = False  # the client may send something behind the last request

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        stream: asyncio.Transport = transport  # type: ignore[assignment]  # uvloop's are none of asyncio's classes
        self._transport, proxy, limits = stream, self._proxy, self._proxy.holder.current.limits
        self.client = Client(stream, self._listener, self._accepted)
        self._heads = HeadReader(self.client)
        read_little(stream)
        self._input: ClientInput = NOTHING_WAITS
        self._writer = Http1ResponseWriter(self, stream, proxy.date)
        self.intake: BodyIntake = NO_BODY_CAME
        self.shutdown = Shutdown(self, stream, proxy, is_tls=self.client.scheme == "https")
        if proxy.connections.admit(self, self._accepted, limits):
            self.deadline = proxy.now() + limits.header_timeout
            if self.client.scheme == "https" and self.client.chose_http2:
                self._go_on_with_http2(b"")
        else:
            proxy.connections.turn_away(stream)

    def data_received(self, data: bytes) -> None:
        if (
            self._exchange is not None
            or self._is_waiting_for_turn
            or self._writer.is_paused
            or not self.shutdown.is_reading
        ):
            position = self.intake.read(data, 0) if self.intake.body is not None and not self._input.size else 0
            if position < len(data):
                self._hold(data, position)
            return
        waiting, position = self._input, 0
        if waiting.size:  # the beginning of a head
            waiting.hold(data)
            # No head becomes complete, or wrong in a new way, without another line; so each line is looked at once.
            if b"\n" not in data and waiting.size <= self._proxy.limits.max_head_bytes:
                return
            data, position = waiting.take()
        is_large = len(data) > LARGE_HEAD and has_large_head(data, position)  # mostly there is no need of the call
        if is_large or (position := self._read_request(data, position)) < len(data):
            self._hold(data, position)

    def _hold(self, data: bytes, position: int) -> None:
        """Keep bytes that cannot be read now."""
        if not self.shutdown.is_reading:
            return
        self._input = self._input.own(self._transport)
        self._input.hold(data, position)
        if self._takes_next or (self.intake.body is not None and self._input.takes_body):
            self._wait_for_turn()

    @property
    def _takes_next(self) -> bool:
        """Whether the next request may begin."""
        return (
            self._exchange is None
            and self.shutdown.is_reading
            and not self._writer.is_paused
            and not self._transport.is_closing()
        )

    def _wait_for_turn(self) -> None:
        self.deadline = NEVER
        if not self._is_waiting_for_turn:
            self._is_waiting_for_turn = True
            self._proxy.turns.enter(self)

    def serve_held(self, most: int) -> int:
        """Serve what is held, in a turn of this connection (see `Turns`)."""
        (data, position), served, end = self._input.take(), 0, self._proxy.now() + SECONDS_PER_TURN
        while position < len(data) and served < most and (not served or self._proxy.now() < end):
            if self.intake.body is not None and self._input.takes_body:
                position = self.intake.read(data, position)
            elif self._takes_next:
                position = self._read_request(data, position)
            else:
                break
            served += 1
        self._is_waiting_for_turn = False
        if position < len(data):
            self._hold(data, position)
        else:
            self._input.update()
            if self.intake.body is not None and self.shutdown.state is State.HALF_CLOSED:
                self._transport.abort()  # the client has sent all it will, and the body is not complete
            elif self._takes_next and not self._input.size and not self._has_begun_head:
                self.deadline = self._proxy.now() + self._proxy.limits.idle_wait
        return served

    def _read_request(self, data: bytes, position: int) -> int:
        """Begin one exchange with the request at a position; return where the bytes begin that were not read."""
        heads, snapshot = self._heads, self._proxy.holder.current
        head: RequestHead | None = heads.cached
        # A repeated head is recognized here, which spares a call; a slice costs less than `startswith`.
        if head is None or heads.snapshot is not snapshot or data[position : position + head.size] != heads.head_bytes:
            found = heads.read(data, position, snapshot)
            if not isinstance(found, RequestHead):
                self._refuse(found, data, position) if found else self._wait_for_head(data, position)
                return len(data)
            head = found
        position += head.size
        exchange, body = self._begin(head, snapshot), None
        try:
            if head.has_body:
                if self.intake is NO_BODY_CAME:
                    self.intake = BodyIntake(self.client, self._writer)
                body, position = self.intake.begin(exchange, head.facts, data, position)
                if not body.is_complete:
                    self._expect_body(is_all=position == len(data))
            elif self.shutdown.state and position == len(data):
                self._writer.make_last()  # the client has closed its half, and this is its last request
            exchange.start(body)
        except BadChunkError:
            self._expects_more = True
            exchange.refuse(*MALFORMED)
            return len(data)
        except Exception as error:  # noqa: BLE001 - this may be another request's end, or the upstream's bytes
            exchange.crashed(error)
        return position

    def _wait_for_head(self, data: bytes, position: int) -> None:
        """Keep the beginning of a head."""
        position = skip_empty_lines(data, position)
        if position == len(data) and self.served:
            return
        if not self._has_begun_head:
            self._has_begun_head = True
            if self.served:  # the first head has been late since the connection was made
                self.deadline = self._proxy.now() + self._proxy.limits.header_timeout
        if position < len(data):
            self._input = self._input.own(self._transport)
            self._input.hold(data, position)

    # -- exchanges

    def _begin(self, head: RequestHead, snapshot: Snapshot) -> Exchange:
        """Return the exchange of a request, of one that is refused as well; to be started."""
        proxy, writer = self._proxy, self._writer
        writer.begin(head)
        self.served += 1
        if self.served >= snapshot.max_requests_per_connection:
            writer.make_last()
        self._expects_more = head.facts.keep_alive
        self.deadline, self._has_begun_head = NEVER, False
        exchange = self._exchange = Exchange(proxy, writer, snapshot, head, self.client, proxy.now())
        return exchange

    def _expect_body(self, *, is_all: bool) -> None:
        """Read on for the rest of a body; ``is_all`` says that nothing behind this much of it is here."""
        if self.intake.is_large:
            bound_reads(self._transport, self)
        if self._input.is_paused:
            self._input.update()
        if is_all and self.shutdown.state:
            self._transport.abort()  # the client has closed its half: the rest will not come

    def _go_on_with_http2(self, data: bytes) -> None:
        """Give the connection over: its client has chosen HTTP/2, or begins with its preface (RFC 9113 section 3)."""
        self.deadline = NEVER
        self.shutdown.lost()
        self._writer.disown()
        begin_http2(self._proxy, self, self._transport, data)

    def _refuse(self, problem: HeadProblem, data: bytes, position: int) -> None:
        """Respond to what is no request, or one that is not served; or go on with HTTP/2."""
        self._input.take()
        current = self._proxy.holder.current
        if not self.served and data.startswith(PREFACE_HEAD, position) and self.client.may_begin_http2_in(current):
            self._go_on_with_http2(data[position:])
            return
        exchange = self._begin(self.client.refused(problem, current), current)
        self._expects_more = True  # what else the client sent, or sends, is not read
        exchange.refuse(problem.status, problem.reason, problem.detail, allow=problem.allow)

    # -- flow

    def stop_reading(self) -> None:
        self._input = self._input.own(self._transport)
        self._input.pause_body(True)

    def resume_reading(self) -> None:
        self._input.own(self._transport).pause_body(False)
        if self._input.size and self.intake.body is not None:
            self._wait_for_turn()

    def view_received(self, data: memoryview) -> bool:  # noqa: ARG002 - what comes is parsed, and may be kept
        return False

    def is_in_body(self) -> bool:
        return self.intake.body is not None or not self.shutdown.is_reading

    def may_read(self) -> bool:
        return not self._input.is_paused

    def pause_writing(self) -> None:
        self._writer.pause()
        if self._exchange is not None:
            self._exchange.pause_response()

    def resume_writing(self) -> None:
        self._writer.resume()
        if self._exchange is not None:
            self._exchange.resume_response()
        elif self._takes_next:
            self.exchange_finished(self._proxy.now())  # which waited for this

    # -- called by the writer

    def exchange_finished(self, now: float) -> None:
        self._exchange = None
        if self._is_tunnel:
            self._proxy.connections.dismiss(self, is_tunnel=True)
            self._is_tunnel = False
            self.shutdown.lost()  # the tunnel has the transport: nothing is reported here any more
            self._writer.disown()
            return
        writer, waiting, snapshot = self._writer, self._input, self._proxy.holder.current
        if not writer.keep_alive:
            if self._transport.is_closing():
                return
            if self._expects_more or self.intake.body is not None:
                self.shutdown.linger()
                bound_reads(self._transport, self)
            else:
                self.shutdown.close()
        elif writer.is_paused:
            # The next request is not begun before the client has taken this response.
            self.deadline = now + snapshot.write_wait
        elif waiting.size and not self._is_waiting_for_turn:
            self._wait_for_turn()
        elif not self._is_waiting_for_turn:  # or this is its turn, which goes on
            if waiting.is_paused:
                waiting.update()
            self.deadline = now + snapshot.idle_wait
            if self.served == 1 and len(self._proxy.connections.open) > FEW:
                self.forget_heads()  # ten thousand first heads are memory that is not given back

    def stop_requests(self) -> None:
        self.deadline = NEVER
        if self.intake.body is not None:
            self.intake.stop()
        if self._input is not NOTHING_WAITS:
            self._input.drop()

    def cut(self, *, flush: bool) -> None:
        self._exchange = None
        (self.shutdown.close if flush else self.shutdown.abort)()

    def begin_tunnel(self) -> bytes:
        self._is_tunnel, self.deadline = True, NEVER
        self._heads.clear()
        self._proxy.connections.switched(self)
        self.intake.stop()
        data, position = self._input.take()
        return data[position:]

    # -- ends

    def progress(self) -> tuple[Exchange | None, int]:
        """Return the exchange in progress and the bytes of its response, for who sees to slow clients."""
        return self._exchange, self._writer.bytes_sent

    def is_busy(self) -> bool:
        return self._exchange is not None or self._writer.is_paused or self._input.size > 0

    def awaited_bodies(self) -> Iterable[Exchange]:
        if self.intake.waits_for_client and self._exchange is not None:
            yield self._exchange

    def awaited_responses(self) -> Iterable[tuple[Exchange | None, int]]:
        if waiting := self.waiting_bytes:
            yield self._exchange, self._writer.bytes_sent - waiting

    @property
    def waiting_bytes(self) -> int:
        return self._writer.waiting_bytes

    def expire(self, now: float) -> None:  # noqa: ARG002 - the sweeper's signature
        """Close a connection that is idle, or whose head does not get complete."""
        self.deadline = NEVER
        if self._transport.get_write_buffer_size() or self._transport.is_closing():
            self.shutdown.abort()  # what is written will not be read any more
        elif self._input.size and self._exchange is None:
            data, position = self._input.take()
            self._refuse(late_head(data[position:]), b"", 0)
        else:
            self.shutdown.close()

    def drain(self) -> None:
        self.shutdown.close_if_idle()

    def end_slow_reader(self, exchange: MovingExchange | None) -> None:  # noqa: ARG002 - there is one at a time
        if self._exchange is not None:
            self._exchange.leave("client", "client-too-slow", "the client takes its response below limits.min_rate")
        self.shutdown.abort()

    def abort(self) -> None:
        self.shutdown.abort()

    def forget_heads(self) -> None:
        """Keep nothing of the last request, and of its snapshot."""
        self._heads.clear()
        self.client.forget()

    @property
    def remembers(self) -> bool:
        """Whether a head is remembered that an idle connection should forget."""
        return self._exchange is None and (self.client.remembers or not self._heads.is_empty)

    def eof_received(self) -> bool:
        """Respond to what was asked, although the client will send nothing more."""
        exchange, transport = self._exchange, self._transport
        if not transport.can_write_eof() or not self.shutdown.is_reading:
            return False
        if exchange is None:
            if not self._is_waiting_for_turn:
                return False
        elif exchange.head.facts.upgrade is not None:
            return False
        elif not self._input.size:
            if self.intake.body is not None:
                return False  # the rest of the body will not come
            self._writer.make_last()
        self.shutdown.eof()
        return True

    def connection_lost(self, exc: BaseException | None) -> None:  # noqa: ARG002 - asyncio's signature
        self._proxy.connections.dismiss(self, is_tunnel=self._is_tunnel)
        self._is_tunnel = False
        if self.shutdown.is_reading:  # or it was closed by us, which has stopped them
            self.stop_requests()
        self.shutdown.lost()
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.client_gone()
        self._writer.disown()  # what refers to what refers to it would be garbage in cycles, which is found late
        self.client.forget()
