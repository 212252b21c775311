from __future__ import annotations

import pytest
from gateway_core.proxy.wire.bound import challenge_binds, credentials_bind


def binds_connection(lowered: bytes) -> bool:
    return credentials_bind(lowered) or challenge_binds(lowered)


@pytest.mark.parametrize(
    "line",
    [
        "Authorization: NTLM TlRMTVNTUAAB",
        "authorization:Negotiate YII",
        "AUTHORIZATION: \t ntlm abc",
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
