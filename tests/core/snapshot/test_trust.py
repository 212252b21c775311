from __future__ import annotations

from ipaddress import ip_network

import pytest
from gateway_core.snapshot.trust import trusts

NETWORKS = [ip_network("10.0.0.0/8"), ip_network("fd00::/8"), ip_network("192.0.2.7")]


@pytest.mark.parametrize("address", ["10.1.2.3", "fd00::1", "192.0.2.7", "::ffff:10.0.0.1", "fd00::1%eth0"])
def test_trusts_addresses_of_its_networks(address: str) -> None:
    assert trusts(NETWORKS)(address)


@pytest.mark.parametrize("address", ["11.0.0.1", "fe80::1", "192.0.2.8", "", "nonsense", "::ffff:11.0.0.1"])
def test_trusts_nobody_else(address: str) -> None:
    assert not trusts(NETWORKS)(address)


def test_trusts_nobody_without_networks() -> None:
    assert not trusts([])("10.0.0.1")
