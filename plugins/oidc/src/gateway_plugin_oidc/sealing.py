"""Encrypt and authenticate what leaves the gateway: sessions and login attempts.

A sealed text is AES-256-GCM (NIST SP 800-38D) under a key of its own: HMAC-SHA-256 of a random salt under the
configured key. So one configured key may seal any number of texts, although GCM's nonces are short. What a text is
for (purpose, binding, provider, host) is authenticated with it: a login attempt never passes as a session, nor a
session of one provider or host as that of another.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Sequence
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_VERSION: Final = b"\x01"
_SALT: Final = 16
_NONCE: Final = bytes(12)
"""Fixed, since each text has a key of its own."""
_KEY_ID: Final = 4
_OVERHEAD: Final = len(_VERSION) + _KEY_ID + _SALT + 16


class _Key:
    __slots__ = ("id", "secret")

    def __init__(self, text: str) -> None:
        self.secret: Final = hashlib.sha256(b"gateway oidc\0" + text.encode()).digest()
        self.id: Final = hashlib.sha256(self.secret).digest()[:_KEY_ID]

    def cipher(self, salt: bytes) -> AESGCM:
        return AESGCM(hmac.digest(self.secret, salt, "sha256"))


class Sealer:
    """Seals with the first key, and opens what any of the keys sealed: that is how keys are rolled over."""

    def __init__(self, keys: Sequence[str], context: Sequence[str]) -> None:
        """Take the keys.

        :param context: what everything is bound to beside its purpose and host: the binding and the provider.
        """
        self._keys = [_Key(text) for text in keys]
        self._context = tuple(context)

    def seal(self, data: bytes, purpose: str, host: str) -> bytes:
        """Return data that only `unseal` with the same purpose and host opens."""
        key, salt = self._keys[0], secrets.token_bytes(_SALT)
        sealed = key.cipher(salt).encrypt(_NONCE, data, self._bound_to(purpose, host))
        return b"".join((_VERSION, key.id, salt, sealed))

    def unseal(self, sealed: bytes, purpose: str, host: str) -> bytes | None:
        """Return what was sealed, or None if it was not sealed here, for this purpose and host, as it is."""
        if len(sealed) < _OVERHEAD or sealed[:1] != _VERSION:
            return None
        key_id, salt = sealed[1 : 1 + _KEY_ID], sealed[1 + _KEY_ID : 1 + _KEY_ID + _SALT]
        for key in self._keys:
            if key.id == key_id:
                try:
                    cipher = key.cipher(salt)
                    return cipher.decrypt(_NONCE, sealed[1 + _KEY_ID + _SALT :], self._bound_to(purpose, host))
                except InvalidTag:
                    continue
        return None

    def is_of_first_key(self, sealed: bytes) -> bool:
        """Return whether the first key sealed this; otherwise it should be sealed again soon."""
        return sealed[1 : 1 + _KEY_ID] == self._keys[0].id

    def _bound_to(self, purpose: str, host: str) -> bytes:
        # With the lengths: no two lists of texts make one.
        parts = [part.encode() for part in (purpose, *self._context, host)]
        return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


def as_text(sealed: bytes) -> str:
    """Write sealed data with characters that a cookie may have (base64url without padding)."""
    return base64.urlsafe_b64encode(sealed).rstrip(b"=").decode("ascii")


def from_text(text: str) -> bytes:
    """Read what `as_text` wrote; anything else gives bytes that `Sealer.unseal` refuses."""
    try:
        data = base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), b"-_", validate=True)
    except (UnicodeEncodeError, binascii.Error, ValueError):
        return b""
    # One spelling for each: bits that are left over would make others.
    return data if as_text(data) == text else b""
