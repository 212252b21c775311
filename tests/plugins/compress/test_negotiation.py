from __future__ import annotations

import pytest
from gateway_plugin_compress.negotiation import Types, choose_coding
from hypothesis import given
from hypothesis import strategies as st

OFFERED = ("zstd", "br", "gzip")


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [
        ("", None),
        ("gzip", "gzip"),
        ("x-gzip", "gzip"),
        ("GZIP", "gzip"),
        ("gzip, deflate, br, zstd", "zstd"),
        ("gzip, deflate, br", "br"),
        ("deflate", None),
        ("br;q=0.5, gzip;q=0.9", "gzip"),
        ("br; q=0.5 , gzip ; q=0.5", "br"),
        ("gzip;q=0", None),
        ("*", "zstd"),
        ("*;q=0.1, gzip", "gzip"),
        ("zstd;q=0, *", "br"),
        ("*;q=0", None),
        ("identity, gzip;q=0.5", None),
        ("identity;q=0.5, gzip;q=1", "gzip"),
        ("identity;q=0", None),
        ("gzip;q=nan", None),
        ("gzip;q=inf", None),
        ("gzip;q=-1", None),
        ("gzip;q=1.5", "gzip"),
        ("gzip;q=", None),
        ("gzip;quality=1", None),
        (",,gzip,", "gzip"),
        ("gzip," * 400, None),
    ],
)
def test_the_client_prefers_and_the_offer_breaks_ties(accepted: str, coding: str | None) -> None:
    assert choose_coding(accepted, OFFERED) == coding


@given(st.text(alphabet="gzipbrstd*;q=0.15, \t"))
def test_no_value_raises(accepted: str) -> None:
    assert choose_coding(accepted, OFFERED) in {None, *OFFERED}


@pytest.mark.parametrize(
    ("content_type", "is_one"),
    [
        (b"text/html; charset=utf-8", True),
        (b"TEXT/HTML", True),
        (b"application/json", True),
        (b"application/problem+json;x=y", True),
        (b"application/+json", False),
        (b"text/", False),
        (b"application/jsonp", False),
        (b"image/png", False),
        (b"", False),
    ],
)
def test_a_type_counts_without_its_parameters(content_type: bytes, is_one: bool) -> None:
    assert Types(["text/*", "application/json", "application/*+json"]).have(content_type) is is_one
