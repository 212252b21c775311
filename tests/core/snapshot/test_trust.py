"""Whom listeners believe."""

from __future__ import annotations

import pytest
from gateway_core.config import GatewayConfig
from gateway_core.config.values import parse_trusted_peer
from gateway_core.snapshot.trust import Trust, document_trust, listener_trust

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
