"""What is remembered of an authorization server's responses; see the provider's tests for the rest."""

from __future__ import annotations

import asyncio
import json

from gateway_core.testing.scripted_fetches import ScriptedFetches
from gateway_plugin_auth.config import IntrospectionProvider
from gateway_plugin_auth.introspection import Introspected, Introspector
from gateway_plugin_sdk import PluginContext, Response, Upstreams
from gateway_plugin_sdk.testing import FetchRequest, ManualClock

NOW = 1_700_000_000.0
URL = "https://login.example.com"


def respond(request: FetchRequest) -> Response:
    """Tokens that begin with ``a`` are active."""
    assert isinstance(request.body, bytes)
    active = request.body.startswith(b"token=a")
    return Response(200, body=json.dumps({"active": active, "sub": "x", "exp": NOW + 30}))


async def test_tokens_that_are_not_active_push_out_none_that_is(context: PluginContext, clock: ManualClock) -> None:
    config = IntrospectionProvider.model_validate(
        {"scheme": "introspection", "endpoint": URL, "client_auth": "none", "cache": {"size": 3}}
    )
    upstreams = Upstreams(ScriptedFetches({URL: respond}))
    introspector = Introspector(config, context)

    async def ask(token: str) -> object:
        waiting = introspector.look_up(token, introspector.digest(token), "client", upstreams)
        await asyncio.wait([waiting])
        return waiting.result()

    assert isinstance(await ask("a"), Introspected)
    for number in range(20):
        await ask(f"b{number}")

    found = introspector.known(introspector.digest("a"))
    assert found is not None
    assert found.claims is not None
    assert found.claims["sub"] == "x"
    assert introspector.known(introspector.digest("b19")) == Introspected(None, NOW + 10)
    assert introspector.known(introspector.digest("b0")) is None
    clock.advance(30)
    assert introspector.known(introspector.digest("a")) is None
    await introspector.aclose()
