"""A login attempt: what is remembered between the way to the provider and the way back. Pure."""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from dataclasses import dataclass, field
from typing import Final, Self

from gateway_plugin_oidc.sealing import as_text

ATTEMPT_LIFETIME: Final = 600.0
"""Seconds that a user may take to log in."""
MOST_ATTEMPTS: Final = 5
"""Attempts of one browser at a time."""
LONGEST_RETURN: Final = 2048
_ID: Final = 8


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt to log in; the texts are random."""

    state: str = field(repr=False)
    nonce: str = field(repr=False)
    verifier: str = field(repr=False)
    """The code verifier of PKCE (RFC 7636)."""
    issuer: str
    redirect_uri: str
    return_to: str
    """Path and query to go on with."""
    began: float
    is_restart: bool = False
    """Whether an attempt before it came back and could not be used."""

    @classmethod
    def new(cls, issuer: str, redirect_uri: str, return_to: str, now: float, *, is_restart: bool = False) -> Self:
        """Begin an attempt."""
        # The mark also shows when the cookie is lost, so that a browser without cookies does not go round for ever.
        state = as_text(secrets.token_bytes(24)) + ("1" if is_restart else "0")
        nonce, verifier = as_text(secrets.token_bytes(24)), as_text(secrets.token_bytes(32))
        return cls(state, nonce, verifier, issuer, redirect_uri, return_to, now, is_restart)

    @property
    def id(self) -> str:
        """What stands for the attempt in the name of its cookie."""
        return attempt_id(self.state)

    @property
    def challenge(self) -> str:
        """The code challenge of PKCE, method S256."""
        return as_text(hashlib.sha256(self.verifier.encode()).digest())

    def is_of(self, state: str) -> bool:
        """Return whether a callback's state is this attempt's."""
        return hmac.compare_digest(self.state.encode(), state.encode("utf-8", "surrogatepass"))

    def is_over(self, now: float) -> bool:
        return not self.began - ATTEMPT_LIFETIME <= now < self.began + ATTEMPT_LIFETIME

    def to_bytes(self) -> bytes:
        values = [
            self.state, self.nonce, self.verifier, self.issuer, self.redirect_uri, self.return_to, self.began,
            self.is_restart,
        ]  # fmt: skip
        return json.dumps(values, separators=(",", ":")).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> Self | None:
        """Read what `to_bytes` wrote; None for what another version of the plugin wrote."""
        try:
            return cls(*json.loads(data))
        except (ValueError, TypeError):
            return None


def attempt_id(state: str) -> str:
    """Return what stands for a state in the name of its attempt's cookie."""
    return hashlib.sha256(state.encode("utf-8", "surrogatepass")).hexdigest()[:_ID]


def was_restart(state: str) -> bool:
    """Return whether a state belongs to an attempt that was already a second one; anybody can write that."""
    return state.endswith("1")


def safe_return(target: str) -> str:
    r"""Return a path and query of this origin to go on with: the target itself if it is one, else ``/``.

    Browsers read ``//host`` and ``/\host`` as another host, and leave out tabs and line ends.
    """
    is_closed = (
        target.startswith("/")
        and not target.startswith(("//", "/\\"))
        and len(target) <= LONGEST_RETURN
        and target.isascii()
        and target.isprintable()
        and not set(target) & {"\\", " ", '"', "<", ">", "#"}
    )
    return target if is_closed else "/"
