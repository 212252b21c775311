"""How one try to get an answer from an endpoint ended."""

from __future__ import annotations

from enum import IntEnum
from typing import Final


class Outcome(IntEnum):
    """Ends without a usable answer. An answer is told by its status, so the two share one ``int``."""

    ABANDONED = 0
    """The client left, or the gateway gave up for reasons of its own: says nothing about the endpoint."""
    CONNECT_FAILURE = 1
    """No connection (refused, unreachable, TLS): nothing of the request was sent."""
    RESET = 2
    """The connection broke, or the answer was not HTTP, after something was sent and before the answer was complete."""
    TIMEOUT = 3
    """No head, or no more of the body, in time."""


FIRST_STATUS: Final = 100
FIRST_SERVER_ERROR: Final = 500


def is_server_error(outcome: int) -> bool:
    """Tell whether the endpoint answered, and with 5xx."""
    return outcome >= FIRST_SERVER_ERROR


def is_unanswered(outcome: int) -> bool:
    """Tell whether the endpoint is to blame for there being no answer."""
    return 0 < outcome < FIRST_STATUS
