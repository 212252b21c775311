from __future__ import annotations

import string

import pytest
from gateway_tokens.uris import normalized
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("uri", "plain"),
    [
        ("https://a.example/b", "https://a.example/b"), ("HTTPS://A.Example/B", "https://a.example/B"),
        ("https://a.example", "https://a.example/"), ("https://a.example:443/", "https://a.example/"),
        ("http://a.example:80/", "http://a.example/"), ("http://a.example:443/", "http://a.example:443/"),
        ("https://a.example:/", "https://a.example/"), ("https://a.example:08443/", "https://a.example:8443/"),
        ("https://a.example/b?c=d#e", "https://a.example/b"), ("https://a.example?b", "https://a.example/"),
        ("https://a.example/%7eb%2fc%C3%bc", "https://a.example/~b%2Fc%C3%BC"),
        ("https://a.example/b/../c/./d/..", "https://a.example/c/"), ("https://a.example/..", "https://a.example/"),
        ("https://a.example/%2e%2E/b", "https://a.example/b"), ("https://a.example//b/", "https://a.example//b/"),
        ("https://[2001:DB8::1]:443/", "https://[2001:db8::1]/"), ("https://a%2Eexample/", "https://a.example/"),
        ("https://a.example/100%", "https://a.example/100%"), ("https://a.example/%zz", "https://a.example/%zz"),
    ],
)  # fmt: skip
def test_equivalent_uris_have_one_form(uri: str, plain: str) -> None:
    assert normalized(uri) == plain


@pytest.mark.parametrize(
    "uri",
    ["", "/", "//a.example/", "a.example/b", "ftp://a.example/", "https:/a.example", "https:///b", "https://",
     "https://u@a.example/", "https://u:p@a.example/", "https://a.example:x/", "https://a.example:123456/",
     "https://a.example\\b", "https://a.example/ b", "https://a.example/\n", "https://a.example/\x00",
     "https://a.example/ü", "https://ü.example/", "https://[::1/", "https://[g]/", "\nhttps://a.example/"],
)  # fmt: skip
def test_what_is_no_absolute_uri_of_http_has_no_form(uri: str) -> None:
    assert normalized(uri) is None


@given(st.text("/.%2e2Eab~?#", max_size=30))
def test_a_form_is_its_own_form_and_has_no_dot_segments(path: str) -> None:
    plain = normalized(f"https://a.example/{path}")

    assert plain is not None
    assert normalized(plain) == plain
    assert not {".", ".."} & set(plain.split("/")[3:])


@given(st.text(string.ascii_letters + string.digits + "-._~/", max_size=30), st.data())
def test_a_character_that_needs_no_escape_may_be_escaped(path: str, data: st.DataObject) -> None:
    escaped = "".join(
        f"%{ord(each):02{data.draw(st.sampled_from('xX'))}}" if each != "/" and data.draw(st.booleans()) else each
        for each in path
    )

    assert normalized(f"https://a.example/{escaped}") == normalized(f"https://a.example/{path}")
