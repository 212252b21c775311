"""Signature algorithms, and which of them a key may be used with.

The algorithm is a property of the key (RFC 8725 section 3.1). What a token's header says is only compared with it.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, get_args

if TYPE_CHECKING:
    from gateway_tokens.public_keys import PublicKey

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
LARGEST_RSA_BITS: Final = 16384
"""What OpenSSL verifies with; each verification takes longer by the square of the length."""

_SIGNATURE_BYTES: Final[dict[str, int]] = {
    "ES256": 64, "ES384": 96, "ES512": 132, "Ed25519": 64, "Ed448": 114, "HS256": 32, "HS384": 48, "HS512": 64,
}  # fmt: skip


_ORDERS: Final[dict[str, int]] = {
    "ES256": 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551,
    "ES384": 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFC7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973,
    "ES512": (1 << 521) - 0x5AE79787C40D069948033FEB708F65A2FC44A36477663B851449048E16EC79BF7,
}
"""How many points the curves have (FIPS 186-4 appendix D.1.2)."""


class UnusableKeyError(ValueError):
    """A key that no accepted algorithm can be verified with; the text says why."""


def fitting_algorithms(key: PublicKey | bytes) -> tuple[str, ...]:
    """Return every algorithm that a key is able to verify, the usual one first.

    :raises UnusableKeyError: there is none, or the key is too weak.
    """
    if isinstance(key, bytes):
        return SECRET_ALGORITHMS
    from gateway_tokens import public_keys  # noqa: PLC0415 - only if there is such a key, see there

    return public_keys.fitting_algorithms(key)


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


def is_signature(algorithm: str, key: PublicKey | bytes, signing_input: bytes, signature: bytes) -> bool:
    """Say whether ``signature`` is the key's over ``signing_input``; a signature of odd form is not."""
    length = _SIGNATURE_BYTES.get(algorithm)
    if length is not None and len(signature) != length:
        return False
    if isinstance(key, bytes):
        return algorithm in SECRET_ALGORITHMS and hmac.compare_digest(
            hmac.digest(key, signing_input, f"sha{algorithm[2:]}"), signature
        )
    from gateway_tokens import public_keys  # noqa: PLC0415 - only if there is such a key, see there

    return algorithm not in SECRET_ALGORITHMS and public_keys.is_signature(algorithm, key, signing_input, signature)


def other_signature(algorithm: str, signature: bytes) -> bytes | None:
    """Return the other signature that anyone can make of a valid one, or None if there is no such algorithm.

    With (r, s) of ECDSA, (r, n - s) is valid, too. So a text with a signature is not the only one of its content.
    """
    order, half = _ORDERS.get(algorithm), len(signature) // 2
    if order is None:
        return None
    other = (order - int.from_bytes(signature[half:])) % order
    return signature[:half] + other.to_bytes(half)


def pin_secret(secret: bytes, allowed: Iterable[str]) -> frozenset[str]:
    """Return the algorithms that tokens of a shared secret may have.

    :raises UnusableKeyError: none of the allowed ones fits, or the secret is shorter than the hash of one of them
        (RFC 7518 section 3.2): a client with one token could find it by trying.
    """
    pinned = pin_algorithms(secret, allowed)
    longest = max(pinned)
    needed = hashlib.new(f"sha{longest[2:]}").digest_size
    if len(secret) < needed:
        raise UnusableKeyError(
            f"the secret has {len(secret)} bytes, and {longest} needs {needed} or more: "
            f"make one with openssl rand -base64 {needed}"
        )
    return pinned
