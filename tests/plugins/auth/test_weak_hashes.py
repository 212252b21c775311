from __future__ import annotations

import base64
import hashlib
import subprocess

import pytest
from gateway_plugin_auth.weak_hashes import apr1, is_weak_password, is_whole, weak_kind


# Made by openssl passwd -apr1, htpasswd -m, htpasswd -s, and slappasswd's scheme.
@pytest.mark.parametrize(
    ("password", "text"),
    [
        ("", "$apr1$abcdefgh$L.PT565ESX4Tp2bqNs7Ie."), ("a", "$apr1$abcdefgh$G8IsPsylW5ROvIKsQMRG61"),
        ("secret", "$apr1$abcdefgh$h9FWgUz3n9YxylKLlR5SQ/"), ("secret", "$apr1$wO3qxfyU$odB/.3/oM.otlOrMy5xRK0"),
        ("a password that is longer than sixteen bytes, really", "$apr1$abcdefgh$CKyCWUIjOvC14KDivdUmD/"),
        ("p\xe4ssw\xf6rd", "$apr1$ab$J/pyQu7p0O5KCJfor.v6Y/"), ("secret", "{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ="),
        ("secret", "{SSHA}" + base64.b64encode(hashlib.sha1(b"secretsalt").digest() + b"salt").decode()),
    ],
)  # fmt: skip
def test_weak_hashes_of_htpasswd_are_verified(password: str, text: str) -> None:
    assert is_whole(text)
    assert is_weak_password(password.encode(), text)
    assert not is_weak_password(password.encode() + b"x", text)
    assert not is_weak_password(b"\0", text)


def test_apr1_is_what_openssl_makes(openssl: str) -> None:
    for length in (*range(20), 31, 32, 33, 63, 64, 65, 200):
        password, salt = ("Aa%9-xyz" * 25)[:length], "s./Z9abc"[: length % 8 + 1]
        command = [openssl, "passwd", "-apr1", "-salt", salt, "-stdin"]
        made = subprocess.run(command, input=f"{password}\n", text=True, capture_output=True, check=True)

        assert f"$apr1${salt}${apr1(password.encode(), salt.encode())}" == made.stdout.strip()


@pytest.mark.parametrize(
    ("text", "kind"),
    [("$apr1$x", "apr1 (MD5)"), ("{SHA}x", "SHA-1"), ("{SSHA}x", "salted SHA-1"), ("$1$x", None), ("{sha}x", None)],
)
def test_weak_kinds_have_names(text: str, kind: str | None) -> None:
    assert weak_kind(text) == kind


@pytest.mark.parametrize(
    "text",
    ["$apr1$", "$apr1$a$b", "$apr1$toolongsalt$h9FWgUz3n9YxylKLlR5SQ/", "{SHA}", "{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ",
     "{SHA}AAAA", "{SSHA}5en6G6MezRroT3XKqkdPOmY/BfQ=", "{SSHA}\xe9"],
)  # fmt: skip
def test_a_damaged_hash_has_no_password(text: str) -> None:
    assert not is_whole(text)
    assert not is_weak_password(b"secret", text) or text == "{SSHA}5en6G6MezRroT3XKqkdPOmY/BfQ="
