from __future__ import annotations

import pytest
from gateway_plugin_static.encodings import accepted_codings
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("accepted", "expected"),
    [
        (None, []),
        ("", []),
        ("gzip, br, zstd", ["br", "zstd", "gzip"]),
        ("gzip;q=1, br;q=0.5", ["gzip", "br"]),
        ("*", ["br", "zstd", "gzip"]),
        ("*;q=0.1, br;q=0", ["zstd", "gzip"]),
        ("X-GZIP", ["gzip"]),
        ("identity, gzip;q=0.5", []),
        ("gzip;q=0", []),
        ("gzip;q=x", []),
        ("gzip;q=1.2.3", []),
        ("deflate", []),
        ("gzip" + " " * 600, []),
    ],
)
def test_codings_are_ordered_by_the_client_and_then_by_the_offer(accepted: str | None, expected: list[str]) -> None:
    assert accepted_codings(accepted, ("br", "zstd", "gzip")) == expected


@given(st.text(max_size=60))
def test_no_text_raises(text: str) -> None:
    accepted_codings(text, ("br",))
