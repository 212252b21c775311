"""Real gateways that introspect, and an endpoint on a real socket."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qs

import pytest
from gateway_plugin_auth import Auth
from gateway_plugin_logger import Logger
from gateway_plugin_ratelimit import RateLimit
from gateway_plugin_sdk.testing import ManualClock, RunningGateway, ScriptedUpstream, StartGateway, one_route

NOW = 1_700_000_000
CLIENT = {"client_id": "gateway", "client_secret": "s3cret"}
ALICE = {"active": True, "sub": "alice", "scope": "read write", "exp": NOW + 3600}
PLUGINS = [Auth, RateLimit, Logger]
server_side = pytest.mark.one_protocol(reason="about the requests to the endpoint")


@pytest.fixture
def server() -> Iterator[ScriptedUpstream]:
    with ScriptedUpstream() as running:
        running.answer_with(200, json=ALICE)
        yield running


Start = Callable[..., RunningGateway]


@pytest.fixture
def start(gateway: StartGateway, upstream: ScriptedUpstream, server: ScriptedUpstream, clock: ManualClock) -> Start:
    """A function that starts a gateway that introspects."""

    def make(**options: Any) -> RunningGateway:
        place = {} if {"endpoint", "target"} & options.keys() else {"endpoint": f"{server.url}/oauth2/introspect"}
        client = {} if "client_auth" in options else CLIENT
        provider = {"scheme": "introspection", "claims_to_headers": {"X-User": "sub"}, **place, **client, **options}
        binding = {"name": "auth", "config": {"providers": {"opaque": provider}}}
        return gateway(one_route(upstream.url, binding), plugins=PLUGINS)

    return make


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def send(running: RunningGateway, token: str = "t0ken", **headers: str) -> int:
    return running.get("/", headers={**bearer(token), **headers}).status


def refusals(running: RunningGateway) -> set[str]:
    running.settle()
    lines = running.metrics().splitlines()
    found = [line for line in lines if line.startswith("gateway_auth_refusals_total{") and not line.endswith(" 0.0")]
    return {line.partition('reason="')[2].partition('"')[0] for line in found}


def forms(server: ScriptedUpstream) -> list[dict[str, list[str]]]:
    return [parse_qs(each.body.decode()) for each in server.requests]
