from __future__ import annotations

import base64
import datetime
import hashlib
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from gateway_tokens.algorithms import fitting_algorithms, is_signature
from gateway_tokens.client_key import ClientKey
from gateway_tokens.client_key_options import ClientKeyOptions
from gateway_tokens.jws import parse_token

RSA = rsa.generate_private_key(65537, 2048)
EC = ec.generate_private_key(ec.SECP256R1())


def write(path: Path, key: Any, password: bytes = b"") -> Path:
    protection = BestAvailableEncryption(password) if password else NoEncryption()
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, protection))
    return path


def write_certificate(path: Path, key: Any) -> bytes:
    name, now = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "shop")]), datetime.datetime(2026, 1, 1)  # noqa: DTZ001
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + datetime.timedelta(days=1))
    certificate = builder.sign(key, hashes.SHA256())
    path.write_bytes(certificate.public_bytes(Encoding.PEM))
    return certificate.public_bytes(Encoding.DER)


def test_an_assertion_says_what_providers_look_at(tmp_path: Path) -> None:
    der = write_certificate(tmp_path / "certificate", RSA)
    options = ClientKeyOptions.model_validate(
        {
            "file": str(write(tmp_path / "key", RSA)), "certificate": str(tmp_path / "certificate"), "id": "k7",
            "algorithm": "PS256",
        }
    )  # fmt: skip
    fields = ClientKey(options, "shop", lambda: 1000.5).fields("https://as.example.com")
    text = fields["client_assertion"]

    claims = jwt.decode(
        text, RSA.public_key(), ["PS256"], audience="https://as.example.com",
        options={"verify_exp": False, "verify_nbf": False, "verify_iat": False},
    )  # fmt: skip
    thumbprint = base64.urlsafe_b64encode(hashlib.sha256(der).digest()).rstrip(b"=").decode()
    assert fields["client_assertion_type"] == "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
    assert {name: claims[name] for name in ("iss", "sub", "iat", "exp")} == {
        "iss": "shop", "sub": "shop", "iat": 1000, "exp": 1060,
    }  # fmt: skip
    assert len(claims["jti"]) >= 16
    assert jwt.get_unverified_header(text) == {"alg": "PS256", "typ": "JWT", "kid": "k7", "x5t#S256": thumbprint}


@pytest.mark.parametrize(
    "key",
    [
        RSA,
        EC,
        ec.generate_private_key(ec.SECP521R1()),
        ed25519.Ed25519PrivateKey.generate(),
        ed448.Ed448PrivateKey.generate(),
    ],
    ids=["rsa", "p256", "p521", "ed25519", "ed448"],
)
def test_every_algorithm_that_fits_a_key_signs(tmp_path: Path, key: Any) -> None:
    path = write(tmp_path / "key", key)
    for algorithm in (None, *fitting_algorithms(key.public_key())):
        options = ClientKeyOptions.model_validate({"file": str(path), "algorithm": algorithm})
        token = parse_token(ClientKey(options, "shop", lambda: 0.0).fields("a")["client_assertion"])

        assert is_signature(token.algorithm, key.public_key(), token.signing_input, token.signature)
        assert token.algorithm == (algorithm or fitting_algorithms(key.public_key())[0])
