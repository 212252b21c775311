from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from gateway_plugin_auth import Auth, AuthConfig
from pydantic import ValidationError

BCRYPT = "$2y$04$gbwwPMCDAuyZ1jHeWn3Zw.LjHB4dPYaX1UutwHJ9N9fWpAwwqZGb2"
APR1 = "$apr1$wO3qxfyU$odB/.3/oM.otlOrMy5xRK0"
SHA = "{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ="
SECRET = "s" * 32


def found_in(**config: Any) -> list[tuple[str, str, str, str]]:
    """Path, code, severity and message of each finding."""
    findings = Auth.check_config(AuthConfig.model_validate(config))
    return [(".".join(map(str, each.path)), each.code, each.severity, each.text) for each in findings]


def people(**options: Any) -> dict[str, Any]:
    return {"providers": {"people": {"scheme": "basic", **options}}}


def robots(path: Path) -> dict[str, Any]:
    return {"providers": {"robots": {"scheme": "api-key", "keys_file": str(path)}}}


def test_a_sound_configuration_has_none(tmp_path: Path, keys: Any) -> None:
    (tmp_path / "users").write_text(f"bob:{BCRYPT}\n")
    (tmp_path / "jwks").write_text(json.dumps({"keys": [keys.jwk(keys.rsa)]}))
    (tmp_path / "revoked").write_text("jti:1\n")
    (tmp_path / "keys").write_text('[{"subject": "a", "key": "k"}]')

    assert found_in(**people(users_file=str(tmp_path / "users"))) == []
    assert found_in(jwks_file=str(tmp_path / "jwks"), revocation={"file": str(tmp_path / "revoked")}) == []
    assert found_in(**robots(tmp_path / "keys")) == []


def test_weak_hashes_are_warned_of_with_their_place(tmp_path: Path) -> None:
    path = tmp_path / "users"
    path.write_text(f"bob:{BCRYPT}\nal:{APR1}\n\ndan:{SHA}\n")
    users = [{"name": "carol", "password_hash": APR1}]

    (user, *user_rest), (file, *file_rest) = found_in(**people(users=users, users_file=str(path)))

    assert (user, *user_rest[:2]) == ("providers.people.users.0.password_hash", "weak-hash", "warning")
    assert user_rest[2].startswith("the apr1 (MD5) hash of user 'carol' is weak: ")
    assert (file, *file_rest[:2]) == ("providers.people.users_file", "weak-hash", "warning")
    assert file_rest[2].startswith(f"{path} has weak hashes (apr1 (MD5), SHA-1) in line 2, 4: ")
    assert APR1 not in user_rest[2] + file_rest[2]


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        (None, "file-missing", "there is no file "),
        (b"bob:x\n", "file-invalid", "line 1: this is no hash that is known"),
        (b"\n\nbob:rqXexS6ZhobKA", "file-invalid", "line 3: this is a DES crypt hash"),
        (b"root:x:0:0:root:/root:/bin/sh", "file-invalid", "line 1: this is no hash"),
    ],
)
def test_every_file_is_read_as_at_the_start(tmp_path: Path, text: bytes | None, code: str, message: str) -> None:
    path = tmp_path / "users"
    if text is not None:
        path.write_bytes(text)

    ((place, *rest),) = found_in(**people(users_file=str(path)))

    assert (place, rest[0], rest[1]) == ("providers.people.users_file", code, "error")
    assert str(path) in rest[2]
    assert message in rest[2]
    assert not any(shown in rest[2].replace(str(path), "") for shown in ("rqXexS6ZhobKA", "root", "bob"))


def test_files_of_keys_and_lists_are_read_too(tmp_path: Path, keys: Any) -> None:
    path = tmp_path / "file"
    cases: list[tuple[str, dict[str, Any], str, str]] = [
        ("[", robots(path), "providers.robots.keys_file", "this is not a JSON list of keys: line 1 column 2"),
        ('[{"subject": "a"}]', robots(path), "providers.robots.keys_file", "given by exactly one of key and sha256"),
        (
            '[{"subject": "a", "key": "hush"}, {"subject": "b", "key": "hush"}]', robots(path),
            "providers.robots.keys_file", "'a' and 'b' have the same key",
        ),
        (
            '# ours\n{"subject": "a", "key": "hush"}\n{"subject": "b", "key": "hush"}', robots(path),
            "providers.robots.keys_file", "line 3: 'a' and 'b' have the same key",
        ),
        ("<html>", {"jwks_file": str(path)}, "jwks_file", "this is not JSON"),
        ("x", {"secret": SECRET, "revocation": {"file": str(path)}}, "revocation.file", "entry 1: "),
    ]  # fmt: skip
    for text, config, place, message in cases:
        path.write_text(text)
        ((found, code, severity, told),) = found_in(**config)

        assert (found, code, severity) == (place, "file-invalid", "error")
        assert message in told
        assert "hush" not in told


def test_what_is_no_regular_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")

    for path in (tmp_path / "fifo", tmp_path, Path("/dev/zero")):
        ((_, code, _, message),) = found_in(jwks_file=str(path))
        assert code == "file-unreadable"
        assert str(path) in message


def test_keys_that_are_left_out_are_warned_of(tmp_path: Path, keys: Any) -> None:
    members = [keys.jwk(keys.rsa), {"kty": "oct", "k": "aHVzaA"}]
    path = tmp_path / "jwks"
    path.write_text(json.dumps({"keys": members}))

    for config, place in (({"jwks_file": str(path)}, "jwks_file"), ({"jwks": {"keys": members}}, "jwks")):
        ((found, code, severity, message),) = found_in(**config)
        assert (found, code, severity) == (place, "unusable-key", "warning")
        assert "keys[1]: the secret has 4 bytes" in message


def test_certificates_of_fetches_are_opened(tmp_path: Path, write_certificate: Any) -> None:
    cert, key = map(str, write_certificate(tmp_path))
    (tmp_path / "ca.pem").write_text("nonsense")
    url = {"jwks_url": "https://keys.example/"}

    assert [each[:3] for each in found_in(**url, fetch={"ca": str(tmp_path / "ca.pem")})] == [
        ("fetch", "file-invalid", "error")
    ]
    with pytest.raises(ValidationError, match="names no file"):
        found_in(**url, fetch={"cert": str(tmp_path / "none")})
    assert found_in(**url, fetch={"ca": cert, "cert": cert, "key": key}) == []
    swapped = found_in(**url, fetch={"cert": key, "key": cert})
    assert [each[:3] for each in swapped] == [("fetch", "file-invalid", "error")]


def test_what_proves_to_an_introspection_endpoint_who_we_are_is_looked_at(tmp_path: Path) -> None:
    path = tmp_path / "file"
    base = {"scheme": "introspection", "endpoint": "https://login.example.com/", "client_id": "a"}
    for text, options in (
        (" \n", {"client_secret_file": str(path)}),
        ("x", {"client_auth": "private_key_jwt", "client_key": {"file": str(path)}}),
    ):
        path.write_text(text)
        ((place, code, severity, message),) = found_in(providers={"opaque": {**base, **options}})
        assert (place.partition(".")[0], code, severity) == ("providers", "file-invalid", "error")
        assert str(path) in message
