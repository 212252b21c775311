from __future__ import annotations

import pytest
from gateway_core.config.userinfo import HIDDEN, without_credentials
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("redis://:hunter2@10.0.0.1/0", f"redis://{HIDDEN}@10.0.0.1/0"),
        ("https://user:pw@host/path?x=1", f"https://{HIDDEN}@host/path?x=1"),
        ("redis://user@host", f"redis://{HIDDEN}@host"),
        ("redis://:p@ss@host", f"redis://{HIDDEN}@host"),
        ("redis://:a/b@host:1/0", f"redis://{HIDDEN}@host:1/0"),
        ("https://host/in?token=abc&y=1", f"https://host/in?token={HIDDEN}&y=1"),
        ("unix:///run/redis?password=abc", f"unix:///run/redis?password={HIDDEN}"),
        ('no "https://u:p@h" and x://a:b@c', f'no "https://{HIDDEN}@h" and x://{HIDDEN}@c'),
    ],
)
def test_credentials_of_urls_are_hidden_in_any_text(text: str, shown: str) -> None:
    assert without_credentials(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "",
        "plain: text@example.com",
        "https://host/users/@me",
        "http://[::1]:80/@x",
        "http://host:8080/a@b",
        "unix:///a@b",
    ],
)
def test_texts_without_credentials_stay_as_they_are(text: str) -> None:
    assert without_credentials(text) == text


_WORD = st.text("abcXYZ019-._~%!$&()*+,;=:@", min_size=1, max_size=20).map(lambda text: f"Qq{text}qQ")


@given(_WORD, st.sampled_from(["host", "10.0.0.1:6379", "[::1]:80"]), st.sampled_from(["", "/", "/a?b#c"]))
def test_no_password_is_ever_shown(password: str, host: str, rest: str) -> None:
    text = f"cannot reach redis://user:{password}@{host}{rest} now"

    assert without_credentials(text).count("Qq") == 0
    kept = without_credentials(text, keep_length=True)
    assert len(kept) == len(text)
    assert "Qq" not in kept
