"""How one attempt to get a response from an endpoint ended."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from gateway_core import reasons
from gateway_core.events import UPSTREAM_BAD_RESPONSE, UPSTREAM_CONNECT_TIMEOUT, UPSTREAM_TRUNCATED, Event


class Outcome(IntEnum):
    """Ends without a usable response. A response is recorded by its status, so the two share one ``int``."""

    ABANDONED = 0
    """The client left, or the gateway gave up for reasons of its own: not counted for or against the endpoint."""
    CONNECT_FAILURE = 1
    """No connection (refused, unreachable, TLS): nothing of the request was sent."""
    RESET = 2
    """The connection broke, or what came was not HTTP, after something was sent and before a complete response."""
    TIMEOUT = 3
    """No head, or no more of the body, in time."""
    LOCAL = 4
    """This process has no descriptor, port or memory for a connection: not counted against the endpoint."""


FIRST_STATUS: Final = 100
FIRST_SERVER_ERROR: Final = 500


FAILURE_REASONS: Final = (
    reasons.CONNECT_FAILURE,
    reasons.CONNECT_TIMEOUT,
    reasons.RESET,
    reasons.TIMEOUT,
    reasons.BAD_RESPONSE,
    reasons.TRUNCATED,
    reasons.LOCAL_ERROR,
)
"""What attempts that fail are counted by."""

_BY_EVENT: Final = {
    UPSTREAM_CONNECT_TIMEOUT: reasons.CONNECT_TIMEOUT,
    UPSTREAM_BAD_RESPONSE: reasons.BAD_RESPONSE,
    UPSTREAM_TRUNCATED: reasons.TRUNCATED,
}
_BY_OUTCOME: Final = {
    Outcome.CONNECT_FAILURE: reasons.CONNECT_FAILURE,
    Outcome.RESET: reasons.RESET,
    Outcome.TIMEOUT: reasons.TIMEOUT,
    Outcome.LOCAL: reasons.LOCAL_ERROR,
}


def reason_of(outcome: int, event: Event | None) -> str | None:
    """Return the reason by which an attempt without a response is counted; None if it did not fail."""
    found = None if event is None else _BY_EVENT.get(event)
    return found or _BY_OUTCOME.get(Outcome(outcome))


BLAMELESS: Final = frozenset({Outcome.ABANDONED, Outcome.LOCAL})
"""Outcomes that do not count for or against the endpoint."""


def is_server_error(outcome: int) -> bool:
    """Tell whether the endpoint responded, and with 5xx."""
    return outcome >= FIRST_SERVER_ERROR
