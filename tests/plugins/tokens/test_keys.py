from __future__ import annotations

import datetime
import json
from typing import Any

import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import x25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from gateway_tokens.algorithms import UnusableKeyError
from gateway_tokens.jws import parse_token
from gateway_tokens.keys import from_certificates, from_jwks, from_pem, from_secret


def test_a_certificate_gives_its_key(keys: Any) -> None:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "issuer")])
    day = datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC)
    builder = x509.CertificateBuilder(name, name, keys.p256.public_key(), 1, day, day + datetime.timedelta(1))
    pem = builder.sign(keys.p256, hashes.SHA256()).public_bytes(Encoding.PEM).decode()

    key = from_pem("\n  " + pem, ())

    assert key.algorithms == {"ES256"}
    assert key.verifies(parse_token(jwt.encode({}, keys.p256, "ES256")))


def test_what_is_no_public_key_says_what_to_give(keys: Any) -> None:
    private = keys.rsa.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    agreement = keys.pem(x25519.X25519PrivateKey.generate())

    with pytest.raises(UnusableKeyError, match="this is a private key: give the public one"):
        from_pem(private, ())
    with pytest.raises(UnusableKeyError, match="it begins with -----BEGIN PUBLIC KEY-----"):
        from_pem("MIIB", ())
    with pytest.raises(UnusableKeyError, match="a key of this kind signs nothing"):
        from_pem(agreement, ())


def test_a_secret_that_is_none_is_refused(keys: Any) -> None:
    with pytest.raises(UnusableKeyError, match="the secret is empty"):
        from_secret(b"", ())
    with pytest.raises(UnusableKeyError, match="the secret is a PEM text: give it as public_key"):
        from_secret(keys.pem(keys.rsa).encode(), ())


@pytest.mark.parametrize("name", ["rsa", "p256", "p384", "p521", "ed25519", "ed448"])
def test_a_key_set_holds_every_kind_of_key(keys: Any, name: str) -> None:
    private = getattr(keys, name)
    found = from_jwks({"keys": [keys.jwk(private, kid="k")]}, (), secrets_allowed=False)
    algorithm = max(found.keys[0].algorithms)
    token = parse_token(jwt.encode({}, private, {"Ed": "EdDSA"}.get(algorithm[:2], algorithm), {"kid": "k"}))

    assert [key.verifies(token) for key in found.candidates(token)] == [True]


def test_keys_are_chosen_by_id_and_algorithm(keys: Any) -> None:
    members = [
        keys.jwk(keys.rsa, kid="a"),
        keys.jwk(keys.p256, kid="a"),
        keys.jwk(keys.other_rsa),
        keys.jwk(keys.p384, kid="b"),
    ]
    found = from_jwks(json.dumps({"keys": members}), (), secrets_allowed=False)

    def chosen(key: Any, algorithm: str, kid: str | None = None) -> list[str | None]:
        token = parse_token(jwt.encode({}, key, algorithm, {"kid": kid} if kid else {}))
        return [candidate.key_id for candidate in found.candidates(token)]

    assert chosen(keys.rsa, "RS256", "a") == ["a"]
    assert chosen(keys.p256, "ES256", "a") == ["a"]
    assert chosen(keys.rsa, "RS256", "z") == [None]
    assert chosen(keys.rsa, "RS256") == ["a", None]
    assert chosen(keys.rsa, "RS512", "a") == []
    assert chosen(keys.p384, "ES384", "a") == []


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ({"use": "enc"}, "its use is not to verify"), ({"key_ops": ["encrypt"]}, "its use is not to verify"),
        ({"key_ops": "verify"}, "its use is not to verify"), ({"kid": 5}, "its kid is not a text"),
        ({"alg": "RS384"}, "'RS384' is not among RS256"), ({"alg": "none"}, "is not among"), ({"alg": 5},
        "is not among"),
        ({"kty": "EC"}, "keys\\[0\\]"), ({"kty": "oct"}, "a secret that is published"), ({"kty": "AKP"},
        "'AKP' is not supported"),
        ({"kty": None}, "is not supported"), ({"n": None}, "keys\\[0\\]"), ({"n": 5}, "keys\\[0\\]"),
        ({"n": "AQAB"}, "keys\\[0\\]"),
        ({"e": "AA"}, "keys\\[0\\]"), ({"n": "!!!"}, "keys\\[0\\]"),
    ],
)  # fmt: skip
def test_keys_that_cannot_be_used_are_left_out_and_named(keys: Any, members: dict[str, Any], reason: str) -> None:
    with pytest.raises(UnusableKeyError, match=reason):
        from_jwks({"keys": [keys.jwk(keys.rsa, **members)]}, ("RS256",), secrets_allowed=False)
    good = keys.jwk(keys.other_rsa, kid="good")

    found = from_jwks({"keys": [keys.jwk(keys.rsa, **members), 5, good]}, ("RS256",), secrets_allowed=False)

    assert [key.key_id for key in found.keys] == ["good"]
    assert len(found.unusable) == 2


def test_the_private_part_of_a_key_is_not_needed_nor_kept(keys: Any) -> None:
    whole = jwt.algorithms.RSAAlgorithm.to_jwk(keys.rsa, as_dict=True) | {"key_ops": ["verify"]}

    found = from_jwks({"keys": [whole]}, (), secrets_allowed=False)

    assert not hasattr(found.keys[0].value, "private_numbers")


def test_secrets_are_read_where_nobody_else_reads(b64: Any) -> None:
    member = {"kty": "oct", "k": b64(b"s" * 32), "alg": "HS256"}

    found = from_jwks({"keys": [member]}, (), secrets_allowed=True)

    assert found.keys[0].verifies(parse_token(jwt.encode({}, b"s" * 32, "HS256")))


@pytest.mark.parametrize("document", ["", "x", "[]", "{}", '{"keys":{}}', '{"keys":[]}', "[" * 99999, b"\xff", 5, None])
def test_what_is_no_key_set_is_refused(document: Any) -> None:
    with pytest.raises(UnusableKeyError):
        from_jwks(document, (), secrets_allowed=True)


def test_a_key_does_not_show_itself() -> None:
    assert "hidden" not in repr(from_secret(b"hidden-secret" * 3, ()))


def test_a_key_verifies_nothing_of_an_algorithm_that_it_is_not_pinned_to(keys: Any) -> None:
    key = from_pem(keys.pem(keys.rsa), ["RS256"])

    assert key.verifies(parse_token(jwt.encode({}, keys.rsa, "RS256")))
    assert not key.verifies(parse_token(jwt.encode({}, keys.rsa, "PS256")))


def test_certificates_are_taken_by_kid_and_those_that_cannot_be_used_are_named(keys: Any) -> None:
    pem = keys.pem(keys.rsa)

    found = from_certificates({"a": pem, "b": "x"}, ("RS256",))

    (key,) = found.keys
    assert (key.key_id, set(key.algorithms)) == ("a", {"RS256"})
    assert len(found.unusable) == 1
    assert found.unusable[0].startswith("'b': ")


@pytest.mark.parametrize("document", ["", "[]", "{}", '{"a": 1}', '{"keys": []}', '{"a": "x"}', b"\xff"])
def test_what_is_no_object_of_certificates_is_refused(document: Any) -> None:
    with pytest.raises(UnusableKeyError):
        from_certificates(document, ())
