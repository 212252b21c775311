"""Challenges of an authority over HTTP."""

from __future__ import annotations

from typing import Any

import pytest
from gateway_core.clock import SystemClock
from gateway_core.hooks import Plugin
from gateway_core.hookspecs import hookimpl
from gateway_core.messages import Request, Response
from gateway_core.messages.path import CHALLENGE_PREFIX
from gateway_core.metrics import Metrics
from gateway_core.proxy.challenges import challenge_hook

from tests.core.proxy.kit import RunningProxy, StartProxy
from tests.core.proxy.route_kit import VERSIONS, request

TOKEN = "a-token-of-an-authority"
CONFIG = "routes: [{id: all, path_prefix: /, respond: {body: routed}}]\n"


class Wall(Plugin[Any]):
    name = "wall"

    @hookimpl
    def gateway_request(self, request: Request) -> Response | None:
        return Response(403)


async def look_up(token: str) -> str | None:
    if token == "x" * 20:
        raise OSError("the storage is away")
    return f"{token}.thumbprint" if token == TOKEN else None


def use(gateway: RunningProxy) -> RunningProxy:
    gateway.proxy.challenges = challenge_hook(look_up, SystemClock(), Metrics())
    return gateway


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_known_token_gets_its_key_authorization_before_everything_else(
    start_proxy: StartProxy, version: str
) -> None:
    gateway = use(await start_proxy(f"plugins: [{{name: wall}}]\n{CONFIG}", [Wall]))

    challenged = await request(gateway, version, f"x{CHALLENGE_PREFIX}{TOKEN}")
    other = await request(gateway, version, "x/")

    assert (challenged.status, challenged.body) == (200, f"{TOKEN}.thumbprint".encode())
    assert challenged.headers["cache-control"] == "no-store"
    assert other.status == 403


@pytest.mark.parametrize("token", ["unknown-token-of-others", "short", "x" * 20, f"{TOKEN}/more", ""])
async def test_what_no_source_knows_goes_to_the_routes(start_proxy: StartProxy, token: str) -> None:
    gateway = use(await start_proxy(CONFIG))

    reply = await request(gateway, "1.1", f"x{CHALLENGE_PREFIX}{token}")

    assert reply.body == b"routed"


async def test_other_methods_go_to_the_routes(start_proxy: StartProxy) -> None:
    gateway = use(await start_proxy(CONFIG))

    assert (await request(gateway, "1.1", f"x{CHALLENGE_PREFIX}{TOKEN}", method="POST")).body == b"routed"


async def test_challenges_are_answered_where_everything_is_redirected_to_https(start_proxy: StartProxy) -> None:
    gateway = use(await start_proxy(f"listen: {{address: '127.0.0.1:0', https_redirect: true}}\n{CONFIG}"))

    assert (await request(gateway, "1.1", f"x{CHALLENGE_PREFIX}{TOKEN}")).status == 200
    assert (await request(gateway, "1.1", f"x{CHALLENGE_PREFIX}unknown-token-of-others")).status == 308


async def test_a_token_keeps_its_case_where_paths_are_matched_without_theirs(start_proxy: StartProxy) -> None:
    token = "A-Token-Of-An-Authority"

    async def find(asked: str) -> str | None:
        return "found" if asked == token else None

    gateway = await start_proxy(f"path_policy: {{case: insensitive}}\n{CONFIG}")
    gateway.proxy.challenges = challenge_hook(find, SystemClock(), Metrics())

    assert (await request(gateway, "1.1", f"x{CHALLENGE_PREFIX}{token}")).body == b"found"
    assert (await request(gateway, "1.1", f"x{CHALLENGE_PREFIX}{token.lower()}")).body == b"routed"


async def test_a_head_that_is_repeated_is_answered_as_often(start_proxy: StartProxy) -> None:
    gateway = use(await start_proxy(CONFIG))
    head = f"GET {CHALLENGE_PREFIX}{TOKEN} HTTP/1.1\r\nHost: x\r\n\r\n".encode()

    peer = await gateway.connect()
    for _ in range(4):
        await peer.send(head)
        status, _, body = await peer.response()
        assert (status, body) == (200, f"{TOKEN}.thumbprint".encode())
