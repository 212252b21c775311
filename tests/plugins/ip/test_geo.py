from __future__ import annotations

import pytest
from gateway_plugin_ip.geo import DatabaseError, open_countries
from hypothesis import given
from hypothesis import strategies as st

from tests.plugins.ip.mmdb import database

DATA = database(
    {
        "192.0.2.0/24": "DE",
        "2001:db8::/32": "FR",
        "198.51.100.0/24": {"registered_country": {"iso_code": "US"}},
        "203.0.113.0/24": {"country": "not a map"},
    }
)


def test_an_address_has_the_country_of_its_network() -> None:
    country_of = open_countries(DATA)

    found = {text: country_of(text) for text in ("192.0.2.7", "2001:db8::1", "198.51.100.1", "10.0.0.1", "no address")}

    assert found == {
        "192.0.2.7": "DE", "2001:db8::1": "FR", "198.51.100.1": "US", "10.0.0.1": None, "no address": None,
    }  # fmt: skip


@pytest.mark.parametrize(
    "data", [b"", b"no database", DATA[:50], DATA[-300:], b"\xab\xcd\xefMaxMind.com" + b"\xff" * 9]
)
def test_what_is_no_database_is_refused(data: bytes) -> None:
    with pytest.raises(DatabaseError, match="is not a database of addresses"):
        open_countries(data)


@given(st.integers(0, len(DATA) - 1), st.integers(0, 255))
def test_a_damaged_database_gives_no_country_or_is_refused_and_raises_nothing_else(position: int, byte: int) -> None:
    damaged = DATA[:position] + bytes([byte]) + DATA[position + 1 :]
    try:
        country_of = open_countries(damaged)
    except DatabaseError:
        return
    for address in ("192.0.2.7", "2001:db8::1", "10.0.0.1"):
        assert country_of(address) is None or isinstance(country_of(address), str)
