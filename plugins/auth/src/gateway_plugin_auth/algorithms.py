"""Signature algorithms, and which of them a key may be used with.

The algorithm is a property of the key (RFC 8725 section 3.1). What a token's header says is only compared with it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any, Final, Literal, TypeAlias, get_args

from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from jwt.algorithms import Algorithm as Verifier
from jwt.algorithms import get_default_algorithms

Algorithm: TypeAlias = Literal[
    "HS256", "HS384", "HS512",
    "RS256", "RS384", "RS512",
    "PS256", "PS384", "PS512",
    "ES256", "ES384", "ES512",
    "EdDSA", "Ed25519", "Ed448",
]  # fmt: skip
"""The algorithms of RFC 7518 section 3.1, RFC 8037 and RFC 9864 that verify something; ``none`` is not among them."""

NAMES: Final[tuple[str, ...]] = get_args(Algorithm)

SECRET_ALGORITHMS: Final = ("HS256", "HS384", "HS512")
RSA_ALGORITHMS: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
SMALLEST_RSA_BITS: Final = 2048
"""RFC 7518 sections 3.3 and 3.5."""

PublicKey: TypeAlias = rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | ed448.Ed448PublicKey

_CURVES: Final[dict[str, str]] = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}
_SIGNATURE_BYTES: Final[dict[str, int]] = {
    "ES256": 64, "ES384": 96, "ES512": 132, "Ed25519": 64, "Ed448": 114, "HS256": 32, "HS384": 48, "HS512": 64,
}  # fmt: skip


def _verifiers() -> dict[str, Verifier]:
    made = get_default_algorithms()
    edwards = made["EdDSA"]
    return {name: made.get(name, edwards) for name in NAMES}


_VERIFIERS: Final = _verifiers()


class UnusableKeyError(ValueError):
    """A key that no accepted algorithm can be verified with; the text says why."""


def fitting_algorithms(key: PublicKey | bytes) -> tuple[str, ...]:
    """Return every algorithm that a key is able to verify, the usual one first.

    :raises UnusableKeyError: there is none, or the key is too weak.
    """
    if isinstance(key, bytes):
        return SECRET_ALGORITHMS
    if isinstance(key, rsa.RSAPublicKey):
        if key.key_size < SMALLEST_RSA_BITS:
            raise UnusableKeyError(f"an RSA key of {key.key_size} bits is too small: use {SMALLEST_RSA_BITS} or more")
        return RSA_ALGORITHMS
    if isinstance(key, ec.EllipticCurvePublicKey):
        name = _CURVES.get(key.curve.name)
        if name is None:
            raise UnusableKeyError(f"the curve {key.curve.name!r} is not supported: use {', '.join(_CURVES)}")
        return (name,)
    return ("EdDSA", "Ed25519" if isinstance(key, ed25519.Ed25519PublicKey) else "Ed448")


def pin_algorithms(key: PublicKey | bytes, allowed: Iterable[str]) -> frozenset[str]:
    """Return the algorithms that tokens of this key may have.

    :param allowed: the configuration's choice; empty means the usual one of the key's kind.
    :raises UnusableKeyError: none of the allowed ones fits the key.
    """
    fitting = fitting_algorithms(key)
    chosen = tuple(allowed)
    if not chosen:
        # Ed25519 and EdDSA are two names of one algorithm; the others differ, and one key serves one of them.
        return frozenset(fitting) if "EdDSA" in fitting else frozenset(fitting[:1])
    pinned = frozenset(chosen).intersection(fitting)
    if not pinned:
        raise UnusableKeyError(f"{', '.join(chosen)} does not fit this key: use {', '.join(fitting)}")
    return pinned


def is_signature(algorithm: str, key: Any, signing_input: bytes, signature: bytes) -> bool:
    """Say whether ``signature`` is the key's over ``signing_input``; a signature of odd form is not."""
    length = _SIGNATURE_BYTES.get(algorithm)
    if length is not None and len(signature) != length:
        return False
    try:
        return bool(_VERIFIERS[algorithm].verify(signing_input, key, signature))
    except ValueError:
        return False


def weakness(key: bytes, algorithms: Iterable[str]) -> str | None:
    """Say in what way a secret is too short for its algorithms (RFC 7518 section 3.2), or None."""
    needed = max(hashlib.new(f"sha{name[2:]}").digest_size for name in algorithms)
    if len(key) >= needed:
        return None
    return f"the secret has {len(key)} bytes: use {needed} random bytes or more, a shorter one can be guessed offline"
