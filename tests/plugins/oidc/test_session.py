from __future__ import annotations

import json
import math
import zlib
from dataclasses import replace

from gateway_plugin_oidc.session import Session, Tokens
from hypothesis import given
from hypothesis import strategies as st

SESSION = Session("id", "https://issuer", "alice", began=1000.0, seen=1000.0)


@given(st.text(), st.dictionaries(st.text(), st.integers() | st.text()), st.floats(min_value=0, allow_nan=False))
def test_a_session_comes_back_from_its_bytes(token: str, more: dict[str, object], expires_at: float) -> None:
    session = Session("id", "https://issuer", "alice", 1.5, 2.5, access_token=token, more=more, expires_at=expires_at)

    assert Session.from_bytes(session.to_bytes()) == session


def test_what_is_no_session_is_none() -> None:
    for data in (b"", b"x", zlib.compress(b"[]"), zlib.compress(b'{"a":1}'), zlib.compress(b"x" * 100)):
        assert Session.from_bytes(data) is None


def test_a_session_of_a_version_that_keeps_more_is_read() -> None:
    """In a fleet that is upgraded gateway by gateway, users stay logged in."""
    values = json.loads(zlib.decompress(SESSION.to_bytes()))

    assert Session.from_bytes(zlib.compress(json.dumps({**values, "device": "d"}).encode())) == SESSION


def test_a_session_that_could_not_be_read_again_is_not_written() -> None:
    large = replace(SESSION, id_token="a" * (1 << 20))

    assert large.to_bytes() == b"", "although it is small when it is compressed"
    assert Session.from_bytes(replace(SESSION, id_token="a" * 1_000_000).to_bytes()) is not None


def test_tokens_are_renewed_before_they_end_but_not_at_once() -> None:
    def renew_at(expires_in: float) -> float:
        return SESSION.with_tokens(Tokens("a", "r", expires_in=expires_in), 1000.0, 60.0).renew_at - 1000.0

    assert (renew_at(3600), renew_at(100), renew_at(10)) == (3540, 50, 5)
    assert renew_at(math.inf) == math.inf


def test_what_is_not_given_again_stays() -> None:
    session = SESSION.with_tokens(Tokens("a", "r"), 1000.0, 60.0).with_tokens(Tokens("b"), 1001.0, 60.0)

    assert (session.access_token, session.refresh_token) == ("b", "r")


def test_it_ends_by_age_or_for_want_of_use() -> None:
    assert SESSION.ends_at(100, 0) == 1100
    assert SESSION.ends_at(100, 50) == 1050
    assert SESSION.ends_at(0, 0) == math.inf


def test_no_token_is_in_its_representation() -> None:
    shown = repr(SESSION.with_tokens(Tokens("secret-a", "secret-r", "secret-i"), 1.0, 1.0))

    assert "secret" not in shown
