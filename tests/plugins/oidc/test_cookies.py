from __future__ import annotations

import pytest
from gateway_plugin_oidc.attempt import LONGEST_RETURN, MOST_ATTEMPTS, Attempt
from gateway_plugin_oidc.cookies import LONGEST_COOKIE, MOST_PARTS, CookieWriter, OwnCookies, read_cookies
from gateway_plugin_oidc.sealing import Sealer, as_text
from hypothesis import given
from hypothesis import strategies as st


def writer(*, secure: bool = True, domain: str | None = None, same_site: str = "lax") -> CookieWriter:
    return CookieWriter("s", secure=secure, domain=domain, same_site=same_site)


NOTHING = OwnCookies({}, "")


@pytest.mark.parametrize(
    ("made", "name", "flags"),
    [
        (writer(), "__Host-s", "; Path=/; HttpOnly; Secure; SameSite=Lax"),
        (writer(domain="example.com"), "__Secure-s", "; Path=/; HttpOnly; Secure; Domain=example.com; SameSite=Lax"),
        (writer(secure=False), "s", "; Path=/; HttpOnly; SameSite=Lax"),
        (writer(same_site="strict"), "__Host-s", "; Path=/; HttpOnly; Secure; SameSite=Strict"),
    ],
)
def test_prefix_and_flags_are_those_that_browsers_ask_for(made: CookieWriter, name: str, flags: str) -> None:
    assert made.session("x", 60, NOTHING) == [f"{name}=1.x; Max-Age=60{flags}"]
    assert made.removed([name]) == [f"{name}=; Max-Age=0{flags}"]
    assert made.attempt("1", "x", 60).startswith(f"{name}.s1=x; Max-Age=60; Path=/; HttpOnly")
    assert "Strict" not in made.attempt("1", "x", 60), "it comes back with a navigation from another site"


@given(st.integers(min_value=1, max_value=30000))
def test_a_session_comes_back_from_its_parts(length: int) -> None:
    text = "".join(chr(97 + number % 26) for number in range(length))

    fields = writer().session(text, 60, NOTHING)
    pairs = [field.partition(";")[0] for field in reversed(fields)]
    cookies = read_cookies("; ".join(["a=b", *pairs]), "__Host-s")

    assert list(cookies.sessions("__Host-s")) == [text]
    assert cookies.rest == "a=b"
    assert all(len(field) <= LONGEST_COOKIE for field in fields)


def test_parts_of_a_longer_session_are_removed() -> None:
    before = OwnCookies({"__Host-s": ("3.a",), "__Host-s.1": ("b",), "__Host-s.2": ("c",), "__Host-s.s9": ("d",)}, "")

    fields = writer().session("x", 60, before)

    assert [field.partition("=")[0] for field in fields if "Max-Age=0" in field] == ["__Host-s.1", "__Host-s.2"]


@pytest.mark.parametrize("value", ["", "x", "1", "0.x", "17.x", "-1.x", "1e0.x", "²;.x", "2.x"])
def test_what_is_no_session_is_none(value: str) -> None:
    assert list(read_cookies(f"s={value}", "s").sessions("s")) == []


def test_every_meaning_of_repeated_names_is_looked_at_but_not_without_end() -> None:
    def meanings(*pairs: str) -> int:
        return len(list(read_cookies("; ".join(pairs), "s").sessions("s")))

    parts = [f"s.{part}={value}" for part in (1, 2, 3) for value in range(2)]

    assert meanings("s=1.a", "s=1.b") == 2
    assert meanings("s=4.a", "s=4.b", *parts) == 16
    # None at all: of those that are left out, one might be valid beside the one that is found.
    assert meanings("s=4.a", "s=4.b", "s=1.c", *parts) == 0
    assert meanings(*["s=1.a"] * 17) == 0


@pytest.mark.parametrize("space", ["\xa0", "\x85", "\x1c", "\x0b", "\x0c"])
def test_only_spaces_and_tabs_are_left_out_around_a_name(space: str) -> None:
    # A browser takes such a cookie from a sibling domain, since for it the name does not begin with __Host-.
    for name in (f"{space}__Host-s", f"__Host-s{space}", f"__Host-s{space}.1"):
        assert read_cookies(f"{name}=1.x", "__Host-s").values == {}
    assert read_cookies(" \t__Host-s\t = 1.x ", "__Host-s").values == {"__Host-s": ("1.x",)}


@given(st.text(max_size=200))
def test_any_field_can_be_read(field: str) -> None:
    cookies = read_cookies(field, "s")

    list(cookies.sessions("s"))
    assert "s=" not in [pair.strip()[:2] for pair in cookies.rest.split(";")]


def test_a_session_and_every_attempt_fit_into_the_head_of_a_request() -> None:
    made = CookieWriter("x" * 64, secure=True, domain=None, same_site="lax")
    attempt = Attempt.new("https://issuer.example", "https://app.example/cb", "/" + "a" * (LONGEST_RETURN - 1), 1.0)
    sealed = as_text(Sealer(["k" * 32], ("oidc", "x" * 100)).seal(attempt.to_bytes(), "attempt", "app.example"))
    field = made.attempt(attempt.id, sealed, 600)

    session = made.most_characters + MOST_PARTS * (len(made.base) + 5)
    assert session + MOST_ATTEMPTS * len(field) < 65536 - 2048


def test_a_name_that_no_cookie_may_have_is_not_written() -> None:
    assert writer().removed(["__Host-s.\r\nX: y", "__Host-s.a b"]) == []
