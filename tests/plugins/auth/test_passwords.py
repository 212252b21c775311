from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Callable

import argon2
import bcrypt
import pytest
from gateway_plugin_auth.passwords import check_hash, decoy_of, hash_class, is_password
from hypothesis import given, settings
from hypothesis import strategies as st

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
    ["", "right", "{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9", "$apr1$a$b", "$1$a$b", "$5$a$b", "$6$a$b", "$2x$04$" + "a" * 53,
     "$2b$04$short", "$2b$99$" + "a" * 53, BCRYPT + "x", BCRYPT[:-1], "$argon2id$", "$argon2id$v=19$m=8,t=1,p=1$x",
     ARGON2[:20],
     "$scrypt$a"],
    ids=range(16),
)  # fmt: skip
def test_other_hashes_are_refused_without_being_shown(text: str) -> None:
    with pytest.raises(ValueError, match="hash") as error:
        check_hash(text)

    assert not text or text not in str(error.value)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("$1$salt$qJH7.N4xYta3aEG/dfqo/0", "an MD5 crypt hash"), ("$5$rounds=5000$a$b", "a SHA-256 crypt hash"),
        ("$6$salt$hash", "a SHA-512 crypt hash"), ("$y$j9T$a$b", "a yescrypt hash"),
        ("rqXexS6ZhobKA", "a DES crypt hash"),
        ("{CRYPT}rqXexS6ZhobKA", "a hash of the kind CRYPT"), ("{SMD5}abcd", "a hash of the kind SMD5"),
        ("hunter2", "no hash that is known, perhaps the password itself"), ("$2x$04$" + "a" * 53, "a faulty version"),
        ("$2b$18$" + "a" * 53, "the cost 18 of this bcrypt hash is not between 04 and 17"),
        ("$apr1$salt$short", "this apr1 (MD5) hash is damaged"), ("{SSHA}AAAA", "this salted SHA-1 hash is damaged"),
    ],
)  # fmt: skip
def test_a_hash_that_is_not_supported_is_called_by_its_kind(text: str, kind: str) -> None:
    with pytest.raises(ValueError, match=re.escape(kind)) as error:
        check_hash(text)
    assert text not in str(error.value)


HASHES = [ARGON2, BCRYPT, "$apr1$ab$J/pyQu7p0O5KCJfor.v6Y/", "{SHA}" + "A" * 27 + "="]


@given(st.binary(max_size=1024), st.sampled_from(HASHES))
@settings(max_examples=30, deadline=None)
def test_no_password_makes_verifying_fail(password: bytes, text: str) -> None:
    assert is_password(password, text) is (password == b"right" and text in {ARGON2, BCRYPT})


ODD = ["$argon2id$v=19$m=8,t=x,p=1$YQ$YQ", "$argon2i$v=1$m=-1", "$2b$\u0661\u0661$" + "a" * 53]


@given(st.text(max_size=80) | st.sampled_from(ODD))
def test_checking_a_hash_accepts_it_or_raises_value_error(text: str) -> None:
    with contextlib.suppress(ValueError):
        check_hash(text)
        assert text.startswith(("$argon2", "$2", "$apr1$", "{S"))


@pytest.mark.parametrize("text", [ARGON2, BCRYPT, "$apr1$ab$J/pyQu7p0O5KCJfor.v6Y/"], ids=["argon2", "bcrypt", "apr1"])
def test_a_decoy_is_a_hash_of_the_same_cost_that_nothing_matches(text: str) -> None:
    decoy = decoy_of(text)

    check_hash(decoy)
    assert len(decoy) == len(text)
    assert decoy != text
    assert hash_class(decoy) == hash_class(text)
    assert not is_password(b"right", decoy)


@pytest.mark.parametrize(("name", "text"), [("argon2", ARGON2), ("bcrypt", BCRYPT)], ids=["argon2", "bcrypt"])
def test_a_missing_library_is_named_with_what_to_install(monkeypatch: pytest.MonkeyPatch, name: str, text: str) -> None:
    monkeypatch.setitem(sys.modules, name, None)

    with pytest.raises(ValueError, match=rf"{name} hashes need a library: pip install 'gateway-plugin-auth\[basic\]'"):
        check_hash(text)


@pytest.mark.parametrize(
    ("parameters", "problem"),
    [
        ("m=4194304,t=1,p=1", "asks for m=4194304,t=1,p=1"), ("m=65536,t=300000,p=4", "at most 4194304"),
        ("m=0,t=3,p=4", "at least 8 KiB a lane"), ("m=8,t=1,p=2", "at least 8 KiB a lane"),
        ("m=65536,t=0,p=1", "asks for"), ("m=65536,t=3,p=0", "asks for"),
    ],
)  # fmt: skip
def test_an_argon2_hash_that_cannot_be_verified_in_time_is_refused(parameters: str, problem: str) -> None:
    salt_and_hash = ARGON2.split("$", 4)[4]

    with pytest.raises(ValueError, match=problem):
        check_hash(f"$argon2id$v=19${parameters}${salt_and_hash}")


@pytest.mark.parametrize(
    "damage",
    [lambda text: text + "x" * 2, lambda text: text[:-2], lambda text: text.replace("$v=19$", "$v=18$"),
     lambda text: "$".join([*text.split("$")[:4], "!!!!!!!!!!!!", text.split("$")[5]])],
    ids=["longer", "shorter", "version", "salt"],
)  # fmt: skip
def test_a_damaged_argon2_hash_is_refused(damage: Callable[[str], str]) -> None:
    with pytest.raises(ValueError, match="this argon2 hash is damaged"):
        check_hash(damage(ARGON2))
