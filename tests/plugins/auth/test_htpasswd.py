from __future__ import annotations

import pytest
from gateway_plugin_auth.htpasswd import read_users, weak_lines
from hypothesis import given
from hypothesis import strategies as st

BCRYPT = "$2y$04$gbwwPMCDAuyZ1jHeWn3Zw.LjHB4dPYaX1UutwHJ9N9fWpAwwqZGb2"
APR1 = "$apr1$wO3qxfyU$odB/.3/oM.otlOrMy5xRK0"
SHA = "{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ="
TEXT = f"# people\r\n\r\nbob:{BCRYPT}\r\n  al ice:{APR1}\nj\xfcrgen:{SHA}\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_file_has_a_user_a_line_and_comments(encoding: str) -> None:
    users = read_users(TEXT.encode(encoding))

    assert [user.name for user in users] == ["bob", "al ice", "j\xfcrgen"]
    assert users[0].password_hash.reveal() == BCRYPT


def test_lines_with_weak_hashes_are_named() -> None:
    assert list(weak_lines(TEXT.encode())) == [(4, "apr1 (MD5)"), (5, "SHA-1")]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("alice", "line 2 is not name:hash"), (":x", "line 2 is not name:hash"),
        ("alice:rqXexS6ZhobKA", "line 2: this is a DES crypt hash, not an argon2 or bcrypt hash"),
        ("alice:$6$salt$hash", "line 2: this is a SHA-512 crypt hash"),
        ("alice:$apr1$cut", r"line 2: this apr1 \(MD5\) hash is damaged"),
        (f"bob:{SHA}", "line 2: this user is there twice"), ("\xff", "line 2 is not valid UTF-8"),
    ],
)  # fmt: skip
def test_a_line_that_is_no_user_is_told_by_its_number(line: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        read_users(f"bob:{BCRYPT}\n{line}".encode("latin-1"))


@given(st.binary())
def test_any_file_has_users_or_is_a_value_error(data: bytes) -> None:
    try:
        users = read_users(data)
    except ValueError:
        return
    assert all(user.name for user in users)
