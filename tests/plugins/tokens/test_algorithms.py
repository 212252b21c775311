from __future__ import annotations

from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from gateway_tokens.algorithms import (
    NAMES,
    UnusableKeyError,
    fitting_algorithms,
    is_signature,
    pin_algorithms,
    pin_secret,
)


def test_none_is_no_algorithm() -> None:
    assert "none" not in [name.lower() for name in NAMES]
    assert len(NAMES) == 15


@pytest.mark.parametrize(
    ("name", "usual"),
    [
        ("rsa", "RS256"),
        ("p256", "ES256"),
        ("p384", "ES384"),
        ("p521", "ES512"),
        ("ed25519", "EdDSA"),
        ("ed448", "EdDSA"),
    ],
)
def test_a_key_is_pinned_to_what_it_is_usually_used_with(keys: Any, name: str, usual: str) -> None:
    key = getattr(keys, name).public_key()

    assert fitting_algorithms(key)[0] == usual
    assert usual in pin_algorithms(key, ())


def test_a_key_is_pinned_to_what_is_allowed_and_fits(keys: Any) -> None:
    key = keys.rsa.public_key()

    assert pin_algorithms(key, ["PS512", "ES256", "HS256"]) == {"PS512"}
    assert pin_algorithms(b"secret", ["HS512", "RS256"]) == {"HS512"}
    with pytest.raises(UnusableKeyError, match=r"HS256, ES256 does not fit this key: use RS256, RS384"):
        pin_algorithms(key, ["HS256", "ES256"])


def test_keys_that_are_too_weak_or_odd_are_refused() -> None:
    with pytest.raises(UnusableKeyError, match="1024 bits is too small: use 2048 or more"):
        fitting_algorithms(rsa.generate_private_key(65537, 1024).public_key())
    with pytest.raises(UnusableKeyError, match="'secp256k1' is not supported"):
        fitting_algorithms(ec.generate_private_key(ec.SECP256K1()).public_key())


@pytest.mark.parametrize("name", NAMES)
def test_signatures_of_every_algorithm_are_verified(keys: Any, secret: str, name: str) -> None:
    private: Any = {"RS": keys.rsa, "PS": keys.rsa, "HS": secret.encode(), "Ed": keys.ed25519}.get(name[:2])
    private = {"ES256": keys.p256, "ES384": keys.p384, "ES512": keys.p521, "Ed448": keys.ed448}.get(name, private)
    algorithm = jwt.get_algorithm_by_name("EdDSA" if name.startswith("Ed") else name)
    public = private if isinstance(private, bytes) else private.public_key()

    signature = algorithm.sign(b"a.b", private)

    assert is_signature(name, public, b"a.b", signature)
    assert not is_signature(name, public, b"a.c", signature)
    assert not is_signature(name, public, b"a.b", b"")
    assert not is_signature(name, public, b"a.b", signature + b"\0")


@pytest.mark.parametrize(("algorithm", "needed"), [("HS256", 32), ("HS384", 48), ("HS512", 64)])
def test_a_secret_is_as_long_as_the_hash(algorithm: str, needed: int) -> None:
    secret = b"hush" * 16

    assert pin_secret(secret[:needed], [algorithm]) == {algorithm}
    with pytest.raises(UnusableKeyError) as error:
        pin_secret(secret[: needed - 1], [algorithm])
    assert f"has {needed - 1} bytes, and {algorithm} needs {needed} or more" in str(error.value)
    assert "hush" not in str(error.value)


def test_a_secret_is_long_enough_for_each_of_its_algorithms() -> None:
    with pytest.raises(UnusableKeyError, match="has 32 bytes, and HS512 needs 64"):
        pin_secret(b"x" * 32, ["HS256", "HS512"])
