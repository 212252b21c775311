"""Why a request is refused, and the response that says no more of it than the client may know."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, Literal

from gateway_plugin_sdk import Response

Error = Literal[
    "invalid_request", "invalid_token", "insufficient_scope", "temporarily_unavailable", "invalid_dpop_proof",
    "use_dpop_nonce", "insufficient_user_authentication",
]  # fmt: skip
"""Error codes of RFC 6750 section 3.1, RFC 9449 section 12.2, RFC 9470 section 3, and one of RFC 6749 section 4.1.2.1
for what the client is not to blame for."""

_OF_PROOFS: Final = frozenset({"invalid_dpop_proof", "use_dpop_nonce"})


@dataclass(frozen=True, slots=True)
class Refusal:
    """A refusal: ``reason`` is for logs and metrics, never for the client."""

    reason: str
    """One word per cause, such as ``expired``; a fixed set, so that it may label a metric."""

    error: Error | None = "invalid_token"
    """What the client learns (RFC 6750); None if it presented no credentials, and so did nothing wrong."""

    scope: str = ""
    """The scopes that would be enough, separated by spaces; only with ``insufficient_scope``."""

    detail: str = field(default="", compare=False)
    """What the credentials said, such as their key and audience; for logs, and not to be believed."""

    retry_after: int = 0
    """Seconds after which it is worth to try again; only with ``temporarily_unavailable``."""

    parameters: tuple[tuple[str, str], ...] = ()
    """What else the challenge says, by name."""

    @property
    def status(self) -> int:
        """403 for a known caller who may not, 503 if credentials cannot be checked now, else 401."""
        return {"insufficient_scope": 403, "temporarily_unavailable": 503}.get(self.error or "", 401)

    @property
    def weight(self) -> int:
        """How much the refusal says about the caller: of several, the response is for the one that says most."""
        return _WEIGHTS[self.error]


# What could not be checked comes last: it might have let the caller in.
_WEIGHTS: Final[dict[Error | None, int]] = {
    None: 0, "invalid_token": 1, "invalid_request": 2, "invalid_dpop_proof": 2, "use_dpop_nonce": 2,
    "insufficient_scope": 3, "insufficient_user_authentication": 3, "temporarily_unavailable": 4,
}  # fmt: skip

NO_CREDENTIALS: Final = Refusal("missing", None)
"""No credentials were presented."""


UNAVAILABLE: Final = ("no-keys", "no-users", "no-revocations", "no-introspection", "dpop-store", "busy")
"""The reasons that are failures of this side, not of a client."""


def unavailable(reason: str, retry_after: float, detail: str = "") -> Refusal:
    """Return the refusal of credentials that may be right, but cannot be checked now.

    Not 401: applications take that for the end of a session, and log their users out.

    :param retry_after: seconds; rounded up to whole ones, at least one and at most a minute.
    """
    seconds = math.ceil(min(max(1.0, retry_after), 60.0))
    return Refusal(reason, "temporarily_unavailable", detail=detail, retry_after=seconds)


_DETAILS: Final[dict[Error | None, str]] = {
    None: "credentials are required",
    "invalid_request": "the credentials are not in a usable form",
    "invalid_token": "the credentials are not valid",
    "insufficient_scope": "the credentials do not allow this request",
    "invalid_dpop_proof": "the proof of possession is not valid",
    "use_dpop_nonce": "the proof of possession needs the nonce of this response",
    "insufficient_user_authentication": "this request needs another login",
    "temporarily_unavailable": "the credentials cannot be checked at the moment",
}


def quoted(text: str) -> str:
    """Write text as a quoted-string (RFC 9110 section 5.6.4)."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def challenge(scheme: str, realm: str, refusal: Refusal | None = None, more: str = "") -> str:
    """Write one challenge of a ``WWW-Authenticate`` field (RFC 6750 section 3, RFC 7617 section 2, RFC 9449 section 7).

    :param more: parameters that every challenge of the scheme has.
    """
    text = f"{scheme} realm={quoted(realm)}"
    if scheme == "Basic":
        return text + ', charset="UTF-8"'
    is_token = scheme in {"Bearer", "DPoP"} and not (scheme == "Bearer" and refusal and refusal.error in _OF_PROOFS)
    if is_token and refusal is not None and refusal.error is not None:
        text += f', error="{refusal.error}"'
        if refusal.scope:
            text += f", scope={quoted(refusal.scope)}"
        for name, value in refusal.parameters:
            text += f", {name}={quoted(value)}"
    return text + more


def response_to(
    refusal: Refusal, schemes: Sequence[str], realm: str, parameters: Mapping[str, str] = MappingProxyType({})
) -> Response:
    """Return the response to a refused request: one challenge for each scheme that would be accepted.

    :param parameters: by scheme what every challenge of it has behind the realm and the error.
    """
    if refusal.error == "temporarily_unavailable":
        fields = [("Retry-After", str(refusal.retry_after))]
    else:
        fields = [
            ("WWW-Authenticate", challenge(scheme, realm, refusal, parameters.get(scheme, ""))) for scheme in schemes
        ]
    fields.append(("Cache-Control", "no-store"))
    return Response.problem(refusal.status, _DETAILS[refusal.error], headers=fields)
