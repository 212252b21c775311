from __future__ import annotations

import pytest
from gateway_core.routing import (
    RedirectOptions,
    RewriteError,
    RewriteOptions,
    UnsafePathError,
    compile_redirect,
    parse_pattern,
    parse_prefix,
)

MOVED = RewriteOptions(prefix="/new")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (RedirectOptions(scheme="https"), "https://a.com/old/x?q=%2f"),
        (RedirectOptions(scheme="http"), "http://a.com:8080/old/x?q=%2f"),
        (RedirectOptions(host="b.com"), "http://b.com/old/x?q=%2f"),
        (RedirectOptions(host="b.com:81", scheme="https"), "https://b.com:81/old/x?q=%2f"),
        (RedirectOptions(path=MOVED), "/new/x?q=%2f"),
        (RedirectOptions(host="b.com", path=MOVED), "http://b.com/new/x?q=%2f"),
        (RedirectOptions(host="b.com", path=RewriteOptions(template="/fixed")), "http://b.com/fixed?q=%2f"),
    ],
)
def test_what_is_not_changed_stays_as_the_client_sent_it(options: RedirectOptions, expected: str) -> None:
    redirect = compile_redirect(parse_prefix("/old"), options)

    assert redirect.location("http", "a.com:8080", "/old/x", "q=%2f", {}) == expected


def test_a_path_never_becomes_a_host() -> None:
    redirect = compile_redirect(parse_prefix("/go"), RedirectOptions(path=RewriteOptions(strip=True)))

    assert redirect.location("http", "a.com", "/go//evil.example/x", "", {}) == "/evil.example/x"


@pytest.mark.parametrize("host", ["", "a.com/x", "a@b.com", "a.com:x", "a b", "evil.com\r\nx: y"])
def test_a_malformed_host_is_not_repeated(host: str) -> None:
    redirect = compile_redirect(parse_prefix("/"), RedirectOptions(scheme="https"))

    with pytest.raises(UnsafePathError):
        redirect.location("http", host, "/", "", {})


def test_an_address_may_be_a_host() -> None:
    redirect = compile_redirect(parse_prefix("/"), RedirectOptions(scheme="https"))

    assert redirect.location("http", "[::1]:80", "/", "", {}) == "https://[::1]/"


@pytest.mark.parametrize(
    ("options", "remedy"),
    [
        (RedirectOptions(), "leads to itself"),
        (RedirectOptions(status=200, scheme="https"), "301, 302, 303, 307, 308"),
        (RedirectOptions(scheme="ftp"), "'ftp'"),
        (RedirectOptions(host="http://b.com"), "'http://b.com'"),
        (RedirectOptions(path=RewriteOptions(template="/:x")), "':x'"),
    ],
)
def test_redirects_that_cannot_work_are_refused_with_a_remedy(options: RedirectOptions, remedy: str) -> None:
    with pytest.raises(RewriteError) as caught:
        compile_redirect(parse_pattern("/a"), options)

    assert remedy.strip("'").strip(":") in str(caught.value)
