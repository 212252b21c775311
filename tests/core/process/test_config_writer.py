from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from gateway_core.config import GatewayConfig
from gateway_core.process.config_writer import leads_to, losses

CONTROL = Path("/run/gateway/a-1.sock")


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:9090",
        "http://127.1.2.3:9090/x",
        "http://localhost:9090",
        "http://a.localhost:9090",
        "http://[::1]:9090",
        "http://0.0.0.0:9090",
        "http://0:9090",
        "http://127.1:9090",
        "http://2130706433:9090",
        "http://0x7f000001:9090",
        "http://[::ffff:127.0.0.1]:9090",
        "http://[0:0:0:0:0:0:0:1]:9090",
        "http://[::ffff:0:0]:9090",
        "http://LOCALHOST.:9090",
        "http://ip6-localhost:9090",
        "https://user:p@127.0.0.1:9090",
        "unix:/run/admin.sock",
        "unix:/run/../run/admin.sock",
        "unix:/run/gateway/b-2.sock",
    ],
)
def test_what_leads_to_an_admin_listener(url: str) -> None:
    assert leads_to(url, ["127.0.0.1:9090", "unix:/run/admin.sock"], CONTROL)


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:9091", "http://10.0.0.1:9090", "http://127.0.0.1", "unix:/run/users.sock", "http://[:9090"],
)
def test_what_leads_elsewhere(url: str) -> None:
    assert not leads_to(url, ["127.0.0.1:9090", "unix:/run/admin.sock"], CONTROL)


def test_every_address_of_this_machine_may_lead_to_a_listener_of_all_interfaces() -> None:
    assert leads_to("http://10.0.0.1:9090", [":9090"], CONTROL)
    assert leads_to("https://gw.test", [":443"], CONTROL)
    assert leads_to("http://[2001:db8:0::1]:9090", ["[2001:db8::1]:9090"], CONTROL)


def config(**keys: Any) -> GatewayConfig:
    return GatewayConfig.model_validate(keys)


def test_endpoints_that_go_lose_their_connections_and_bindings_their_state() -> None:
    endpoints = [{"url": "http://a"}, {"url": "http://b"}]
    before = config(
        upstreams=[{"name": "u", "endpoints": endpoints}],
        routes=[
            {
                "id": "r",
                "path": "/",
                "target": "u",
                "plugins": [{"id": each, "name": "cache", "config": {}} for each in ("kept", "changed", "gone")],
            }
        ],
    )
    after = config(
        upstreams=[{"name": "u", "endpoints": endpoints[:1]}],
        routes=[
            {
                "id": "r",
                "path": "/",
                "target": "u",
                "plugins": [
                    {"id": "kept", "name": "cache", "config": {}},
                    {"id": "changed", "name": "cache", "config": {"x": 1}},
                ],
            }
        ],
    )
    status = [{"name": "u", "endpoints": [{"url": "http://b", "active": 2}]}] * 2

    found = list(losses(before, after, status))

    assert found == [
        {"kind": "connections", "upstream": "u", "endpoint": "http://b", "active_requests": 4},
        {
            "kind": "plugin_state",
            "binding": "r/changed",
            "plugin": "cache",
            "what": "is made again, as its configuration changes",
        },
        {"kind": "plugin_state", "binding": "r/gone", "plugin": "cache", "what": "ends"},
    ]
    assert list(losses(before, before, status)) == []
