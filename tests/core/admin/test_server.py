from __future__ import annotations

import pytest
from gateway_core.admin.server import names_us


@pytest.mark.parametrize(
    "host", [None, "localhost", "LOCALHOST:1", "127.0.0.1", "::1", "[fe80::1]:80", "a.test", "A.test.:8"]
)
def test_addresses_localhost_and_names_of_ours(host: str | None) -> None:
    assert names_us(host, ["A.Test"])


@pytest.mark.parametrize(
    "host", ["", ":80", "evil", "b.a.test", "a.test.evil", "1.2.3.4.5", "[evil]", "0x7f.1", "localhost@evil"]
)
def test_other_names(host: str) -> None:
    assert not names_us(host, ["a.test"])
