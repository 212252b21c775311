"""A session: who logged in, and the tokens that came with it. Pure."""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Self

from gateway_tokens.jws import MalformedTokenError, decode_object, decode_segment

_LARGEST: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a token endpoint gave (RFC 6749 section 5.1, OpenID Connect Core section 3.1.3.3)."""

    access_token: str = field(repr=False)
    refresh_token: str = field(default="", repr=False)
    id_token: str = field(default="", repr=False)
    expires_in: float = math.inf
    """Seconds that the access token lives."""


@dataclass(frozen=True, slots=True)
class Session:
    """A session; moments are seconds since the epoch."""

    id: str
    issuer: str
    subject: str
    began: float
    """When the user logged in."""
    seen: float
    """When it was last used, to within a tenth of ``idle_timeout``."""
    access_token: str = field(default="", repr=False)
    refresh_token: str = field(default="", repr=False)
    id_token: str = field(default="", repr=False)
    """As it came, if the claims are all kept; else empty."""
    more: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """Claims that are not those of ``id_token``."""
    provider_sid: str = ""
    """The provider's own name of the session (``sid``), for its logout."""
    nonce: str = field(default="", repr=False)
    """That of the login: an ID token of a refresh may repeat it, and has no other."""
    ended_before: str = ""
    """Marks of logouts that there were when it began, with spaces in between: they ended other sessions, not this."""
    expires_at: float = math.inf
    """When the access token ends."""
    renew_at: float = math.inf
    """When it should be renewed."""

    @property
    def claims(self) -> dict[str, Any]:
        """What the provider says of the user."""
        if not self.id_token:
            return dict(self.more)
        try:
            payload = decode_object(decode_segment(self.id_token.split(".")[1].encode("ascii")))
        except (MalformedTokenError, IndexError, UnicodeEncodeError):  # it was read before, so this cannot be
            payload = {}
        return {**payload, **self.more}

    def with_tokens(self, tokens: Tokens, now: float, refresh_before: float) -> Self:
        """Return the session with what a token endpoint gave; what it did not give again stays."""
        expires_at = now + tokens.expires_in
        return replace(
            self,
            access_token=tokens.access_token,
            refresh_token=tokens.refresh_token or self.refresh_token,
            expires_at=expires_at,
            renew_at=expires_at - min(refresh_before, tokens.expires_in / 2)
            if tokens.expires_in < math.inf
            else math.inf,
            seen=now,
        )

    def with_more(self, claims: Mapping[str, Any]) -> Self:
        """Return the session with more claims."""
        return replace(self, more={**self.more, **claims})

    def ends_at(self, max_age: float, idle_timeout: float) -> float:
        """Return when the session is over, whatever its tokens say; 0 is no bound."""
        ends = [math.inf]
        if max_age:
            ends.append(self.began + max_age)
        if idle_timeout:
            ends.append(self.seen + idle_timeout)
        return min(ends)

    def to_bytes(self) -> bytes:
        """Return the session as bytes, compressed: what is sealed has to fit into cookies.

        They are empty if `from_bytes` would not read as much again, however well it can be compressed.
        """
        values = {name: getattr(self, name) for name in self.__slots__}
        # JSON has no infinity: what never ends is left out, and so is what is as usual.
        values = {name: value for name, value in values.items() if value not in ("", math.inf)}
        data = json.dumps(values, separators=(",", ":")).encode()
        return zlib.compress(data, 6) if len(data) <= _LARGEST else b""

    @classmethod
    def from_bytes(cls, data: bytes) -> Self | None:
        """Read what `to_bytes` wrote, also that of a version that keeps more; None for what is no session."""
        try:
            values = json.loads(zlib.decompressobj().decompress(data, _LARGEST))
            return cls(**{name: value for name, value in values.items() if name in cls.__slots__})
        except (ValueError, TypeError, AttributeError, zlib.error):
            return None
