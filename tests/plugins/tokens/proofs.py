"""DPoP proofs, right ones and others."""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
from collections.abc import Mapping
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec

NOW = 1_700_000_000.0
_numbers = itertools.count()


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def jwk_of(key: Any) -> dict[str, Any]:
    """The public part of a key as a JWK."""
    kinds = {"RSA": jwt.algorithms.RSAAlgorithm, "EC": jwt.algorithms.ECAlgorithm, "Ed": jwt.algorithms.OKPAlgorithm}
    kind: Any = next(kind for prefix, kind in kinds.items() if type(key).__name__.startswith(prefix))
    made = kind.to_jwk(key.public_key(), as_dict=True)
    return {name: value for name, value in made.items() if name not in {"key", "key_ops"}}


def jkt_of(key: Any) -> str:
    """The thumbprint of a key (RFC 7638), made as the RFC says it."""
    members = {name: value for name, value in jwk_of(key).items() if name in {"kty", "crv", "x", "y", "e", "n"}}
    return b64(hashlib.sha256(json.dumps(members, sort_keys=True, separators=(",", ":")).encode()).digest())


class Prover:
    """A client with a key."""

    def __init__(self, key: Any = None, algorithm: str = "ES256") -> None:
        self.key = key if key is not None else ec.generate_private_key(ec.SECP256R1())
        self.algorithm = algorithm
        self.jkt = jkt_of(self.key)

    def claims(self, token: str, uri: str, now: float = NOW, method: str = "GET") -> dict[str, Any]:
        ath = b64(hashlib.sha256(token.encode()).digest())
        return {"jti": f"proof-{next(_numbers)}", "htm": method, "htu": uri, "iat": int(now), "ath": ath}

    def header(self) -> dict[str, Any]:
        return {"typ": "dpop+jwt", "alg": self.algorithm, "jwk": jwk_of(self.key)}

    def proof(
        self,
        token: str,
        uri: str,
        now: float = NOW,
        method: str = "GET",
        header: Mapping[str, Any] | None = None,
        **changes: Any,
    ) -> str:
        """Make a proof; of a change that is None the claim is left out."""
        claims = {**self.claims(token, uri, now, method), **changes}
        kept = {name: value for name, value in claims.items() if value is not None}
        head = {name: value for name, value in {**self.header(), **(header or {})}.items() if value is not None}
        return self.signed(json.dumps(head).encode(), json.dumps(kept).encode())

    def signed(self, header: bytes, claims: bytes) -> str:
        """Sign any two texts with the key."""
        text = f"{b64(header)}.{b64(claims)}"
        made: Any = jwt.algorithms.get_default_algorithms()[self.algorithm]
        return f"{text}.{b64(made.sign(text.encode(), self.key))}"
