from __future__ import annotations

from typing import Any

import pytest
from gateway_extension_example.experiment import Experiment
from gateway_plugin_sdk.testing import PluginHarness, ScriptedUpstream, StartGateway, assert_plugin_ok


def routes(target: str, percent: float) -> list[dict[str, Any]]:
    binding = {"name": "experiment", "config": {"route": "new", "percent": percent}}
    return [
        {"id": "old", "path_prefix": "/shop", "target": target, "plugins": [binding]},
        {"id": "new", "path_prefix": "/new-shop", "target": target, "rewrite": {"prefix": "/new"}},
    ]


def test_keeps_to_what_every_plugin_should() -> None:
    assert_plugin_ok(Experiment, config={"route": "new"})


@pytest.mark.parametrize(("percent", "route"), [(0, "old"), (100, "new")])
def test_the_share_decides_about_the_route(
    gateway: StartGateway, upstream: ScriptedUpstream, percent: float, route: str
) -> None:
    running = gateway({"routes": routes(upstream.url, percent)}, plugins=[Experiment])

    running.get("/shop")

    assert [call.result for call in running.calls] == (["new"] if route == "new" else [None])


def test_about_the_share_of_the_clients_takes_part_and_each_always_does() -> None:
    clients = [f"10.0.{n // 250}.{n % 250}" for n in range(400)]

    harness: PluginHarness[Experiment]
    with PluginHarness(Experiment, {"route": "new", "percent": 25}) as harness:
        first, second = ([harness.request("GET", "/", client_ip=ip).route for ip in clients] for _ in range(2))

    assert first == second
    assert 70 < first.count("new") < 130
