"""The aiohttp server whose factory puts new connections into a lane."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from aiohttp import web

from gateway_core.messages import Response
from gateway_core.proxy.aiohttp_lane import AiohttpLane
from gateway_core.proxy.downstream.accepted import AcceptedConnection
from gateway_core.proxy.fast_lane import FastLane
from gateway_core.proxy.plain_answer import plain_answer
from gateway_core.proxy.socket_options import READ_SIZE, read_little_over_tls
from gateway_core.proxy.written import Written

if TYPE_CHECKING:
    from gateway_core.proxy.service import Proxy


async def _serve(request: web.BaseRequest) -> Written:
    lane = request.protocol
    assert isinstance(lane, AiohttpLane)
    return await lane.serve(request)


class GatewayServer(web.Server):
    """Makes the protocol of each new connection: the fast lane, or the aiohttp lane if the fast one is off."""

    def __init__(self, proxy: Proxy, listener: str) -> None:
        # aiohttp's type wants a StreamResponse; what it uses of one is what Written has.
        super().__init__(_serve, handler_cancellation=False)  # type: ignore[arg-type]
        self.proxy = proxy
        self.listener = listener
        """The address of the listeners, by which a configuration knows them."""
        read_little_over_tls()

    def __call__(self) -> Any:
        return self.protocol_for(None)

    def protocol_for(self, accepted: AcceptedConnection | None) -> FastLane | AiohttpLane:
        """Return the protocol of a new connection.

        :param accepted: what its acceptor knows of it; None if the event loop accepted it.
        """
        fast = self.proxy.holder.current.config.fast_lane
        lane = FastLane(self) if fast else self.general_lane()
        lane.accepted = accepted
        return lane

    def too_many(self) -> bytes:
        """Return the response to a connection that is one too many."""
        return self.proxy.refusal(503, retry_after=1)

    def text_on_tls(self) -> bytes:
        """Return the response to a request without TLS on a TLS listener."""
        response = Response.problem(400, "this port expects TLS, and the request came without: use https")
        return plain_answer(response, self.proxy.next_id(), self.proxy.date.block())

    def general_lane(self) -> AiohttpLane:
        """Return a new handler of the aiohttp lane."""
        limits = self.proxy.limits
        return AiohttpLane(
            self,
            loop=asyncio.get_running_loop(),
            keepalive_timeout=limits.idle_wait,
            tcp_keepalive=False,
            access_log=None,
            max_line_size=limits.max_head_bytes,
            max_field_size=limits.max_head_bytes,
            max_headers=limits.max_headers,
            lingering_time=2.0,
            read_bufsize=READ_SIZE // 4,
            auto_decompress=False,
        )
