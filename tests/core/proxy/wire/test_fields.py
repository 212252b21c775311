"""Lines of fields, authorities, and credentials that bind a connection."""

from __future__ import annotations

import re

import pytest
from gateway_core.proxy.wire.fields import challenge_binds, credentials_bind, valid_host, valid_lines
from gateway_core.routing.hosts import normalize_host
from hypothesis import given
from hypothesis import strategies as st

GRAMMAR = re.compile(
    rb"(?:\[[0-9A-Fa-f:.]+\]|(?:[A-Za-z0-9._~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})+)(?::[0-9]*)?"
)  # RFC 3986 section 3.2.2, without the zones and future versions of IP literals


@given(st.lists(st.sampled_from([b"\r", b"\n", b"\r\n", b"a", b"\0", b"\x7f", b"b: c", b"\xff", b"\t", b"\x85"])))
def test_lines_end_with_crlf_and_hold_no_other_control_character(pieces: list[bytes]) -> None:
    text = b"".join([*pieces, b"\r\n"])
    lines = text.split(b"\r\n")[:-1]
    is_valid = not any(byte in b"\r\n\0\x7f" for line in lines for byte in line)

    assert valid_lines(text) == (lines if is_valid else None)


@pytest.mark.parametrize("text", [b"a\n\0\r\n", b"a\rb\n\r\n", b"\n\r\r\n", b"a\0\nb\r\n"])
def test_what_is_missing_at_one_line_end_is_not_made_up_for_elsewhere(text: bytes) -> None:
    assert valid_lines(text) is None


@pytest.mark.parametrize(
    "host",
    ["a", "a.b:80", "[::1]", "[::1]:8080", "[::FFFF:1.2.3.4]", "127.0.0.1:1", "a:", "a:65535", "a.", "a.b.:80",
     "A.Example", "my_name.test", "_a", "xn--bcher-kva.test", "a%41", "%C3%BC.test", "256.256.256.256", "1",
     "a" * 255, "a:00080"],
)  # fmt: skip
def test_authorities_are_hosts(host: str) -> None:
    assert valid_host(host.encode())


@pytest.mark.parametrize(
    "host",
    ["", ":80", ":", ".", "..", ".a", "a..b", "a..", "a:b", "a:1:2", "a:123456", "a:65536", "a:99999", "a:0",
     "a:-1", "a:+1", "a:8 0", "[::1", "[]", "a]b", "[::1]x", "[::1]:x", "[::1]:0", "[1]", "[:::1]", "[::1::]",
     "[fe80::1%25eth0]", "[fe80::1%eth0]", "[v1.x]", "::1", "a%zz", "a%", "a%4", "%", "%%41", "a%00b",
     "a%0d%0a", "a%20b", "a%2fb", "a%3ab", "a%40b", "a%25", "a%2e.b", "a%7f", "a%5c", "a%3F", "a b", "a\tb",
     " a", "a,b", "a, b", "a/b", "a?b", "a#b", "u@a", "u:p@a", "@a", "http://a", "a\\b", 'a"b', "a<b", "a|b",
     "a^b", "a`b", "a{b}", "\x00", "a\x7f", "a\x80", "über.test", "a" * 256],
)  # fmt: skip
def test_what_is_no_authority_is_no_host(host: str) -> None:
    assert not valid_host(host.encode("latin-1"))


@given(st.text(st.sampled_from("aZ0-._~%4123eEfF:,[]@/ \\"), max_size=12))
def test_every_host_is_in_the_grammar_and_matches_in_one_form(text: str) -> None:
    if valid_host(text.encode()):
        assert GRAMMAR.fullmatch(text.encode())
        assert normalize_host(normalize_host(text)) == normalize_host(text)
        assert normalize_host(text)


def binds_connection(lowered: bytes) -> bool:
    return credentials_bind(lowered) or challenge_binds(lowered)


@pytest.mark.parametrize(
    "line",
    [
        "Authorization: NTLM TlRMTVNTUAAB",
        "authorization:Negotiate YII",
        "AUTHORIZATION: \t ntlm abc",
        "Authorization: Basic eDp5, NTLM TlRMTVNTUAAB",
        "Authorization: Digest username=\"a\", nc=1,\tnegotiate YII",
        "Authorization: ,Kerberos YII",
        "WWW-Authenticate: NTLM",
        "WWW-Authenticate: Negotiate",
        "WWW-Authenticate: Basic realm=\"a\", NTLM",
        "WWW-Authenticate: Negotiate, NTLM",
        "WWW-Authenticate: Negotiate oYG2, Basic realm=x",
        "WWW-Authenticate: ,NTLM",
        "WWW-Authenticate: Kerberos",
        "Proxy-Authenticate: Nego2",
    ],
)  # fmt: skip
@pytest.mark.parametrize(
    "before", ["", "\r\nHost: a", "\r\nAuthorization: Basic abc\r\nWWW-Authenticate: Basic realm=x"]
)
def test_credentials_and_challenges_of_a_connection_bind_it(line: str, before: str) -> None:
    assert binds_connection(f"{before}\r\n{line}\r\nX-Last: 1".lower().encode())
    assert binds_connection(f"{before}\r\n{line}".lower().encode())


@pytest.mark.parametrize(
    "line",
    [
        "Authorization: Basic bnRsbTpudGxt",
        "Authorization: Bearer ntlm",
        "Authorization: Bearer negotiate-me",
        "Authorization: NTLMv9 abc",
        "WWW-Authenticate: Basic realm=\"ntlm\"",
        "X-Authorization: NTLM abc",
        "Proxy-Authorization: NTLM abc",
        "Cookie: authorization: ntlm",
        "X-Note: authorization, negotiate",
    ],
)  # fmt: skip
def test_other_fields_bind_nothing(line: str) -> None:
    assert not binds_connection(f"\r\nHost: a\r\n{line}\r\nX-Last: 1".lower().encode())


def test_a_long_list_is_read_in_linear_time() -> None:
    assert not binds_connection(b"\r\nauthorization:" + b"," * 100_000)
    assert not binds_connection(b"\r\nauthorization:" * 10_000)
