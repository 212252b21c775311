"""The listeners of a snapshot: which of them takes a request, and the routes that count there."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from gateway_core.config import GatewayConfig, LoadedConfig
from gateway_core.config.values import parse_trusted_peer
from gateway_core.routing import Match, Refusal
from gateway_core.snapshot import Environment, Snapshot, compile_snapshot
from gateway_core.snapshot.listeners import (
    CompiledListener,
    Trust,
    client_auth_of,
    document_trust,
    listener_tables,
    listener_trust,
)

Load = Callable[[str], LoadedConfig]

LISTENERS = """
trusted_proxies: [10.0.0.0/8]
listen:
  - {name: web, address: ":80"}
  - {name: api, address: ":80", hosts: [api.test], trusted_proxies: [192.0.2.0/24]}
  - {name: internal, address: ":81", default: false}
  - {name: other, address: ":82"}
routes:
  - {id: everywhere, path: /, target: "http://127.0.0.1:1"}
  - {id: api, path: /, target: "http://127.0.0.1:2", listeners: [api, internal], methods: [GET]}
  - {id: hidden, path: /hidden, target: "http://127.0.0.1:3", listeners: [internal]}
"""


async def snapshot_of(load_text: Load, environment: Environment, text: str) -> Snapshot:
    return (await compile_snapshot(load_text(text), environment)).snapshot


def taken_by(snapshot: Snapshot, address: str, host: str, path: str) -> str | None:
    listener = snapshot.listener_for(address, host, None)
    assert isinstance(listener, CompiledListener)
    found = listener.router.match("GET", host, path, "", lambda _name: ())
    return found.payload.info.id if isinstance(found, Match) else None


async def test_only_the_routes_of_the_listener_count(load_text: Load, environment: Environment) -> None:
    snapshot = await snapshot_of(load_text, environment, LISTENERS)

    assert taken_by(snapshot, ":80", "web.test", "/") == "everywhere"
    assert taken_by(snapshot, ":80", "api.test", "/") == "api"
    assert taken_by(snapshot, ":80", "web.test", "/hidden") is None
    assert taken_by(snapshot, ":81", "", "/") == "api"
    assert taken_by(snapshot, ":81", "", "/hidden") == "hidden"
    assert taken_by(snapshot, ":82", "api.test", "/") == "everywhere"
    await snapshot.aclose()


async def test_listeners_at_which_the_same_routes_count_share_a_table(
    load_text: Load, environment: Environment
) -> None:
    snapshot = await snapshot_of(load_text, environment, LISTENERS)

    web, other = (snapshot.listener_for(address, "web.test", None) for address in (":80", ":82"))

    assert isinstance(web, CompiledListener)
    assert isinstance(other, CompiledListener)
    assert web.router is other.router is snapshot.router
    await snapshot.aclose()


async def test_trust_is_that_of_the_listener_that_the_host_chose(load_text: Load, environment: Environment) -> None:
    snapshot = await snapshot_of(load_text, environment, LISTENERS)

    web, api = (snapshot.listener_for(":80", host, None) for host in ("web.test", "api.test"))

    assert isinstance(web, CompiledListener)
    assert isinstance(api, CompiledListener)
    assert (web.trust.is_trusted("10.0.0.1"), web.trust.is_trusted("192.0.2.1")) == (True, False)
    assert (api.trust.is_trusted("10.0.0.1"), api.trust.is_trusted("192.0.2.1")) == (False, True)
    await snapshot.aclose()


async def test_a_connection_of_a_listener_that_is_gone_gets_the_routes_that_name_none(
    load_text: Load, environment: Environment
) -> None:
    snapshot = await snapshot_of(load_text, environment, LISTENERS)

    assert taken_by(snapshot, ":99", "api.test", "/") == "everywhere"
    await snapshot.aclose()


@pytest.mark.parametrize(
    ("tls", "is_same"),
    [
        ({}, False),
        ({"client_ca": "ca"}, True),
        ({"client_ca": "ca", "client_auth": "required", "min_version": "1.3"}, True),
        ({"client_ca": "ca", "client_auth": "optional"}, False),
        ({"client_ca": "ca", "client_auth": "none"}, False),
        ({"client_ca": "other"}, False),
        ({"client_ca": "ca", "client_crl": "crl"}, False),
    ],
)
def test_listeners_differ_in_client_authentication(tls: dict[str, str], *, is_same: bool) -> None:
    pair = {"cert": "c", "key": "k"}
    config = GatewayConfig.model_validate(
        {
            "listen": [
                {"address": ":1", "hosts": ["a.test"], "tls": {**pair, "client_ca": "ca"}},
                {"address": ":1", "tls": {**pair, **tls}},
            ]
        }
    )
    began, asked = config.listen
    table = listener_tables(config.listen, lambda listener: listener)[":1"]

    found = table.for_host("b.test", client_auth_of(began.tls))

    assert found is (asked if is_same else Refusal.MISDIRECTED)


NETWORKS = [parse_trusted_peer(text) for text in ("10.0.0.0/8", "fd00::/8", "192.0.2.7", "::ffff:198.51.100.0/120")]


@pytest.mark.parametrize("address", ["10.1.2.3", "fd00::1", "192.0.2.7", "198.51.100.7"])
def test_trusts_addresses_of_its_networks(address: str) -> None:
    assert Trust(NETWORKS).is_trusted(address)
    assert Trust(NETWORKS).believes(address, is_unix=False)


@pytest.mark.parametrize("address", ["11.0.0.1", "fe80::1", "192.0.2.8", "", "nonsense", "198.51.101.1", "1" * 70000])
def test_trusts_no_other_peer(address: str) -> None:
    assert not Trust(NETWORKS).is_trusted(address)


def test_trusts_no_peer_without_networks() -> None:
    assert not Trust().is_trusted("10.0.0.1")
    assert not Trust().believes("", is_unix=True)


def test_unix_peers_are_trusted_by_name_alone() -> None:
    everybody = [parse_trusted_peer("0.0.0.0/0"), parse_trusted_peer("::/0")]

    assert not Trust(everybody).believes("", is_unix=True)
    assert Trust(["unix:"]).believes("", is_unix=True)
    # A TCP connection that was reset at once has no address either.
    assert not Trust(["unix:"]).believes("", is_unix=False)


def test_a_listener_has_the_documents_trust_unless_it_has_its_own() -> None:
    config = GatewayConfig.model_validate(
        {
            "trusted_proxies": ["10.0.0.0/8"],
            "client_address": {"hops": 2},
            "strip_headers": ["x-user-id"],
            "listen": [
                {"address": ":1"},
                {"address": ":2", "trusted_proxies": []},
                {"address": ":3", "trusted_proxies": ["192.0.2.0/24"], "client_address": {"header": "True-Client-IP"}},
                {"address": ":4", "client_address": {"hops": 1}},
            ],
        }
    )

    document = document_trust(config)
    by_listener = {listener.address: listener_trust(config, listener, document) for listener in config.listen}

    assert by_listener[":1"] is document
    assert not by_listener[":2"].is_trusted("10.0.0.1")
    third = by_listener[":3"]
    assert (third.is_trusted("10.0.0.1"), third.is_trusted("192.0.2.1")) == (False, True)
    assert (third.hops, third.header) == (0, b"true-client-ip")
    fourth = by_listener[":4"]
    assert (fourth.is_trusted("10.0.0.1"), fourth.hops) == (True, 1)
    assert all(trust.stripped is not None for trust in by_listener.values())
