from __future__ import annotations

import pytest
from gateway_core.admin.access import (
    Access,
    Caller,
    ClientName,
    Token,
    bearer_of,
    browser_refusal,
    caller_of_certificate,
    caller_of_token,
    digest_of,
    names_in,
)

NOW = 1000.0


def test_a_role_includes_the_lesser_ones() -> None:
    operator = Caller("ops", "operator", "token")

    assert [operator.may(role) for role in ("viewer", "operator", "editor")] == [True, True, False]


@pytest.mark.parametrize(
    ("field", "token"),
    [(None, None), ("Bearer abc", "abc"), ("bearer  abc ", "abc"), ("Basic abc", ""), ("Bearer", ""), ("abc", "")],
)
def test_the_token_of_an_authorization_field(field: str | None, token: str | None) -> None:
    assert bearer_of(field) == token


def test_a_token_stands_for_its_role_until_it_expires() -> None:
    tokens = [Token("old", "viewer", digest_of("a"), NOW), Token("new", "operator", digest_of("b"), NOW + 1, True)]

    assert caller_of_token("b", tokens, NOW) == Caller("new", "operator", "token", may_tail=True)
    assert caller_of_token("a", tokens, NOW) is None
    assert caller_of_token("b", tokens, NOW + 1) is None
    assert caller_of_token("", tokens, NOW) is None
    assert caller_of_token(digest_of("b"), tokens, NOW) is None


def test_anonymous_callers_may_read_until_there_is_a_token_or_tls() -> None:
    assert Access().takes_anonymous
    assert not Access([Token("ops", "viewer", digest_of("a"))]).takes_anonymous
    assert not Access(has_tls=True).takes_anonymous


def test_a_certificate_is_known_by_its_alternative_names_and_else_by_its_common_name() -> None:
    subject = ((("organizationName", "x"),), (("commonName", "ops"),))
    clients = [ClientName("ops", "editor"), ClientName("ops.test", "viewer")]

    assert names_in({"subject": subject}) == {"ops"}
    assert names_in({"subject": subject, "subjectAltName": (("DNS", "ops.test"), ("IP Address", "::1"))}) == {
        "ops.test"
    }
    assert caller_of_certificate({"subject": subject}, clients) == Caller("ops", "editor", "certificate")
    assert caller_of_certificate({"subjectAltName": (("DNS", "other.test"),), "subject": subject}, clients) is None


@pytest.mark.parametrize(
    ("method", "origin", "site"),
    [
        ("GET", None, None),
        ("POST", None, None),
        ("POST", "http://127.0.0.1:9090", "same-origin"),
        ("POST", "HTTP://127.0.0.1:9090", None),
        ("GET", None, "none"),
    ],
)
def test_programs_and_pages_of_the_same_origin_are_served(method: str, origin: str | None, site: str | None) -> None:
    assert browser_refusal(method, "127.0.0.1:9090", origin, site) is None


@pytest.mark.parametrize(
    ("method", "origin", "site"),
    [
        ("POST", "http://evil.test", None),
        ("POST", "null", None),
        ("POST", "http://127.0.0.1:8080", None),
        ("POST", "http://127.0.0.1:9090", "cross-site"),
        ("POST", None, "same-site"),
        ("GET", None, "cross-site"),
        ("POST", "file://127.0.0.1:9090", None),
        ("POST", "http://[", None),
        ("POST", None, "none"),
    ],
)
def test_what_other_pages_cause_is_refused(method: str, origin: str | None, site: str | None) -> None:
    assert browser_refusal(method, "127.0.0.1:9090", origin, site) is not None
