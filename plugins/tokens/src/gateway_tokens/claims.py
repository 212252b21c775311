"""The registered claims of a token (RFC 7519 section 4.1): are they what they must be, now."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

Claims = Mapping[str, Any]

_DATES: Final = ("exp", "nbf", "iat")
_TEXTS: Final = ("iss", "sub", "jti")
_LARGEST: Final = 2**53


@dataclass(frozen=True, slots=True)
class ClaimPolicy:
    """What a token must say of itself. Times are seconds, 0 means no bound."""

    issuers: frozenset[str] = frozenset()
    audiences: frozenset[str] = frozenset()
    all_audiences: bool = False
    leeway: float = 0.0
    max_lifetime: float = 0.0
    max_age: float = 0.0
    required: tuple[str, ...] = ()
    forbidden: tuple[str, ...] = ()
    types: frozenset[str] = frozenset()
    tenants: Mapping[str, str] = field(default_factory=dict)
    """The ``tid`` that tokens of an issuer must have; of issuers that are not here it does not matter."""
    numeric_subject: bool = False
    """Whether ``sub`` may be a whole number, although RFC 7519 section 4.1.2 makes it a text."""


def is_date(value: object) -> bool:
    """Return whether a value is a NumericDate (RFC 7519 section 2) that a float holds."""
    # A bool is an int in Python, and JSON has 1e999 as well as integers of 4,000 digits, which no float can hold.
    return isinstance(value, int | float) and not isinstance(value, bool) and -_LARGEST <= value <= _LARGEST


def audiences_of(claims: Claims) -> Sequence[str] | None:
    """Return the audiences that a token names, or None if the claim is neither a text nor a list of texts."""
    value = claims.get("aud")
    if value is None:
        return ()
    if isinstance(value, str):
        return (value,)
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return value
    return None


def _is_well_formed(claims: Claims, policy: ClaimPolicy) -> bool:
    for name in _DATES:
        if name in claims and not is_date(claims[name]):
            return False
    for name in _TEXTS:
        if name in claims and not isinstance(claims[name], str):
            is_number = isinstance(claims[name], int) and not isinstance(claims[name], bool)
            if name != "sub" or not policy.numeric_subject or not is_number:
                return False
    return audiences_of(claims) is not None and not ("aud" in claims and claims["aud"] is None)


def _time_problem(claims: Claims, policy: ClaimPolicy, now: float) -> str | None:
    leeway = policy.leeway
    expires, issued = claims.get("exp"), claims.get("iat")
    if expires is not None and now >= expires + leeway:
        return "expired"
    if "nbf" in claims and now < claims["nbf"] - leeway:
        return "not-yet-valid"
    if issued is not None and now < issued - leeway:
        return "issued-in-the-future"
    if policy.max_lifetime and (expires is None or expires - now > policy.max_lifetime + leeway):
        return "lives-too-long"
    if policy.max_age and (issued is None or now - issued > policy.max_age + leeway):
        return "too-old"
    return None


def issuer_problem(claims: Claims, policy: ClaimPolicy) -> str | None:
    """Return ``issuer`` or ``tenant`` if the token is not of an accepted one, else None."""
    if not policy.issuers:
        return None
    issuer = claims.get("iss")
    if not isinstance(issuer, str) or issuer not in policy.issuers:
        return "issuer"
    return "tenant" if issuer in policy.tenants and claims.get("tid") != policy.tenants[issuer] else None


def _audience_problem(claims: Claims, policy: ClaimPolicy) -> str | None:
    if not policy.audiences:
        return None
    named = policy.audiences.intersection(audiences_of(claims) or ())
    enough = named == policy.audiences if policy.all_audiences else bool(named)
    return None if enough else "audience"


def type_problem(header: Mapping[str, Any], types: Collection[str | None]) -> str | None:
    """Return ``type`` if the header's ``typ`` is not an accepted one (RFC 8725 section 3.11), else None."""
    if not types:
        return None
    value = header.get("typ")
    plain = value.lower().removeprefix("application/") if isinstance(value, str) else None
    return None if plain in types else "type"


def claims_problem(claims: Claims, policy: ClaimPolicy, now: float) -> str | None:
    """Return why a token's registered claims are not acceptable, in one word, or None.

    :param now: seconds since the epoch.
    """
    if not _is_well_formed(claims, policy):
        return "malformed-claim"
    problem = issuer_problem(claims, policy) or _audience_problem(claims, policy) or _time_problem(claims, policy, now)
    if problem is not None:
        return problem
    if policy.required and any(name not in claims for name in policy.required):
        return "claim-missing"
    if policy.forbidden and any(name in claims for name in policy.forbidden):
        return "claim-forbidden"
    return None


def valid_until(claims: Claims, policy: ClaimPolicy) -> float:
    """Return the moment, in seconds since the epoch, from which an accepted token is one no more."""
    ends = [math.inf]
    if "exp" in claims:
        ends.append(claims["exp"] + policy.leeway)
    if policy.max_age:
        ends.append(claims["iat"] + policy.max_age + policy.leeway)
    return min(ends)
