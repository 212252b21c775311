"""The responses that refused requests get."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from random import random

from gateway_plugin_sdk import Response

QUOTA_EXCEEDED = "https://iana.org/assignments/http-problem-types#quota-exceeded"
"""Problem type of draft-ietf-httpapi-ratelimit-headers-10, section 4.1."""


def retry_after(wait: float, jitter: float, draw: float) -> int:
    """Return whole seconds after which to try again: never too early, never 0.

    :param jitter: the share of the wait that may be added.
    :param draw: a random number from 0 to 1, without 1.
    """
    seconds = max(1, ceil(wait - 1e-6))
    return seconds + int(draw * (int(seconds * jitter) + 1))


def refusal(status: int, detail: str, violated: Sequence[str], wait: float, jitter: float) -> Response:
    """Return the response to a request that is over a limit."""
    seconds = retry_after(wait, jitter, random())  # noqa: S311 - spreads retries, guards nothing
    return Response.problem(
        status,
        detail,
        headers={"Retry-After": str(seconds)},
        type=QUOTA_EXCEEDED,
        title="Request cannot be satisfied as assigned quota has been exceeded",
        **{"violated-policies": list(violated)},
    )


def missing_key() -> Response:
    """Return the response to a request that lacks what its limit counts by."""
    return Response.problem(403, "the request does not say whose it is")


def unavailable(wait: float, jitter: float) -> Response:
    """Return the response to a request whose limits cannot be checked."""
    seconds = retry_after(wait, jitter, random())  # noqa: S311 - spreads retries, guards nothing
    return Response.problem(503, "limits cannot be checked right now", headers={"Retry-After": str(seconds)})
