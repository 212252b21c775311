from __future__ import annotations

import pytest
from gateway_plugin_auth.clients import client_of
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("address", "client"),
    [
        ("192.0.2.1", "192.0.2.1"), ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"), ("2001:db8:1:2::", "2001:db8:1:2::"),
        ("::ffff:192.0.2.1", "192.0.2.1"), ("", ""), ("unknown", "unknown"), ("fe80::1%eth0", "fe80::"),
    ],
)  # fmt: skip
def test_a_client_is_an_address_or_a_network_that_it_has_for_itself(address: str, client: str) -> None:
    assert client_of(address) == client


@given(st.text())
def test_any_text_is_some_client(address: str) -> None:
    client_of(address)
