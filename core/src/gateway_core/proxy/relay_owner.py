"""What a `Relay` uses of the exchange that owns it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from gateway_core.config import LimitsConfig
from gateway_core.hooks import Chain
from gateway_core.messages import Request, Response
from gateway_core.proxy.downstream.client import Client
from gateway_core.proxy.inbound_head import InboundHead
from gateway_core.proxy.request_body import RequestBody
from gateway_core.proxy.response_writer import ResponseWriter
from gateway_core.proxy.tunnel import TunnelEnd


class RelayOwner(Protocol):
    """The exchange, as far as its relay uses it."""

    chain: Chain
    client: Client
    head: InboundHead
    request: Request
    writer: ResponseWriter
    body: RequestBody | None
    id_line: bytes

    @property
    def limits(self) -> LimitsConfig:
        """Those of the snapshot in force."""

    def watch(self, seconds: float) -> None:
        """Expire in so many seconds; 0 is no limit but that of the whole request."""

    def watch_until(self, when: float) -> None:
        """Expire at a time of the monotonic clock."""

    def run_response_hooks(self, response: Response, then: Callable[[Response], None]) -> None:
        """Run the response phase, and call ``then`` with the response that it leaves."""

    def response_begins(self) -> None:
        """Called before the head is written: decides whether the connection may be used again."""

    def head_written(self) -> None:
        """Called when the head is written, and the response is not complete."""

    def finish(self, now: float) -> None:
        """Called when the response is complete and written."""

    def write_response(self, response: Response) -> None:
        """Write a response that was made here, whole."""

    def fail(self, status: int, reason: str, detail: str, retry_after: float | None = None) -> None:
        """Respond for the gateway."""

    def break_off(self, by: str, reason: str, detail: str) -> None:
        """Cut off the response, whose head is written."""

    def resume_response(self) -> None:
        """Go on with the response, whose head is written."""

    def crashed(self, error: BaseException) -> None:
        """Called when the gateway itself failed, or over what a plugin left."""

    def open_tunnel(self, client: TunnelEnd, upstream: TunnelEnd) -> None:
        """Join both byte streams; the tunnel's end is that of the exchange."""
