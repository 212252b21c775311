from __future__ import annotations

from urllib.parse import urljoin, urlsplit

import pytest
from gateway_plugin_oidc.attempt import Attempt, attempt_id, safe_return, was_restart
from hypothesis import given
from hypothesis import strategies as st

ATTEMPT = Attempt.new("https://issuer", "https://app/cb", "/x", 1000.0)


def test_an_attempt_comes_back_from_its_bytes() -> None:
    assert Attempt.from_bytes(ATTEMPT.to_bytes()) == ATTEMPT
    assert Attempt.from_bytes(b"[]") is None
    assert Attempt.from_bytes(b"\xff") is None


def test_a_state_is_the_attempts_own() -> None:
    assert ATTEMPT.is_of(ATTEMPT.state)
    assert not ATTEMPT.is_of(ATTEMPT.state[:-1])
    assert not ATTEMPT.is_of("\ud800")
    assert ATTEMPT.id == attempt_id(ATTEMPT.state)


def test_it_is_over_after_ten_minutes_and_if_the_clock_went_back() -> None:
    assert [ATTEMPT.is_over(now) for now in (1000.0, 1599.0, 1600.0, 399.0)] == [False, False, True, True]


def test_a_second_attempt_shows_in_its_state() -> None:
    assert not was_restart(ATTEMPT.state)
    assert was_restart(Attempt.new("i", "r", "/", 0.0, is_restart=True).state)


def test_the_challenge_is_that_of_rfc_7636() -> None:
    attempt = Attempt("s", "n", "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk", "i", "r", "/", 0.0)

    assert attempt.challenge == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


@given(st.text(alphabet=st.sampled_from("/\\.:@?#%\t\n\r aé;e"), max_size=12))
def test_whatever_it_is_the_way_back_stays_at_the_origin(target: str) -> None:
    back = safe_return(target)

    assert urlsplit(urljoin("https://app.example/cb", back)).netloc == "app.example"
    assert back[0] == "/"
    assert back[1:2] not in {"/", "\\"}


@pytest.mark.parametrize("target", ["/", "/a/b?c=d&e=%20", "/%2F%2Fevil", "/a//b", "/~x;y=1?z='()"])
def test_paths_of_ours_stay_as_they_are(target: str) -> None:
    assert safe_return(target) == target
