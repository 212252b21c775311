"""Services as upstreams and targets."""

# ruff: noqa: E501 - a configuration of Traefik a line
from __future__ import annotations

from typing import Any

import pytest

from tests.importing import import_text, written

SERVERS = "a: {loadBalancer: {servers: [{url: 'http://10.0.0.1:80/'}]}}, b: {loadBalancer: {passHostHeader: false, servers: [{url: 'h2c://10.0.0.2'}]}}"


def document(service: str, more: str = "") -> Any:
    text = f"http:\n  routers: {{r: {{rule: 'Host(`h.com`)', service: x}}}}\n  services: {{x: {{{service}}}, {SERVERS}}}\n{more}"
    return written(import_text("traefik", text))


@pytest.mark.parametrize(
    ("service", "keys"),
    [
        ("weighted: {services: [{name: a, weight: 3}, {name: b}], sticky: {cookie: {name: c}}}",
         {"targets": [{"target": "a", "weight": 3}, {"target": "b", "weight": 1}], "sticky_cookie": {"name": "c", "secure": False, "http_only": False}}),
        ("mirroring: {service: a, mirrors: [{name: b, percent: 5}]}", {"target": "a", "mirror": [{"target": "b", "percent": 5, "credentials": True}]}),
        ("failover: {service: a, fallback: b}", {"targets": [{"target": "a"}, {"target": "b", "backup": True}]}),
    ],
)  # fmt: skip
def test_services_of_services_are_targets(service: str, keys: dict[str, Any]) -> None:
    (route,) = document(service)["routes"]

    assert {key: route.get(key) for key in keys} == keys


def test_servers_are_an_upstream() -> None:
    found = document(
        "loadBalancer: {servers: [{url: 'https://10.0.0.1', weight: 2}], healthCheck: {path: /h, interval: 5}, serversTransport: t}",
        "  serversTransports: {t: {serverName: n, rootCAs: [ca.pem]}}\n",
    )

    (upstream,) = found["upstreams"]
    assert upstream["endpoints"] == [{"url": "https://10.0.0.1", "weight": 2}]
    assert upstream["preserve_host"] is True
    assert upstream["health_check"] == {"path": "/h", "interval": "5s", "timeout": "5s"}
    assert upstream["tls"] == {"server_name": "n", "ca": "ca.pem"}


def test_h2c_is_http2_and_the_host_is_the_servers_where_it_is_not_passed() -> None:
    upstream = document("failover: {service: a, fallback: b}")["upstreams"][1]

    assert upstream == {"name": "b", "endpoints": [{"url": "http://10.0.0.2"}], "protocol": "http2"}


def test_a_service_that_is_not_in_the_file_closes_the_route() -> None:
    assert document("weighted: {services: [{name: none}]}")["routes"][0]["respond"] == {"status": 403}
