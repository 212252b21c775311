"""A discovery that finds nothing says why, in words that name what to mend."""

from __future__ import annotations

from typing import Any

import pytest

from tests.plugins.kubernetes.api_server import ApiServer, pod
from tests.plugins.kubernetes.conftest import Start

EXTERNAL = (
    "Service shop/elsewhere has type ExternalName, which has no endpoints: use the discovery dns with host 'db.io'"
)


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({"service": "usres"}, "there is no Service 'usres' in namespace 'shop', but 'users'"),
        ({"service": "zzz"}, "there is no Service 'zzz' in namespace 'shop', which has 5 others"),
        (
            {"service": "users", "namespace": "shpo"},
            "there is no Service 'users' in namespace 'shpo', nor any other: is the namespace right?",
        ),
        ({"service": "zzz", "namespace": "*"}, "there is no Service 'zzz' in any namespace, which has 5 others"),
        ({"selector": "app=shop"}, "no Service in namespace 'shop' is selected by 'app=shop'"),
        (
            {"service": "users", "port": "htp"},
            "Service shop/users has no port 'htp': its endpoints have http (8080), set port",
        ),
        (
            {"service": "metrics"},
            "Service shop/metrics has no port http, web, gateway: its endpoints have prom (9090), set port",
        ),
        ({"service": "elsewhere"}, EXTERNAL),
        ({"service": "empty"}, "Service shop/empty has no endpoints: no pod has the labels that it selects"),
        ({"service": "scaled"}, "Service shop/scaled has no endpoints: no pod has the labels that it selects"),
        ({"service": "users"}, "none of the 2 endpoints of Service shop/users is ready"),
    ],
)
async def test_what_finds_nothing_says_why(
    config: dict[str, Any], reason: str, server: ApiServer, start: Start
) -> None:
    server.put("services", "shop", "users", spec={"ports": [{"name": "http", "port": 80}]})
    server.put("services", "shop", "empty")
    server.put("services", "shop", "scaled", spec={"ports": [{"name": "http", "port": 80}]})
    server.put_slice("scaled", "scaled", [], ports=[])
    server.put("services", "shop", "metrics")
    server.put("services", "shop", "elsewhere", spec={"type": "ExternalName", "externalName": "db.io"})
    server.put_slice("users", "users", [pod("10.0.0.1", ready=False), pod("10.0.0.2", ready=False)])
    server.put_slice("metrics", "metrics", [pod("10.0.0.1")], ports=[{"name": "prom", "port": 9090}])

    found = await start.discovery(**config).until(lambda each: bool(each.reason))

    assert (found.endpoints, found.is_stale, found.reason) == ((), False, reason)
