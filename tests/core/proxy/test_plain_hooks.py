"""Route-match hooks of a route without another decision: what they decide counts as it does on any route."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from gateway_core.hooks import Plugin
from gateway_core.hookspecs import hookimpl
from gateway_core.messages import Request, Response, RouteInfo

from tests.core.proxy.bodies import BIND
from tests.core.proxy.kit import Plugins, Proxied

Decide = Callable[[Request], Awaitable[Response | str | None] | Response | str | None]


def deciding(decide: Decide, seen: list[str]) -> Plugins:
    """Return a plugin that decides at the match, and notes which phases come."""

    class Deciding(Plugin[Any]):
        name = "p"

        @hookimpl
        def gateway_route_match(
            self, request: Request, route: RouteInfo | None
        ) -> Awaitable[Response | str | None] | Response | str | None:
            seen.append(f"match {None if route is None else route.id}")
            return decide(request)

        @hookimpl
        def gateway_pre_proxy(self, request: Request) -> None:
            seen.append(f"pre-proxy {request.upstream}")

        @hookimpl
        def gateway_response(self, response: Response) -> None:
            seen.append(f"response {response.status}")

    return [Deciding]


async def _waits(request: Request, result: Response | None = None) -> Response | None:
    return result


async def phases_of(proxied: Proxied, decide: Decide, method: bytes = b"GET") -> tuple[int, list[str], int]:
    """Return the status, the phases that ran, and how many requests the upstream got."""
    seen: list[str] = []
    gateway, upstream = await proxied(extra=BIND, plugins=deciding(decide, seen))
    client = await gateway.connect()
    await client.send(method + b" / HTTP/1.1\r\nHost: x\r\n\r\n")
    status = (await client.response())[0]
    return status, [each.split()[0] for each in seen], len(upstream.heads)


@pytest.mark.parametrize("decide", [lambda _: None, _waits])
async def test_a_request_that_match_hooks_let_pass_is_seen_by_each_phase_once(proxied: Proxied, decide: Decide) -> None:
    assert await phases_of(proxied, decide) == (200, ["match", "pre-proxy", "response"], 1)


@pytest.mark.parametrize("decide", [lambda _: Response(403), lambda request: _waits(request, Response(403))])
async def test_a_response_of_a_match_hook_ends_the_request(proxied: Proxied, decide: Decide) -> None:
    assert await phases_of(proxied, decide) == (403, ["match", "response"], 0)


async def test_a_match_hook_that_fails_denies(proxied: Proxied) -> None:
    def fail(_: Request) -> None:
        raise ValueError

    assert await phases_of(proxied, fail) == (500, ["match", "response"], 0)


async def test_an_upstream_that_a_match_hook_chooses_takes_the_place_of_the_routes(proxied: Proxied) -> None:
    def choose(request: Request) -> None:
        request.upstream = "gone"

    assert await phases_of(proxied, choose) == (500, ["match", "pre-proxy", "response"], 0)


async def test_a_route_that_there_is_not_is_a_failure_of_the_match_hook(proxied: Proxied) -> None:
    assert await phases_of(proxied, lambda _: "gone") == (500, ["match", "response"], 0)


async def test_a_path_that_a_match_hook_sets_is_judged_as_one_that_came(proxied: Proxied) -> None:
    def climb(request: Request) -> None:
        request.raw_path = "/a%2Fb"

    assert await phases_of(proxied, climb) == await phases_of(proxied, climb, b"OPTIONS")
