"""Which requests pass a real gateway."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from gateway_plugin_auth import Auth
from gateway_plugin_ip import IpAccess
from gateway_plugin_logger import Logger
from gateway_plugin_ratelimit import RateLimit
from gateway_plugin_sdk.testing import PluginHarness, eventually, one_route

from tests.plugins.ip.mmdb import database

TRUSTED = {"trusted_proxies": ["127.0.0.0/8"]}


def ip(**config: Any) -> dict[str, Any]:
    return {"name": "ip", "config": config}


def from_(running: Any, address: str) -> int:
    status: int = running.get("/", headers={"X-Forwarded-For": address}).status
    return status


@pytest.mark.parametrize(
    ("config", "passed", "refused"),
    [
        (
            {"allow": ["10.0.0.0/8", "2001:db8::/32"]},
            ["10.1.2.3", "2001:db8::7", "::ffff:10.0.0.1"],
            ["11.0.0.1", "::1"],
        ),
        ({"deny": ["10.0.0.0/8"]}, ["11.0.0.1", "::1"], ["10.1.2.3", "::ffff:10.1.2.3"]),
        ({"allow": ["10.0.0.0/8"], "deny": ["10.1.0.0/16"]}, ["10.2.0.1"], ["10.1.0.1", "192.0.2.1"]),
    ],
)
def test_deny_is_stronger_than_allow(
    gateway: Any, upstream: Any, config: Any, passed: list[str], refused: list[str]
) -> None:
    running = gateway({**TRUSTED, **one_route(upstream.url, ip(**config))}, plugins=[IpAccess])

    assert {address: from_(running, address) for address in passed} == dict.fromkeys(passed, 200)
    assert {address: from_(running, address) for address in refused} == dict.fromkeys(refused, 403)
    assert len(upstream.requests) == len(passed)


def test_a_client_cannot_name_its_own_address(gateway: Any, upstream: Any) -> None:
    running = gateway(one_route(upstream.url, ip(allow=["10.0.0.0/8"])), plugins=[IpAccess])

    assert from_(running, "10.0.0.1") == 403


def test_the_peers_address_counts_where_it_is_asked_for(gateway: Any, upstream: Any) -> None:
    running = gateway(
        {**TRUSTED, **one_route(upstream.url, ip(allow=["127.0.0.1"], address="peer"))}, plugins=[IpAccess]
    )

    assert from_(running, "192.0.2.1") == 200


def test_a_refusal_is_a_problem_with_the_configured_status_and_message(gateway: Any, upstream: Any) -> None:
    config = ip(allow=["10.0.0.0/8"], status=404, message="there is nothing here")
    running = gateway(one_route(upstream.url, config), plugins=[IpAccess])

    responses = [running.get("/") for _ in range(2)]

    assert [response.status for response in responses] == [404, 404]
    assert {json.loads(response.body)["detail"] for response in responses} == {"there is nothing here"}
    assert b"127.0.0.1" not in responses[0].body


@pytest.mark.parametrize("rule", [{"allow": ["127.0.0.1", "::1"]}, {"deny": ["192.0.2.1"]}])
def test_an_address_that_is_not_known_is_refused(rule: dict[str, Any]) -> None:
    with PluginHarness(IpAccess, rule) as harness:
        for address in ("", "unknown", "unix:"):
            assert harness.request("GET", "/", client_ip=address).response.status == 403


def test_countries_are_looked_up_and_what_allow_names_passes_whatever_its_country(
    gateway: Any, upstream: Any, tmp_path: Path
) -> None:
    file = tmp_path / "countries.mmdb"
    file.write_bytes(database({"192.0.2.0/24": "DE", "198.51.100.0/24": "US"}))
    geo = {"database": str(file), "allow": ["DE"]}
    running = gateway({**TRUSTED, **one_route(upstream.url, ip(allow=["10.0.0.0/8"], geo=geo))}, plugins=[IpAccess])

    found = {address: from_(running, address) for address in ("192.0.2.1", "198.51.100.1", "10.0.0.1", "203.0.113.1")}

    assert found == {"192.0.2.1": 200, "198.51.100.1": 403, "10.0.0.1": 200, "203.0.113.1": 403}


def test_a_denied_country_is_refused_and_unknown_ones_pass_if_that_is_said(
    gateway: Any, upstream: Any, tmp_path: Path
) -> None:
    file = tmp_path / "countries.mmdb"
    file.write_bytes(database({"192.0.2.0/24": "DE", "198.51.100.0/24": "US"}))
    geo = {"database": str(file), "deny": ["US"], "unknown": "allow"}
    running = gateway({**TRUSTED, **one_route(upstream.url, ip(geo=geo))}, plugins=[IpAccess])

    found = {address: from_(running, address) for address in ("192.0.2.1", "198.51.100.1", "203.0.113.1")}

    assert found == {"192.0.2.1": 200, "198.51.100.1": 403, "203.0.113.1": 200}


def test_a_file_of_networks_is_read(gateway: Any, upstream: Any, tmp_path: Path) -> None:
    (tmp_path / "office.txt").write_text("10.0.0.0/8 # office\n192.0.2.1\n")
    config = ip(allow=[{"file": str(tmp_path / "office.txt")}, "127.0.0.1"])
    running = gateway({**TRUSTED, **one_route(upstream.url, config)}, plugins=[IpAccess])

    found = [from_(running, address) for address in ("10.0.0.1", "192.0.2.1", "192.0.2.2", "127.0.0.1")]

    assert found == [200, 200, 403, 200]


def test_a_refused_address_is_neither_authenticated_nor_counted_and_is_logged(
    gateway: Any, upstream: Any, tmp_path: Path
) -> None:
    log = tmp_path / "access.log"
    chain = [
        ip(allow=["10.0.0.0/8"]),
        {"name": "auth", "config": {"secret": "a secret of more than thirty-two characters"}},
        {"name": "ratelimit", "config": {"quota": 1, "window": "1h"}},
        {"name": "logger", "config": {"path": str(log), "fields": ["status", "produced_by", "client_ip"]}},
    ]
    plugins = [IpAccess, Auth, RateLimit, Logger]
    running = gateway({**TRUSTED, **one_route(upstream.url, *chain)}, plugins=plugins)

    statuses = [from_(running, address) for address in ("192.0.2.1", "192.0.2.1", "10.0.0.1")]

    assert statuses == [403, 403, 401]
    eventually(lambda: log.read_text().count("\n") == 3)
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [(line["client_ip"], line["produced_by"]) for line in lines] == [
        ("192.0.2.1", "ip"), ("192.0.2.1", "ip"), ("10.0.0.1", "auth"),
    ]  # fmt: skip


def test_addresses_are_remembered_within_bounds() -> None:
    with PluginHarness(IpAccess, {"deny": ["192.0.2.0/24"]}) as harness:
        for number in range(4200):
            harness.plugin._passes(f"10.0.{number // 256}.{number % 256}")
            harness.plugin._known[f"10.0.{number // 256}.{number % 256}"] = True
        harness.request("GET", "/", client_ip="192.0.2.9")
        kept = len(harness.plugin._known)

    assert kept < 4096
