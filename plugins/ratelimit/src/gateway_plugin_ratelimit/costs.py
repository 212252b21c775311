"""What a request costs."""

from __future__ import annotations

from collections.abc import Callable

from gateway_plugin_sdk import Request, Response

from gateway_plugin_ratelimit.keys import SEVERAL, Source, compile_source

Cost = int | Callable[[Request], int]

MOST = 10**12
"""Units at most of one request, so that no client makes numbers that arithmetic chokes on."""


def read_cost(text: str | None) -> int:
    """Return the units that a text says; 1 if it says no whole number of 0 or more.

    Of several values the largest counts: a client chooses their order, and upstreams differ in which one they read.
    """
    if text is None:
        return 1
    return max(map(_number, text.split(SEVERAL)))


def _number(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        return 1
    return min(int(text), MOST) if len(text) <= 12 else MOST


def compile_cost(cost: int | str) -> Cost:
    """Return the number, or the function that reads it from a request.

    :raises ValueError: for a header whose name is none.
    """
    if isinstance(cost, int):
        return cost
    if cost.startswith("response-header:"):
        compile_source(cost.removeprefix("response-"))
        return 1
    if cost == "content-length":
        length = compile_source("header:content-length")
        return lambda request: read_cost(length(request))
    take: Source = compile_source(cost)
    # A client may make its requests dearer, never free.
    return lambda request: max(1, read_cost(take(request)))


def response_cost(cost: int | str) -> Callable[[Response], int] | None:
    """Return the function that reads from a response what its request cost, if the response says it."""
    if isinstance(cost, int) or not cost.startswith("response-header:"):
        return None
    name = cost.partition(":")[2].lower()
    return lambda response: read_cost(response.headers.get(name))
