from __future__ import annotations

import sys

import argon2
import bcrypt
import pytest
from gateway_plugin_auth.passwords import check_hash, decoy_of, is_password

ARGON2 = argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash("right")
BCRYPT = bcrypt.hashpw(b"right", bcrypt.gensalt(4)).decode()


# Hashes have random salts: without ids of their own, the tests would have other names in every process.
@pytest.mark.parametrize(
    "text",
    [ARGON2, BCRYPT, BCRYPT.replace("$2b$", "$2y$"), BCRYPT.replace("$2b$", "$2a$")],
    ids=["argon2", "2b", "2y", "2a"],
)
def test_argon2_and_bcrypt_are_verified(text: str) -> None:
    check_hash(text)

    assert is_password(b"right", text)
    assert not is_password(b"wrong", text)
    assert not is_password(b"", text)


@pytest.mark.parametrize(
    "text",
    ["", "right", "{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=", "$apr1$a$b", "$1$a$b", "$5$a$b", "$6$a$b", "$2x$04$" + "a" * 53,
     "$2b$04$short", "$2b$99$" + "a" * 53, BCRYPT + "x", BCRYPT[:-1], "$argon2id$", "$argon2id$v=19$m=8,t=1,p=1$x",
     ARGON2[:20],
     "$scrypt$a"],
    ids=range(16),
)  # fmt: skip
def test_other_hashes_are_refused_without_being_shown(text: str) -> None:
    with pytest.raises(ValueError, match="hash") as error:
        check_hash(text)

    assert not text or text not in str(error.value)


@pytest.mark.parametrize("text", [ARGON2, BCRYPT], ids=["argon2", "bcrypt"])
def test_a_decoy_is_a_hash_of_the_same_cost_that_nothing_matches(text: str) -> None:
    decoy = decoy_of(text)

    check_hash(decoy)
    assert len(decoy) == len(text)
    assert decoy != text
    assert decoy[:20] == text[:20]
    assert not is_password(b"right", decoy)


@pytest.mark.parametrize(("name", "text"), [("argon2", ARGON2), ("bcrypt", BCRYPT)], ids=["argon2", "bcrypt"])
def test_a_missing_library_is_named_with_what_to_install(monkeypatch: pytest.MonkeyPatch, name: str, text: str) -> None:
    monkeypatch.setitem(sys.modules, name, None)

    with pytest.raises(ValueError, match=rf"{name} hashes need a library: pip install 'gateway-plugin-auth\[basic\]'"):
        check_hash(text)
