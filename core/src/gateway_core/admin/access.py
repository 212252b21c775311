"""Who may do what on the admin listener. Pure.

Over a unix socket the system names the peer's user: the gateway's own and root may do everything. Over TCP a bearer
token or a client certificate names a role. Without either a caller is anonymous, and may read as long as no token
exists, and nothing else.

A page in an operator's browser is no caller: `browser_refusal` finds requests that a page of another origin has caused.
It needs neither to read a response nor to know an address to do harm, so they are refused before anything is done.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hmac import compare_digest
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from gateway_core.config import AdminRole

RANKS: Final[Mapping[AdminRole, int]] = {"viewer": 0, "operator": 1, "editor": 2}

SAFE_METHODS: Final = frozenset({"GET", "HEAD"})


@dataclass(frozen=True, slots=True)
class Token:
    """A bearer token, by its hash."""

    name: str
    role: AdminRole
    digest: str
    """``sha256:`` and the SHA-256 of the token in hexadecimal: it is 256 random bits, which no dictionary has."""
    expires: float | None = None
    """Seconds since the epoch."""
    may_tail: bool = False
    id: str = ""
    """What distinguishes it from others of its name, for the audit log; not secret."""


@dataclass(frozen=True, slots=True)
class ClientName:
    """What the certificate with a name stands for."""

    name: str
    role: AdminRole
    may_tail: bool = False


@dataclass(frozen=True, slots=True)
class Access:
    """Who is let in at one moment."""

    tokens: Sequence[Token] = ()
    clients: Sequence[ClientName] = ()
    has_tls: bool = False
    """Whether the listener has TLS: anonymous callers get nothing there."""
    has_token_file: bool = False
    """Whether a token was ever made: revoking the last one must not open what it has opened."""

    @property
    def takes_anonymous(self) -> bool:
        """Whether callers who are not named may read."""
        return not self.tokens and not self.has_tls and not self.has_token_file


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sends a request."""

    name: str
    role: AdminRole
    how: Literal["socket", "token", "certificate", "anonymous"]
    may_tail: bool = False
    token: str = ""
    """The id of the token, if it is by one."""

    def may(self, role: AdminRole) -> bool:
        """Whether the caller may do what a role is needed for."""
        return RANKS[self.role] >= RANKS[role]


ANONYMOUS: Final = Caller("anonymous", "viewer", "anonymous")


def digest_of(token: str) -> str:
    """Return what is kept of a token."""
    return f"sha256:{hashlib.sha256(token.encode('utf-8', 'surrogateescape')).hexdigest()}"


def bearer_of(authorization: str | None) -> str | None:
    """Return the token of an Authorization field (RFC 6750 section 2.1); None if it is none, ``""`` for another one."""
    if authorization is None:
        return None
    scheme, _, rest = authorization.strip().partition(" ")
    return rest.strip() if scheme.lower() == "bearer" else ""


def caller_of_token(text: str, tokens: Iterable[Token], now: float) -> Caller | None:
    """Return who a token stands for; None for one that is unknown or has expired.

    :param now: seconds since the epoch.
    """
    digest, found = digest_of(text), None
    for token in tokens:
        # All are compared, so that the time shows nothing of which one it is.
        is_it = compare_digest(digest, token.digest)
        if is_it and (token.expires is None or now < token.expires):
            found = token
    return None if found is None else Caller(found.name, found.role, "token", found.may_tail, found.id)


def caller_of_certificate(certificate: Mapping[str, Any], clients: Iterable[ClientName]) -> Caller | None:
    """Return who a client certificate stands for.

    :param certificate: as `ssl.SSLSocket.getpeercert` returns one that was verified.
    """
    names = names_in(certificate)
    found = next((client for client in clients if client.name in names), None)
    return None if found is None else Caller(found.name, found.role, "certificate", found.may_tail)


def names_in(certificate: Mapping[str, Any]) -> frozenset[str]:
    """Return a certificate's alternative names, or, where there are none, its common name (RFC 6125 section 6.4.4)."""
    alternative = frozenset(
        value for kind, value in certificate.get("subjectAltName", ()) if kind in {"DNS", "URI", "email"}
    )
    if alternative:
        return alternative
    parts = [part for parts in certificate.get("subject", ()) for part in parts]
    return frozenset(value for name, value in parts if name == "commonName")


def browser_refusal(method: str, host: str | None, origin: str | None, fetch_site: str | None) -> str | None:
    """Return why a request that a page has caused is refused; None if it is not.

    :param origin: of the field Origin, which browsers send with all but simple reads (RFC 6454).
    :param fetch_site: of the field Sec-Fetch-Site; ``none`` is what a person has typed (W3C Fetch Metadata).
    """
    if fetch_site is not None and fetch_site not in {"same-origin", "none"}:
        return f"requests that other sites cause are refused (Sec-Fetch-Site: {fetch_site[:40]})"
    if origin is not None and not _is_same(origin, host):
        return "requests that pages of another origin cause are refused (Origin)"
    if fetch_site == "none" and method not in SAFE_METHODS:
        return "a form that was typed in is refused (Sec-Fetch-Site: none)"
    return None


def _is_same(origin: str, host: str | None) -> bool:
    try:
        parts = urlsplit(origin)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and host is not None and parts.netloc.lower() == host.strip().lower()
