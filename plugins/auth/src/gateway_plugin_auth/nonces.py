"""Nonces for DPoP proofs (RFC 9449 section 8), which every worker and gateway makes and recognises by one key.

A nonce is a code over the number of a span of time, so nothing is kept of those that were given out. The key is made
by the first who needs it, in the store that all share.
"""

from __future__ import annotations

import hmac
import secrets
from typing import Final

from gateway_plugin_sdk import Clock
from gateway_plugin_sdk.valkey import Values
from gateway_tokens.confirmation import base64url

_KEY: Final = "nonce-key"
_RELIED_ON: Final = 30.0
"""Seconds after which the key is read again: another gateway may have made one, if the server lost it."""


class Nonces:
    """Makes nonces and recognises them."""

    def __init__(self, lifetime: float, clock: Clock) -> None:
        self._lifetime = lifetime
        self._clock = clock
        self._key = b""
        self._read_at = 0.0

    async def prepare(self, store: Values) -> None:
        """Read the key, or make it, if that was not done just now.

        :raises GatewayError: the store does not respond, or is full.
        """
        now = self._clock.monotonic()
        if self._key and now - self._read_at < _RELIED_ON:
            return
        key = await store.get(_KEY)
        while key is None:
            made = secrets.token_bytes(32)
            key = made if await store.add(_KEY, made) else await store.get(_KEY)
        self._key, self._read_at = key, now

    def current(self) -> str:
        """Return the nonce to give out now; after `prepare`."""
        return self._of_span(self._span())

    def is_accepted(self, nonce: object) -> bool:
        """Say whether it is one of ours: of now, of the span before, or of the next one by another gateway's clock."""
        span = self._span()
        return isinstance(nonce, str) and any(
            hmac.compare_digest(nonce.encode("utf-8"), self._of_span(each).encode())
            for each in (span, span - 1, span + 1)
        )

    def _span(self) -> int:
        return int(self._clock.wall() // self._lifetime)

    def _of_span(self, span: int) -> str:
        return base64url(hmac.digest(self._key, b"dpop-nonce %d %d" % (self._lifetime, span), "sha256")[:18])
