from __future__ import annotations

import base64
import subprocess
import sys
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa
from gateway_tokens.algorithms import UnusableKeyError
from gateway_tokens.public_keys import read_jwk, read_pem


def tlv(tag: int, value: bytes) -> bytes:
    """Encode as DER; values are of 128 bytes or more, or short."""
    size = len(value)
    return bytes([tag]) + (bytes([size]) if size < 128 else b"\x82" + size.to_bytes(2, "big")) + value


def rsa_pem(exponent: int, modulus: int) -> str:
    numbers = [tlv(2, number.to_bytes(number.bit_length() // 8 + 1, "big")) for number in (modulus, exponent)]
    algorithm = tlv(0x30, bytes.fromhex("06092a864886f70d0101010500"))
    der = tlv(0x30, algorithm + tlv(3, b"\0" + tlv(0x30, b"".join(numbers))))
    return f"-----BEGIN PUBLIC KEY-----\n{base64.encodebytes(der).decode()}-----END PUBLIC KEY-----\n"


@pytest.mark.parametrize("exponent", [1, 2, 4])
def test_exponents_with_which_signatures_prove_nothing_are_refused(exponent: int) -> None:
    """With an exponent of 1 every text is its own signature."""
    modulus = 2**2047 + 1
    number = base64.urlsafe_b64encode(modulus.to_bytes(256, "big")).decode()
    e = base64.urlsafe_b64encode(bytes([exponent])).decode()

    assert read_pem(rsa_pem(65537, modulus)) is not None
    with pytest.raises(UnusableKeyError):
        read_pem(rsa_pem(exponent, modulus))
    with pytest.raises(UnusableKeyError):
        read_jwk({"kty": "RSA", "n": number, "e": e})


def test_keys_that_sign_nothing_here_are_refused(keys: Any) -> None:
    class Holder:
        @staticmethod
        def public_key() -> Any:
            return dsa.generate_private_key(1024).public_key()

    with pytest.raises(UnusableKeyError, match="a key of this kind signs nothing"):
        read_pem(keys.pem(Holder()))


@pytest.mark.parametrize(
    "jwk",
    [{}, {"kty": "RSA"}, {"kty": "RSA", "n": 5, "e": "AQAB"}, {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"},
     {"kty": "OKP", "crv": "X25519", "x": "AA"}, {"kty": ["RSA"]}, {"kty": "oct", "k": "AA"}],
)  # fmt: skip
def test_odd_keys_of_a_key_server_are_refused_and_nothing_else_happens(jwk: Any) -> None:
    with pytest.raises(UnusableKeyError):
        read_jwk(jwk)


def test_a_gateway_with_secrets_only_does_without_what_public_keys_need() -> None:
    program = """
import sys
from gateway_plugin_auth import AuthConfig
AuthConfig.model_validate({"secret": "s" * 32})
AuthConfig.model_validate({"jwks": {"keys": [{"kty": "oct", "k": "c" * 43}]}})
AuthConfig.model_validate({"providers": {"key": {"scheme": "api-key", "keys": [{"subject": "a", "key": "k" * 32}]}}})
print([name for name in ("cryptography", "jwt", "argon2", "bcrypt") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout == "[]\n"
