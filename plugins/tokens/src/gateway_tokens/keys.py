"""Keys that tokens are verified with, from secrets, PEM texts and JSON Web Key Sets (RFC 7517)."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from gateway_tokens.algorithms import UnusableKeyError, is_signature, pin_algorithms, pin_secret
from gateway_tokens.jws import Token
from gateway_tokens.reading import decode_json

if TYPE_CHECKING:
    from gateway_tokens.public_keys import PublicKey

_MOST_TRIES: Final = 8
_CERTIFICATES_LOOK_LIKE: Final = 'they look like {"KID": "-----BEGIN CERTIFICATE-----..."}'


@dataclass(frozen=True, slots=True)
class Key:
    """One key with the algorithms that it is pinned to."""

    value: PublicKey | bytes = field(repr=False)
    algorithms: frozenset[str]
    key_id: str | None = None

    def verifies(self, token: Token) -> bool:
        """Say whether this key signed the token, with an algorithm that it is pinned to."""
        return token.algorithm in self.algorithms and is_signature(
            token.algorithm, self.value, token.signing_input, token.signature
        )


@dataclass(frozen=True, slots=True)
class KeySet:
    """The keys of one issuer."""

    keys: tuple[Key, ...]
    unusable: tuple[str, ...] = ()
    """Why each key that was left out was."""

    def candidates(self, token: Token) -> Sequence[Key]:
        """Return the keys that a token may have been signed with, as its ``kid`` and algorithm say.

        A key set's own ``kid`` decides if the token has one; a few keys are tried if it has none.
        """
        named = [key for key in self.keys if key.key_id == token.key_id] if token.key_id is not None else self.keys
        if not named:
            named = [key for key in self.keys if key.key_id is None]
        return [key for key in named if token.algorithm in key.algorithms][:_MOST_TRIES]

    def has_key_for(self, token: Token) -> bool:
        """Say whether the set knows the token's key, whatever becomes of the signature."""
        if token.key_id is None:
            return bool(self.keys)
        return any(key.key_id in {token.key_id, None} for key in self.keys)


def from_secret(secret: bytes, algorithms: Sequence[str]) -> Key:
    """Return the key of a shared secret.

    :raises UnusableKeyError: it is too short for its algorithms, is really a public key, or no algorithm fits.
    """
    if not secret:
        raise UnusableKeyError("the secret is empty: set a random text of 32 characters or more")
    if b"-----BEGIN " in secret:
        raise UnusableKeyError("the secret is a PEM text: give it as public_key, since everybody may know a public key")
    return Key(secret, pin_secret(secret, algorithms))


def from_pem(text: str, algorithms: Sequence[str], key_id: str | None = None) -> Key:
    """Return the key of a PEM text: a public key or an X.509 certificate.

    :raises UnusableKeyError: it is neither, is too weak, or no algorithm fits.
    """
    from gateway_tokens import public_keys  # noqa: PLC0415 - secrets do without it, see there

    value = public_keys.read_pem(text)
    return Key(value, pin_algorithms(value, algorithms), key_id)


def _jwk_value(jwk: Mapping[str, Any], *, secrets_allowed: bool) -> PublicKey | bytes:
    if jwk.get("kty") != "oct":
        from gateway_tokens import public_keys  # noqa: PLC0415 - secrets do without it, see there

        return public_keys.read_jwk(jwk)
    if not secrets_allowed:
        raise UnusableKeyError("a secret that is published is none")
    text = jwk.get("k")
    if not isinstance(text, str) or not text.strip("="):
        raise UnusableKeyError("its k is not a text, or empty")
    text = text.rstrip("=")
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True)
    except ValueError:
        raise UnusableKeyError("its k is not base64url") from None


def _from_jwk(jwk: object, algorithms: Sequence[str], *, secrets_allowed: bool) -> Key:
    if not isinstance(jwk, Mapping):
        raise UnusableKeyError("it is not an object")
    operations = jwk.get("key_ops", ["verify"])
    if jwk.get("use", "sig") != "sig" or not isinstance(operations, list) or "verify" not in operations:
        raise UnusableKeyError("its use is not to verify signatures")
    key_id = jwk.get("kid")
    if not (key_id is None or isinstance(key_id, str)):
        raise UnusableKeyError("its kid is not a text")
    value = _jwk_value(jwk, secrets_allowed=secrets_allowed)
    own = jwk.get("alg")
    wanted = algorithms if own is None else [name for name in algorithms or (own,) if name == own]
    if own is not None and not wanted:
        raise UnusableKeyError(f"its algorithm {own!r} is not among {', '.join(algorithms)}")
    pinned = pin_secret(value, wanted) if isinstance(value, bytes) else pin_algorithms(value, wanted)
    return Key(value, pinned, key_id)


def from_jwks(document: object, algorithms: Sequence[str], *, secrets_allowed: bool) -> KeySet:
    """Return the usable keys of a JSON Web Key Set (RFC 7517 section 5); the others are named and left out.

    :param document: the set, or its JSON text.
    :param secrets_allowed: whether symmetric keys are accepted; not from a place that others can read.
    :raises UnusableKeyError: it is no key set, or none of its keys is usable.
    """
    if isinstance(document, str | bytes):
        try:
            document = decode_json(document)
        except ValueError as error:
            raise UnusableKeyError(f'this is not JSON ({error}): a key set looks like {{"keys": [...]}}') from error
    members = document.get("keys") if isinstance(document, Mapping) else None
    if not isinstance(members, list | tuple):
        raise UnusableKeyError('this is not a key set: it looks like {"keys": [...]}')
    keys, unusable = [], []
    for index, member in enumerate(members):
        try:
            keys.append(_from_jwk(member, algorithms, secrets_allowed=secrets_allowed))
        except UnusableKeyError as error:
            unusable.append(f"keys[{index}]: {error}")
    if not keys:
        raise UnusableKeyError("; ".join(["the key set has no usable key", *unusable]))
    return KeySet(tuple(keys), tuple(unusable))


def from_certificates(document: object, algorithms: Sequence[str]) -> KeySet:
    """Return the keys of a JSON object that has X.509 certificates in PEM by ``kid``, as Google and Firebase publish.

    The document says which keys are in force; the dates and the issuer of a certificate are not looked at.

    :param document: the object, or its JSON text.
    :raises UnusableKeyError: it is no such object, or none of its keys is usable.
    """
    if isinstance(document, str | bytes):
        try:
            document = decode_json(document)
        except ValueError as error:
            raise UnusableKeyError(f"this is not JSON ({error}): {_CERTIFICATES_LOOK_LIKE}") from error
    if not isinstance(document, Mapping) or not all(isinstance(text, str) for text in document.values()):
        raise UnusableKeyError(f"these are no certificates by kid: {_CERTIFICATES_LOOK_LIKE}")
    keys, unusable = [], []
    for key_id, text in document.items():
        try:
            keys.append(from_pem(text, algorithms, key_id))
        except UnusableKeyError as error:
            unusable.append(f"{key_id!r:.80}: {error}")
    if not keys:
        raise UnusableKeyError("; ".join(["there is no usable certificate", *unusable]))
    return KeySet(tuple(keys), tuple(unusable))
