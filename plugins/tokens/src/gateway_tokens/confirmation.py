"""Tokens that are bound to a key of their client: the claim ``cnf`` (RFC 7800), as DPoP and mutual TLS use it."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

_THUMBPRINT: Final = re.compile(r"[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]")
"""A SHA-256 in base64url, as an encoder writes it: 43 characters, and no bit is left over in the last one."""


class UnknownConfirmationError(ValueError):
    """A token that is bound to something that cannot be checked here."""


@dataclass(frozen=True, slots=True)
class Confirmation:
    """What the client of a token must prove; both if both are given."""

    key: str | None = None
    """``jkt``: thumbprint of the key of its DPoP proofs (RFC 9449 section 6.1)."""
    certificate: str | None = None
    """``x5t#S256``: thumbprint of its TLS certificate (RFC 8705 section 3.1)."""


_FIELDS: Final = {"jkt": "key", "x5t#S256": "certificate"}


def read_confirmation(claims: Mapping[str, Any]) -> Confirmation | None:
    """Return what the client of a token must prove, or None if it is a plain bearer token.

    RFC 7800 section 3.1 lets a recipient ignore members that it does not know. That would make a bearer token of one
    that the issuer bound, so they are refused.

    :raises UnknownConfirmationError: ``cnf`` has a member that is not known, none at all, or no thumbprint.
    """
    if "cnf" not in claims:
        return None
    value = claims["cnf"]
    if not isinstance(value, Mapping) or not value:
        raise UnknownConfirmationError("cnf is not an object with members")
    for name, member in value.items():
        if name not in _FIELDS or not isinstance(member, str) or _THUMBPRINT.fullmatch(member) is None:
            raise UnknownConfirmationError(f"cnf has {name!r:.80}: jkt and x5t#S256 are known, with a SHA-256 each")
    return Confirmation(**{_FIELDS[name]: member for name, member in value.items()})


def base64url(data: bytes) -> str:
    """Encode as base64url without padding (RFC 7515 section 2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def certificate_thumbprint(certificate: bytes) -> str:
    """Return the ``x5t#S256`` of a certificate in DER (RFC 7515 section 4.1.8)."""
    return base64url(hashlib.sha256(certificate).digest())
