"""What an attempt tells its owner, and what failures mean."""

from __future__ import annotations

from typing import Final, NamedTuple, Protocol

from gateway_core.proxy.upstream.connection import UpstreamConnection
from gateway_core.proxy.upstream.response_handler import Failure
from gateway_core.proxy.wire.response_head import ResponseHead
from gateway_core.upstreams.endpoint import Endpoint
from gateway_core.upstreams.outcome import Outcome


class Ending(NamedTuple):
    """What a failure of a connection means."""

    outcome: int
    """For the upstream (see `Upstream.record`)."""
    status: int
    """Of the gateway's response."""
    reason: str
    """A code of `gateway_core.reasons`."""
    word: str
    """For the record of the attempt."""


ENDINGS: Final = {
    Failure.CONNECT: Ending(Outcome.CONNECT_FAILURE, 502, "upstream.connect-failure", "connect-failure"),
    Failure.CONNECT_TIMEOUT: Ending(Outcome.CONNECT_FAILURE, 504, "upstream.connect-timeout", "connect-failure"),
    Failure.RESET: Ending(Outcome.RESET, 502, "upstream.reset", "reset"),
    Failure.TIMEOUT: Ending(Outcome.TIMEOUT, 504, "upstream.timeout", "timeout"),
    Failure.BAD_RESPONSE: Ending(Outcome.RESET, 502, "upstream.bad-response", "bad-response"),
    Failure.TRUNCATED: Ending(Outcome.RESET, 502, "upstream.truncated", "reset"),
    Failure.STALE: Ending(Outcome.RESET, 502, "upstream.reset", "reset"),
    Failure.LOCAL: Ending(Outcome.LOCAL, 503, "upstream.local-error", "cancelled"),
}


class UpstreamFailure(NamedTuple):
    """Why there is no response."""

    status: int
    reason: str
    """A code of `gateway_core.reasons`."""
    detail: str
    """For logs, never for clients."""
    retry_after: float | None = None
    """Seconds after which trying again may help."""


PreparedRequest = tuple[bytes, int]
"""The head, or a whole request, and the flags of `UpstreamConnection.send`."""


class AttemptOwner(Protocol):
    """Who wants the response: told once what became of it: `on_response`, `on_switch` or `on_failed`."""

    def prepare(self, endpoint: Endpoint, now: float) -> PreparedRequest | None:
        """Make the request's head for an endpoint.

        :returns: None if it is passed to `UpstreamRequest.connect` later, or after `UpstreamRequest.give_up`.
        """

    def on_sent(self, now: float) -> None:
        """Called when the head is written, with what was there of the body: the wait for the response begins."""

    def on_waiting(self, seconds: float) -> None:
        """Called when the attempt waits for something else, ``seconds`` at most; 0 is no limit of its own."""

    def on_interim(self, head: ResponseHead) -> None:
        """Called with each 1xx head that is not 101."""

    def on_response(self, head: ResponseHead, body: bytes, complete: bool) -> None:
        """Called with the head, and the part of the body that came with it."""

    def on_body(self, data: bytes) -> None:
        """Called with the next part of the body."""

    def on_end(self, trailers: bytes) -> None:
        """Called when the response is complete; ``trailers`` is a block of fields."""

    def on_switch(self, connection: UpstreamConnection, head: ResponseHead, data: bytes) -> None:
        """Called with a 101 head and the bytes behind it.

        The connection is the owner's from here on; the attempt is under way until `UpstreamRequest.give_up`.
        """

    def on_failed(self, failure: UpstreamFailure) -> None:
        """Called when no response will come."""

    def on_broken(self, reason: str, detail: str) -> None:
        """Called when a response that has begun will not be completed."""

    def keep_bound(self, endpoint: Endpoint, connection: UpstreamConnection) -> None:
        """Keep a connection for the owner's client alone, or abort it."""

    def crashed(self, error: BaseException) -> None:
        """Called when the gateway itself failed."""
