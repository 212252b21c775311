from __future__ import annotations

from typing import Any

import jwt
import pytest
from gateway_plugin_oidc.id_tokens import (
    LOGOUT_EVENT,
    RefusedTokenError,
    check_bearer,
    check_id_token,
    check_logout_token,
    expected_of,
    half_hash,
    read_token,
    trusted_claims,
)

EXPECTED = expected_of("https://issuer", (), "web", 60.0)
USUAL: dict[str, Any] = {"iss": "https://issuer", "sub": "a", "aud": "web", "iat": 1000, "exp": 2000, "nonce": "n"}


def token(kind: str = "JWT", **changes: Any) -> Any:
    claims = {name: value for name, value in {**USUAL, **changes}.items() if value is not None}
    return read_token(jwt.encode(claims, "k" * 32, "HS256", {"typ": kind}))


def test_an_access_tokens_hash_is_that_of_the_specification() -> None:
    # OpenID Connect Core, appendix A.3
    access_token = "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y"

    assert half_hash(access_token, "RS256") == "77QmUPtjPfzWtF2AnpK9RQ"


def test_a_token_for_this_login_is_accepted() -> None:
    check_id_token(token(), EXPECTED, 1500.0, nonce="n", access_token="x")
    check_id_token(token(aud=["web"], azp="web"), EXPECTED, 1500.0, nonce="n", access_token="x")
    check_id_token(token(nonce=None), EXPECTED, 1500.0, nonce=None, access_token="x")


@pytest.mark.parametrize(
    ("changes", "now"),
    [
        ({"nonce": None}, 1500),
        ({"nonce": 1}, 1500),
        ({"azp": "other"}, 1500),
        ({"exp": None}, 1500),
        ({"iat": None}, 1500),
        ({"aud": []}, 1500),
        ({"at_hash": 1}, 1500),
        ({}, 2061),
        ({}, 939),
    ],
)
def test_a_token_that_is_not_is_refused(changes: dict[str, Any], now: float) -> None:
    with pytest.raises(RefusedTokenError):
        check_id_token(token(**changes), EXPECTED, now, nonce="n", access_token="x")


@pytest.mark.parametrize("kind", ["logout+jwt", "application/Logout+JWT", "at+jwt"])
def test_a_logout_token_or_an_access_token_is_no_id_token(kind: str) -> None:
    for other in (token(kind), token(events={LOGOUT_EVENT: {}})):
        with pytest.raises(RefusedTokenError, match="token-type"):
            check_id_token(other, EXPECTED, 1500.0, nonce="n", access_token="x")


def test_clocks_may_differ_by_the_leeway() -> None:
    check_id_token(token(), EXPECTED, 2059.0, nonce="n", access_token="x")
    check_id_token(token(), EXPECTED, 941.0, nonce="n", access_token="x")


def test_an_id_token_or_a_logout_token_is_no_access_token() -> None:
    check_bearer(token(nonce=None, aud="api"), EXPECTED, ["api"], 1500.0)
    refused: list[dict[str, Any]] = [{"aud": "api"}, {"aud": "api", "nonce": None, "events": {}}, {"nonce": None}]
    for changes in refused:
        with pytest.raises(RefusedTokenError):
            check_bearer(token(**changes), EXPECTED, ["api"], 1500.0)


def test_a_logout_token_names_a_subject_or_a_session() -> None:
    usual: dict[str, Any] = {"events": {LOGOUT_EVENT: {}}, "jti": "1", "nonce": None}

    assert check_logout_token(token(**usual), EXPECTED, 1001.0) == ("a", "")
    assert check_logout_token(token(**usual, sub=None, sid="s"), EXPECTED, 1001.0) == ("", "s")
    with pytest.raises(RefusedTokenError):
        check_logout_token(token(**usual, sub=None), EXPECTED, 1001.0)


@pytest.mark.parametrize("tid", [None, [], {}, 1, "", "t2"])
def test_a_tenant_is_a_listed_one(tid: object) -> None:
    expected = expected_of("https://{tenantid}", ("t1",), "web", 60.0)
    made: dict[str, Any] = {"iss": "https://t1", "aud": "api", "nonce": None}

    check_bearer(token(**made, tid="t1"), expected, ["api"], 1500.0)
    with pytest.raises(RefusedTokenError, match="token-tenant"):
        check_bearer(token(**made, tid=tid), expected, ["api"], 1500.0)


def test_text_that_is_no_token_is_refused() -> None:
    for text in ("", "a.b", "a.b.c", "é"):
        with pytest.raises(RefusedTokenError, match="token-malformed"):
            read_token(text)


def test_only_a_true_makes_an_address_verified() -> None:
    for value in (None, "true", 1, False):
        assert "email" not in trusted_claims({"email": "a@b", "email_verified": value}, trust_unverified_email=False)
    assert "email" in trusted_claims({"email": "a@b", "email_verified": True}, trust_unverified_email=False)
