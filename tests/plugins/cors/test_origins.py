from __future__ import annotations

import pytest
from gateway_plugin_cors.config import CorsConfig
from gateway_plugin_cors.origins import compile_origins
from hypothesis import given
from hypothesis import strategies as st


def allows(*origins: object) -> object:
    return compile_origins(CorsConfig.model_validate({"origins": list(origins)}).origins)


@pytest.mark.parametrize(
    ("configured", "origin", "is_allowed"),
    [
        ("https://app.example.com", "https://app.example.com", True),
        ("https://app.example.com", "http://app.example.com", False),
        ("https://app.example.com", "https://app.example.com:8443", False),
        ("https://app.example.com", "https://app.example.com.evil.test", False),
        ("https://app.example.com", "https://APP.example.com", False),
        ("https://*.example.com", "https://a.example.com", True),
        ("https://*.example.com", "https://a.b.example.com", True),
        ("https://*.example.com", "https://example.com", False),
        ("https://*.example.com", "https://.example.com", False),
        ("https://*.example.com", "https://evilexample.com", False),
        ("https://*.example.com", "https://evil.test/.example.com", False),
        ("https://*.example.com", "https://evil.test#.example.com", False),
        ("https://*.example.com", "https://user@a.example.com", False),
        ("https://*.example.com", "https://a..example.com", False),
        ("https://*.example.com", "https://*.example.com", False),
        ("https://*.example.com", "https://a.example.com:8443", False),
        ("https://*.example.com:*", "https://a.example.com:8443", True),
        ("https://*.example.com:*", "https://a.example.com", True),
        ("http://localhost:*", "http://localhost:3000", True),
        ("http://localhost:*", "http://localhost:", False),
        ("http://localhost:*", "http://localhost:3000.evil.test", False),
        ("http://localhost:*", "http://localhost:*", False),
        ("http://[::1]:3000", "http://[::1]:3000", True),
        ("null", "null", True),
        ("https://app.example.com", "null", False),
        ({"regex": "https://pr-[0-9]+[.]example[.]com"}, "https://pr-12.example.com", True),
        ({"regex": "https://pr-[0-9]+[.]example[.]com"}, "https://pr-12.example.com.evil.test", False),
        ("*", "https://anything.test", True),
        ("*", "x" * 10_000, False),
    ],
)
def test_an_origin_is_allowed_by_its_whole_text(configured: object, origin: str, is_allowed: bool) -> None:
    assert allows(configured)(origin) is is_allowed  # type: ignore[operator]


@given(st.text(max_size=400))
def test_no_origin_raises_and_what_is_no_origin_is_not_allowed(text: str) -> None:
    allowed = allows("https://*.example.com", "http://localhost:*", {"regex": "https://(a|b)+[.]example[.]org"})

    if allowed(text):  # type: ignore[operator]
        assert text.startswith(("https://", "http://localhost"))
