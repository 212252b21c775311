"""Verify what a provider signed: ID tokens, logout tokens and access tokens. Pure but for the keys that are given."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from gateway_tokens.claims import ClaimPolicy, audiences_of, claims_problem
from gateway_tokens.jws import MalformedTokenError, Token, parse_token
from gateway_tokens.keys import KeySet

TENANT: Final = "{tenantid}"
LOGOUT_EVENT: Final = "http://schemas.openid.net/event/backchannel-logout"
_OTHER_TYPES: Final = frozenset({"at+jwt", "logout+jwt"})
"""Types of tokens that are no ID tokens (RFC 9068 section 2.1, Back-Channel Logout section 2.4)."""
_HASHES: Final = {"256": "sha256", "384": "sha384", "512": "sha512"}


class RefusedTokenError(ValueError):
    """A token that is not accepted; the text is a stable code."""

    @property
    def code(self) -> str:
        return str(self.args[0])


@dataclass(frozen=True, slots=True)
class Expected:
    """What tokens of a provider must say."""

    issuers: frozenset[str]
    """Accepted issuers; with tenants one for each."""
    client_id: str
    leeway: float
    tenants: Mapping[str, str] = field(default_factory=dict)
    """Of issuers with tenants the ``tid`` that their tokens must have."""

    def policy(self, audiences: Collection[str], required: tuple[str, ...]) -> ClaimPolicy:
        return ClaimPolicy(
            self.issuers, frozenset(audiences), leeway=self.leeway, required=required, tenants=self.tenants
        )


def expected_of(issuer: str, tenants: Collection[str], client_id: str, leeway: float) -> Expected:
    """Return what tokens must say of an issuer, whose name may have `TENANT` in it."""
    by_issuer = {issuer.replace(TENANT, tenant): tenant for tenant in tenants} if TENANT in issuer else {}
    return Expected(frozenset(by_issuer or {issuer}), client_id, leeway, by_issuer)


def read_token(text: str) -> Token:
    """Take a token apart.

    :raises RefusedTokenError: it is none.
    """
    try:
        return parse_token(text)
    except MalformedTokenError:
        raise RefusedTokenError("token-malformed") from None


def check_signature(token: Token, keys: KeySet) -> None:
    """Check that the provider signed a token, with an algorithm that its key is pinned to.

    :raises RefusedTokenError: it did not.
    """
    if not keys.has_key_for(token):
        raise RefusedTokenError("token-unknown-key")
    if not any(key.verifies(token) for key in keys.candidates(token)):
        raise RefusedTokenError("token-signature")


def _check(token: Token, expected: Expected, audiences: Collection[str], required: tuple[str, ...], now: float) -> None:
    problem = claims_problem(token.claims, expected.policy(audiences, required), now)
    if problem is not None:
        raise RefusedTokenError(f"token-{problem}")


def check_id_token(token: Token, expected: Expected, now: float, *, nonce: str | None, access_token: str) -> None:
    """Check an ID token (OpenID Connect Core section 3.1.3.7; without a nonce that of a refresh, section 12.2).

    :raises RefusedTokenError: it is not for us, now and for this login.
    """
    _check(token, expected, (expected.client_id,), ("iss", "sub", "aud", "exp", "iat"), now)
    claims = token.claims
    if _type_of(token) in _OTHER_TYPES or "events" in claims:
        raise RefusedTokenError("token-type")  # an access token or a logout token is no ID token
    several = len(audiences_of(claims) or ()) > 1
    if (several or "azp" in claims) and claims.get("azp") != expected.client_id:
        raise RefusedTokenError("token-azp")
    if nonce is not None and not _is_same(claims.get("nonce"), nonce):
        raise RefusedTokenError("token-nonce")
    if "at_hash" in claims and not _is_same(claims["at_hash"], half_hash(access_token, token.algorithm)):
        raise RefusedTokenError("token-at-hash")


def check_bearer(token: Token, expected: Expected, audiences: Collection[str], now: float) -> None:
    """Check an access token of another client (RFC 9068).

    :raises RefusedTokenError: it is not for these audiences, or is no access token.
    """
    if _type_of(token) not in {"", "jwt", "at+jwt"} or "nonce" in token.claims or "events" in token.claims:
        raise RefusedTokenError("token-type")  # an ID token or a logout token is no access token
    if "cnf" in token.claims:  # the client must prove a key (RFC 9449, RFC 8705), which is not checked here
        raise RefusedTokenError("token-bound")
    _check(token, expected, audiences, ("iss", "sub", "aud", "exp"), now)


def check_logout_token(token: Token, expected: Expected, now: float) -> tuple[str, str]:
    """Check a logout token (OpenID Connect Back-Channel Logout section 2.6), and return ``sub`` and ``sid``.

    One of both may be empty.

    :raises RefusedTokenError: it is none, or not for us.
    """
    if _type_of(token) not in {"", "jwt", "logout+jwt"}:
        raise RefusedTokenError("token-type")
    _check(token, expected, (expected.client_id,), ("iss", "aud", "iat", "jti", "events"), now)
    claims = token.claims
    events = claims["events"]
    if not isinstance(events, Mapping) or not isinstance(events.get(LOGOUT_EVENT), Mapping) or "nonce" in claims:
        raise RefusedTokenError("token-event")
    subject, sid = _text(claims, "sub"), _text(claims, "sid")
    if not subject and not sid:
        raise RefusedTokenError("token-claim-missing")
    # Some providers leave out exp: then it counts for a while from when it was issued.
    if "exp" not in claims and now - claims["iat"] > 120 + expected.leeway:
        raise RefusedTokenError("token-expired")
    return subject, sid


def _type_of(token: Token) -> str:
    """Return a token's ``typ``, as the short form of a media type (RFC 7515 section 4.1.9)."""
    return str(token.header.get("typ", "")).lower().removeprefix("application/")


def half_hash(text: str, algorithm: str) -> str:
    """Return the hash of an access token that ``at_hash`` has (OpenID Connect Core section 3.1.3.6)."""
    if algorithm == "Ed448":
        digest = hashlib.shake_256(text.encode()).digest(114)
    else:
        digest = hashlib.new(_HASHES.get(algorithm[-3:], "sha512"), text.encode()).digest()
    return base64.urlsafe_b64encode(digest[: len(digest) // 2]).rstrip(b"=").decode("ascii")


def trusted_claims(claims: Mapping[str, Any], *, trust_unverified_email: bool) -> dict[str, Any]:
    """Return the claims without an address that the provider did not verify: anybody could have entered it."""
    kept = dict(claims)
    if not trust_unverified_email and kept.get("email_verified") is not True:
        kept.pop("email", None)
    return kept


def _is_same(claimed: object, wanted: str) -> bool:
    return isinstance(claimed, str) and hmac.compare_digest(claimed.encode("utf-8", "surrogatepass"), wanted.encode())


def _text(claims: Mapping[str, Any], name: str) -> str:
    value = claims.get(name, "")
    return value if isinstance(value, str) else ""
