"""Verify DPoP proofs (RFC 9449 section 4.3), and only those of the key that a token is bound to.

A proof brings its own key, so anybody can make one that is right in itself. The key's thumbprint is compared with that
of the token before anything is computed with the key: a stranger cannot make us verify a signature with a key that he
chose to be expensive. Keys whose proofs were right are remembered by the header that had them, which a client repeats
to the letter.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NoReturn

from gateway_tokens.algorithms import SECRET_ALGORITHMS, UnusableKeyError, is_signature, pin_algorithms
from gateway_tokens.cache import VerifiedCache
from gateway_tokens.claims import ClaimPolicy, claims_problem, type_problem
from gateway_tokens.confirmation import base64url
from gateway_tokens.jws import MalformedTokenError, decode_object, decode_segment, read_header
from gateway_tokens.uris import normalized

if TYPE_CHECKING:
    from gateway_tokens.public_keys import PublicKey

LONGEST_PROOF: Final = 8192
_LONGEST_ID: Final = 512
_MOST_KEYS: Final = 1000
_TYPES: Final = frozenset({"dpop+jwt"})
_PRIVATE: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
_MEMBERS: Final[dict[object, tuple[str, ...]]] = {
    "EC": ("crv", "kty", "x", "y"), "OKP": ("crv", "kty", "x"), "RSA": ("e", "kty", "n"),
}  # fmt: skip
"""What the thumbprint of a key of a kind is made of, in order (RFC 7638 section 3.2, RFC 8037 section 2)."""
_REQUIRED: Final = ("jti", "iat", "htm", "htu", "ath")
_TIMES: Final = {
    "expired": "dpop-expired", "too-old": "dpop-expired", "not-yet-valid": "dpop-early",
    "issued-in-the-future": "dpop-early",
}  # fmt: skip


class ProofError(ValueError):
    """A proof that is not accepted; ``code`` is stable, the text is for logs and has no credential."""

    def __init__(self, code: str, detail: str = "") -> None:
        super().__init__(detail)
        self.code = code


@dataclass(frozen=True, slots=True)
class Proof:
    """A proof that was verified, but for whether it was used before."""

    id: str
    """``jti``; one key does not use it again."""
    issued: float
    nonce: object
    """What it has as ``nonce``, of any type; None if nothing."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What a proof must be for."""

    method: str
    uri: str
    """The URI of the request as the client sent it; a query does not matter."""
    token: str
    thumbprint: str
    """``jkt`` of the token."""


def key_thumbprint(jwk: Mapping[str, Any]) -> str:
    """Return the SHA-256 thumbprint of a public key (RFC 7638), as its members are written.

    :raises ProofError: it is none that proofs may have: a secret, one with private members, or of unknown kind.
    """
    members = _MEMBERS.get(kind) if isinstance(kind := jwk.get("kty"), str) else None
    if members is None or not _PRIVATE.isdisjoint(jwk):
        raise ProofError("dpop-key", "jwk is not a public key of the kinds EC, OKP and RSA")
    values = {name: jwk.get(name) for name in members}
    if not all(isinstance(value, str) for value in values.values()):
        raise ProofError("dpop-key", f"jwk lacks one of {', '.join(members)}")
    return base64url(hashlib.sha256(json.dumps(values, separators=(",", ":")).encode()).digest())


@dataclass(frozen=True, slots=True)
class _Header:
    algorithm: str
    thumbprint: str
    key: PublicKey


class ProofVerifier:
    """Verifies proofs, and remembers the keys of those that were right."""

    def __init__(self, algorithms: Iterable[str], max_age: float, leeway: float) -> None:
        """Prepare.

        :param max_age: seconds after which a proof is refused.
        :param leeway: seconds by which clocks may differ, in both directions.
        """
        self._algorithms = frozenset(algorithms).difference(SECRET_ALGORITHMS)
        self._policy = ClaimPolicy(leeway=leeway, max_age=max_age)
        self._headers: VerifiedCache[_Header] = VerifiedCache(_MOST_KEYS, 2048)

    def verify(self, text: str, expected: Expected, now: float) -> Proof:
        """Verify everything about a proof that needs no memory of earlier ones.

        :param now: seconds since the epoch.
        :raises ProofError: it is not right.
        """
        if len(text) > LONGEST_PROOF:
            raise ProofError("dpop-malformed", "the proof is too long")
        try:
            head, payload, signature = text.encode("ascii").split(b".")
            decoded = decode_segment(signature)
            claims = decode_object(decode_segment(payload))
        except MalformedTokenError as error:
            raise ProofError("dpop-malformed", str(error)) from None
        except ValueError:  # not ASCII, or not three segments
            raise ProofError("dpop-malformed", "the proof is no compact JWS") from None
        known = self._headers.get(head)
        header = known or self._read(head, expected.thumbprint)
        if header.thumbprint != expected.thumbprint:
            _refuse_other_key()
        self._check_claims(claims, expected, now)
        if not is_signature(header.algorithm, header.key, text[: len(head) + 1 + len(payload)].encode(), decoded):
            raise ProofError("dpop-signature")
        if known is None:
            self._headers.put(head, header, len(head) + 500)
        return Proof(claims["jti"], float(claims["iat"]), claims.get("nonce"))

    def _read(self, segment: bytes, thumbprint: str) -> _Header:
        from gateway_tokens import public_keys  # noqa: PLC0415 - only where there are proofs, see there

        try:
            header, algorithm, _ = read_header(segment)
        except MalformedTokenError as error:
            raise ProofError("dpop-malformed", str(error)) from None
        if type_problem(header, _TYPES) is not None:
            raise ProofError("dpop-type", f"typ is {header.get('typ')!r:.80}")
        if algorithm not in self._algorithms:
            raise ProofError("dpop-algorithm", f"alg is {algorithm!r:.80}")
        jwk = header.get("jwk")
        if not isinstance(jwk, Mapping):
            raise ProofError("dpop-key", "there is no jwk")
        if key_thumbprint(jwk) != thumbprint:
            _refuse_other_key()
        try:
            key = public_keys.read_jwk(jwk)
            pin_algorithms(key, (algorithm,))
        except UnusableKeyError as error:
            raise ProofError("dpop-key", f"{error!s:.200}") from None
        return _Header(algorithm, thumbprint, key)

    def _check_claims(self, claims: Mapping[str, Any], expected: Expected, now: float) -> None:
        missing = [name for name in _REQUIRED if name not in claims]
        if missing:
            raise ProofError("dpop-claims", f"there is no {missing[0]}")
        problem = claims_problem(claims, self._policy, now)
        if problem is not None:
            raise ProofError(_TIMES.get(problem, "dpop-claims"), f"{problem}, iat={claims.get('iat')!r:.80}")
        identifier, method, uri, token_hash = claims["jti"], claims["htm"], claims["htu"], claims["ath"]
        if not isinstance(uri, str) or not isinstance(token_hash, str) or not 0 < len(identifier) <= _LONGEST_ID:
            raise ProofError("dpop-claims", "jti, htu or ath is not a text of usable length")
        if method != expected.method:
            raise ProofError("dpop-method", f"htm is {method!r:.80}")
        if uri != expected.uri:
            wanted = normalized(expected.uri)
            if wanted is None or normalized(uri) != wanted:
                raise ProofError(
                    "dpop-uri", f"htu is {uri.partition('?')[0]!r:.300}, the request is for {wanted!r:.300}"
                )
        hashed = base64url(hashlib.sha256(expected.token.encode()).digest())
        if not hmac.compare_digest(token_hash.encode("utf-8"), hashed.encode()):
            raise ProofError("dpop-token")


def _refuse_other_key() -> NoReturn:
    raise ProofError("dpop-thumbprint", "the proof's key is not the one that the token is bound to")
