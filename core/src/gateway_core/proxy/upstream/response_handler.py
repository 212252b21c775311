"""What a connection to an endpoint tells whoever sent a request over it."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from gateway_core.proxy.upstream.connection import UpstreamConnection
    from gateway_core.proxy.wire.response_head import ResponseHead


class Failure(IntEnum):
    """Why a try ended without a complete answer."""

    CONNECT = 1
    """No connection came about: nothing was sent."""
    RESET = 2
    """The connection ended before the first byte of an answer."""
    TIMEOUT = 3
    BAD_ANSWER = 4
    """What came is no answer that has one reading."""
    TRUNCATED = 5
    """The connection ended within an answer."""
    CONNECT_TIMEOUT = 6
    """No connection came about in time: nothing was sent."""


class Receiver(Protocol):
    """Who sent a request over an upstream connection, and gets its answer."""

    def on_interim(self, head: ResponseHead) -> None:
        """Take a 1xx answer that is not 101."""

    def on_answer(self, connection: UpstreamConnection, head: ResponseHead, body: bytes, complete: bool) -> None:
        """Take the final head with the part of the body that came with it."""

    def on_body(self, data: bytes) -> None:
        """Take the next part of the body."""

    def on_end(self, trailer: bytes) -> None:
        """Take note that the answer is complete; ``trailer`` is a block of fields."""

    def on_switch(self, connection: UpstreamConnection, head: ResponseHead, data: bytes) -> None:
        """Take over the connection after 101; ``data`` came right behind it."""

    def on_failure(self, failure: Failure, detail: str) -> None:
        """Take note that no complete answer will come; the connection is gone."""

    def keep_bound(self, connection: UpstreamConnection) -> None:
        """Keep the connection for its client, or close it: the response is complete, and the pool must not have it."""

    def pause_upload(self) -> None:
        """Give no more of the request's body for now."""

    def resume_upload(self) -> None:
        """Go on with the request's body."""
