"""The response hooks over an upstream's response, and what becomes of it then.

Made by a relay whose route has response hooks, or whose upstream sets a cookie. While hooks decide over the head, what
comes of the body is held, and the connection is paused. A hook may leave the response as it is, change its head,
filter its body, or replace it, which ends the upstream's connection. The same holds for the head of a 101: only then
is it sent, and both byte streams are joined.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from gateway_core.hooks import start_response_phase
from gateway_core.messages import Headers, Response
from gateway_core.messages.body import Output
from gateway_core.messages.response import response_block
from gateway_core.proxy.relay_owner import RelayOwner
from gateway_core.proxy.response_fields import BODILESS, has_gateway_fields, own_block
from gateway_core.proxy.tunnel import Tunnel, TunnelEnd
from gateway_core.proxy.upstream.connection import HEAD_ONLY, UpstreamConnection
from gateway_core.proxy.upstream_request import UpstreamRequest
from gateway_core.proxy.wire.response_head import NO_BODY, ResponseHead


class ResponsePhase:
    """One response of an upstream that hooks see."""

    __slots__ = (
        "_broken",
        "_call",
        "_flags",
        "_head",
        "_held",
        "_is_decided",
        "_owner",
        "_switched",
        "_trailers",
        "response",
    )

    def __init__(self, owner: RelayOwner, call: UpstreamRequest, head: ResponseHead, flags: int) -> None:
        """Make the response that hooks see.

        :param flags: those of the request that went upstream: a hook may have made a HEAD of it.
        """
        self._owner = owner
        self._call = call
        self._head = head
        self._flags = flags
        self.response = Response.streamed(head.status, head.reason, head.block)
        """As hooks see it, and then as they left it."""
        self._is_decided = False
        self._held: list[bytes] = []
        self._trailers: bytes | None = None  # of a response that is complete while hooks decide
        self._broken: tuple[str, str] | None = None  # reason and detail of one that will never be complete
        self._switched: UpstreamConnection | None = None

    def start(self, body: bytes, complete: bool) -> None:
        """Run the hooks, and pass on what they leave.

        :param body: what came with the head.
        """
        call, owner = self._call, self._owner
        self._held.append(body)
        if complete:
            self._trailers = b""
        sticky, endpoint = call.upstream.sticky, call.endpoint
        if sticky is not None and endpoint is not None:
            cookie = sticky.set_cookie(endpoint, call.sticky_cookie)
            if cookie is not None:
                self.response.headers.add("Set-Cookie", cookie)
        route, target = owner.phases.route, owner.phases.sticky_target
        if target is not None and route is not None and route.split is not None:
            cookie = route.split.set_cookie(target, owner.request)
            if cookie is not None:
                self.response.headers.add("Set-Cookie", cookie)
        try:
            if hooks := owner.phases.chain.response:
                owner.runner().run(self._decided, start_response_phase, hooks, owner.request, self.response)
            else:
                self._decided(self.response)
        except Exception as error:  # noqa: BLE001 - hooks may leave anything, and the connection is not to blame for it
            owner.crashed(error)
            return
        if not self._is_decided:
            call.pause_reading()
            owner.watch(0)  # it is the hook that takes its time now, not the upstream

    def _decided(self, response: Response) -> None:
        self._is_decided = True
        owner = self._owner
        if not response.is_streamed:
            # A hook replaced the response: the rest of the upstream's is not read.
            self._call.give_up()
            owner.write_response(response)
            return
        self.response = response
        held, trailers = b"".join(self._held), self._trailers
        self._held.clear()
        self._write(response, held, trailers == b"")
        if trailers == b"":
            owner.finish(self._call.directory.now())
        elif trailers is not None:
            self.on_end(trailers)
        elif self._broken is not None:
            owner.break_off("upstream", *self._broken)
        else:
            owner.snapshot_replaced()
            if not owner.writer.is_paused:
                owner.resume_response()

    def _write(self, response: Response, body: bytes, complete: bool) -> None:
        """Write a head that a hook may have changed, with the part of the body that is there."""
        head, owner = self._head, self._owner
        data = filtered(response, body, complete) if response.filters else body
        owner.response_begins()
        block, known = response_block(response), head.block
        is_head = owner.head.method == "HEAD"
        is_hooks_head = bool(self._flags & HEAD_ONLY) and not is_head
        is_same = not response.is_filtered and response.status == head.status and response.reason is head.reason
        if is_same and not is_hooks_head and block.startswith(known):
            added = b"" if block is known else block[len(known) :]
            # What does not begin a line went on with the last one: a value that a hook made longer.
            if not added or (added.startswith(b"\r\n") and not has_gateway_fields(added)):
                owner.writer.relay(head, added, owner.id_line, data, complete)
                return
        length = head.content_length
        if response.is_filtered:
            length = len(data) if complete and not is_head else None
        elif is_hooks_head or (not is_head and head.length == NO_BODY and response.status not in BODILESS):
            length = 0  # a hook made another status or method: what the head says of the body does not apply
        elif complete and length is None and not is_head:
            length = len(data)
        fields = own_block(response, known)
        owner.writer.start(response.status, response.reason, fields, length, owner.id_line, data, complete)

    def on_body(self, data: bytes) -> None:
        """Take the next part of the body."""
        if not self._is_decided:
            self._held.append(data)
        elif not self.response.filters:
            self._owner.writer.data(data)
        else:
            self._write_filtered(data, False)

    def on_end(self, trailers: bytes) -> None:
        """Take the end of the body."""
        if not self._is_decided:
            self._trailers = trailers
        elif not self.response.filters or self._write_filtered(b"", True):
            self._owner.writer.end(trailers)
            self._owner.finish(self._call.directory.now())

    def _write_filtered(self, data: bytes, complete: bool) -> bool:
        try:
            data = filtered(self.response, data, complete)
        except Exception as error:  # noqa: BLE001 - a filter is a plugin's
            self._owner.crashed(error)
            return False
        self._owner.writer.data(data)
        return True

    def on_broken(self, reason: str, detail: str) -> None:
        """Cut the response off, once hooks have decided over its head."""
        if self._is_decided:
            self._owner.break_off("upstream", reason, detail)
        else:
            self._broken = reason, detail

    @property
    def is_decided(self) -> bool:
        """Whether the hooks have run."""
        return self._is_decided

    def start_switch(self, connection: UpstreamConnection, data: bytes) -> None:
        """Run the hooks over the head of a 101, and join both byte streams if they leave it.

        :param data: what came behind the head.
        """
        owner = self._owner
        self._switched = connection
        connection.pause_reading()
        try:
            hooks, request = owner.phases.chain.response, owner.request
            owner.runner().run(
                partial(self._decided_on_switch, data), start_response_phase, hooks, request, self.response
            )
        except Exception as error:  # noqa: BLE001 - hooks may leave anything
            self._owner.crashed(error)

    def _decided_on_switch(self, data: bytes, response: Response) -> None:
        connection, self._switched = self._switched, None
        assert connection is not None
        owner, head = self._owner, self._head
        self._is_decided = True
        if response.is_streamed and response.status == head.status:
            self.response = response
            fields = own_block(response, head.block)
            client = owner.writer.switch(head.status, response.reason, fields, self._call.protocol_of(head))
            join(owner, client, connection, data)
            return
        connection.transport.abort()
        self._call.give_up()
        if response.is_streamed:  # a hook changed the status: there is no body to go with it
            response = Response(response.status, headers=response.headers)
        owner.write_response(response)

    def give_up(self) -> None:
        """Close the connection of a 101 that hooks decide over."""
        if self._switched is not None:
            self._switched.transport.abort()
            self._switched = None


def filtered(response: Response, data: bytes, complete: bool) -> bytes:
    """Return what the response's filters make of the next part of its body."""
    for body_filter in response.filters:
        data = _joined(body_filter.feed(data)) if data else b""
        if complete:
            data += _joined(body_filter.finish(Headers()))
    return data


def _joined(output: Output) -> bytes:
    if isinstance(output, bytes):
        return output
    if isinstance(output, Iterable):
        return b"".join(output)
    raise TypeError("an awaitable of a body filter cannot be awaited here")


def join(owner: RelayOwner, client: TunnelEnd, connection: UpstreamConnection, data: bytes) -> None:
    """Join both byte streams after a 101 until one ends.

    :param data: what the upstream sent behind its head.
    """
    proxy, route = owner.proxy, owner.phases.route

    def closed(tunnel: Tunnel, received: int, sent: int) -> None:
        proxy.tunnels.discard(tunnel)
        owner.tunnel_closed(received, sent)

    idle_timeout = 0.0 if route is None else route.timeouts.idle
    upstream = TunnelEnd(connection.transport, data)
    proxy.tunnels.add(Tunnel(client, upstream, idle_timeout=idle_timeout, now=proxy.now, on_closed=closed))
    owner.snapshot_replaced()
