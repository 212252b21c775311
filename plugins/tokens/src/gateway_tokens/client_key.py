"""Authenticate as a client by a key in place of a secret: ``private_key_jwt`` (RFC 7523, OpenID Connect Core 9).

The assertion is signed for one authorization server, lives for a minute and is used once. Imported only where a key is
configured.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from collections.abc import Callable
from typing import Any, Final

import jwt
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from jwt.algorithms import OKPAlgorithm

from gateway_tokens.algorithms import UnusableKeyError, fitting_algorithms
from gateway_tokens.client_key_options import ClientKeyOptions

ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_LIFETIME: Final = 60


def _signer() -> jwt.PyJWS:
    made = jwt.PyJWS()
    for name in {"Ed25519", "Ed448"}.difference(made.get_algorithms()):  # RFC 9864; PyJWT knows them as EdDSA
        made.register_algorithm(name, OKPAlgorithm())
    return made


_SIGNER: Final = _signer()


class ClientKey:
    """Signs assertions with a private key."""

    def __init__(self, options: ClientKeyOptions, client_id: str, now: Callable[[], float]) -> None:
        """Read key and certificate. Blocks.

        :param now: seconds since the epoch.
        :raises ValueError: a file has none that can be used; `OSError` if it cannot be read.
        """
        self._key: Any = _private_key(options)
        self._algorithm = _algorithm(options, self._key)
        self._headers: dict[str, Any] = {"kid": options.id} if options.id is not None else {}
        if options.certificate is not None:
            self._headers["x5t#S256"] = _thumbprint(options, self._key)
        self._id = client_id
        self._now = now

    def fields(self, audience: str) -> dict[str, str]:
        """Return the fields of a form that authenticate the client.

        :param audience: whom the assertion is for.
        """
        now = int(self._now())
        claims = {
            "iss": self._id, "sub": self._id, "aud": audience, "jti": secrets.token_urlsafe(16), "iat": now, "nbf": now,
            "exp": now + _LIFETIME,
        }  # fmt: skip
        assertion = _SIGNER.encode(json.dumps(claims).encode(), self._key, self._algorithm, self._headers)
        return {"client_assertion_type": ASSERTION_TYPE, "client_assertion": assertion}


def _private_key(options: ClientKeyOptions) -> Any:
    data, why = options.file.read_bytes(), ""
    try:
        return load_pem_private_key(data, None)
    except TypeError:
        why = "is encrypted: write the key without a password, and restrict who reads the file"
    except (ValueError, UnsupportedAlgorithm):
        why = "is no private key in PEM: it begins with -----BEGIN PRIVATE KEY-----"
    raise ValueError(f"{options.file} {why}")


def _algorithm(options: ClientKeyOptions, key: Any) -> str:
    try:
        fitting = fitting_algorithms(key.public_key())
    except (UnusableKeyError, AttributeError, TypeError) as error:
        raise ValueError(f"{options.file}: {error}") from None
    if options.algorithm is None:
        return fitting[0]
    if options.algorithm not in fitting:
        raise ValueError(f"{options.algorithm} does not fit the key in {options.file}: use {', '.join(fitting)}")
    return options.algorithm


def _thumbprint(options: ClientKeyOptions, key: Any) -> str:
    assert options.certificate is not None, "it is configured"
    try:
        certificate = x509.load_pem_x509_certificate(options.certificate.read_bytes())
    except ValueError:
        raise ValueError(f"{options.certificate} is no certificate in PEM") from None
    if certificate.public_key() != key.public_key():
        raise ValueError(f"{options.certificate} is the certificate of another key than that in {options.file}")
    digest = hashlib.sha256(certificate.public_bytes(Encoding.DER)).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")
