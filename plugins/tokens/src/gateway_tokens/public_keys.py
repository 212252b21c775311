"""RSA, EC and Edwards keys. Imported when the first one is needed: what they stand on takes some 10 MiB of memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeAlias, cast

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from jwt.algorithms import Algorithm as Verifier
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm, get_default_algorithms
from jwt.exceptions import InvalidKeyError

from gateway_tokens.algorithms import LARGEST_RSA_BITS, NAMES, RSA_ALGORITHMS, SMALLEST_RSA_BITS, UnusableKeyError

PublicKey: TypeAlias = rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | ed448.Ed448PublicKey

_KINDS: Final = (rsa.RSAPublicKey, ec.EllipticCurvePublicKey, ed25519.Ed25519PublicKey, ed448.Ed448PublicKey)
_CURVES: Final[dict[str, str]] = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}
_PRIVATE_MEMBERS: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth"})


def _verifiers() -> dict[str, Verifier]:
    made = get_default_algorithms()
    edwards = made["EdDSA"]
    return {name: made.get(name, edwards) for name in NAMES}


_VERIFIERS: Final = _verifiers()


def fitting_algorithms(key: PublicKey) -> tuple[str, ...]:
    """Return every algorithm that a key is able to verify, the usual one first.

    :raises UnusableKeyError: there is none, or the key is too weak.
    """
    if isinstance(key, rsa.RSAPublicKey):
        if key.key_size < SMALLEST_RSA_BITS:
            raise UnusableKeyError(f"an RSA key of {key.key_size} bits is too small: use {SMALLEST_RSA_BITS} or more")
        if key.key_size > LARGEST_RSA_BITS:
            raise UnusableKeyError(f"an RSA key of {key.key_size} bits is too large: use {LARGEST_RSA_BITS} or fewer")
        return RSA_ALGORITHMS
    if isinstance(key, ec.EllipticCurvePublicKey):
        name = _CURVES.get(key.curve.name)
        if name is None:
            raise UnusableKeyError(f"the curve {key.curve.name!r} is not supported: use {', '.join(_CURVES)}")
        return (name,)
    return ("EdDSA", "Ed25519" if isinstance(key, ed25519.Ed25519PublicKey) else "Ed448")


def is_signature(algorithm: str, key: Any, signing_input: bytes, signature: bytes) -> bool:
    """Say whether ``signature`` is the key's over ``signing_input``; one of odd form is not."""
    try:
        return bool(_VERIFIERS[algorithm].verify(signing_input, key, signature))
    except ValueError:
        return False


def _load_pem(text: str) -> object:
    encoded = text.strip().encode()
    if b"PRIVATE KEY-----" in encoded:
        raise UnusableKeyError("this is a private key: give the public one, the gateway only verifies")
    try:
        if b"-----BEGIN CERTIFICATE-----" in encoded:
            return x509.load_pem_x509_certificate(encoded).public_key()
        return load_pem_public_key(encoded)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise UnusableKeyError("this is not a public key in PEM: it begins with -----BEGIN PUBLIC KEY-----") from error


def read_pem(text: str) -> PublicKey:
    """Return the key of a PEM text: a public key or an X.509 certificate.

    :raises UnusableKeyError: it is neither.
    """
    value = _load_pem(text)
    if not isinstance(value, _KINDS):
        raise UnusableKeyError("a key of this kind signs nothing: use RSA, EC, Ed25519 or Ed448")
    return value


def read_jwk(jwk: Mapping[str, Any]) -> PublicKey:
    """Return the public key of a JSON Web Key (RFC 7517), also if that has the private parts, too.

    :raises UnusableKeyError: it has another type, or wrong members.
    """
    kind = jwk.get("kty")
    public = {name: value for name, value in jwk.items() if name not in _PRIVATE_MEMBERS}
    try:
        if kind == "RSA":
            return cast("PublicKey", RSAAlgorithm.from_jwk(public))
        if kind == "EC":
            return cast("PublicKey", ECAlgorithm.from_jwk(public))
        if kind == "OKP":
            return cast("PublicKey", OKPAlgorithm.from_jwk(public))
    except (InvalidKeyError, ValueError, TypeError, KeyError, AttributeError, UnsupportedAlgorithm) as error:
        # What a key server sends is as unknown as what a client sends: one odd key must not hide the others.
        raise UnusableKeyError(str(error) or "it has wrong or missing members") from error
    raise UnusableKeyError(f"the key type {kind!r} is not supported: use RSA, EC, OKP or oct")
