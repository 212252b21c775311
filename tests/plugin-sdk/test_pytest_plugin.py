from __future__ import annotations

from gateway_plugin_auth import Auth
from gateway_plugin_sdk.testing import ManualClock, ScriptedUpstream, StartGateway, one_route


def test_gateways_take_turns_on_ports_of_their_own(gateway: StartGateway, upstream: ScriptedUpstream) -> None:
    first, second = gateway(one_route(upstream.url)), gateway(one_route(upstream.url))

    assert first.port != second.port
    assert first.get("/").status == second.get("/").status == 200


def test_a_gateway_runs_by_the_tests_clock(
    gateway: StartGateway, upstream: ScriptedUpstream, clock: ManualClock
) -> None:
    running = gateway(one_route(upstream.url, {"name": "ratelimit", "config": {"rate": 1, "burst": 1, "key": "route"}}))

    statuses = [running.get("/").status, running.get("/").status]
    clock.advance(1.5)
    statuses.append(running.get("/").status)

    assert statuses == [200, 429, 200]


def test_a_gateway_takes_plugins_and_an_environment(gateway: StartGateway, upstream: ScriptedUpstream) -> None:
    binding = {"name": "auth", "config": {"secret": "${SECRET}", "algorithms": ["HS256"]}}

    running = gateway(one_route(upstream.url, binding), plugins=[Auth], environ={"SECRET": "s" * 40})

    assert running.get("/").status == 401
