from __future__ import annotations

import pytest
from gateway_tokens.texts import is_loopback, many, url_problem


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.1.2.3", "::1", "a.localhost"])
def test_this_machine(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["localhost.example", "10.0.0.1", "::", "127.0.0.1.example", "notlocalhost"])
def test_other_machines(host: str) -> None:
    assert not is_loopback(host)


def test_https_is_fine_and_http_can_be() -> None:
    assert url_problem("https://a.example:1/x", allow_http=False) is None
    assert url_problem("http://a.example/x", allow_http=True) is None
    assert url_problem("ftp://a.example/x", allow_http=True) is not None


@pytest.mark.parametrize("host", ["[::1", "a.example:99999", "a.example:x"])
def test_no_problem_of_a_url_shows_a_password(host: str) -> None:
    problem = url_problem(f"https://user:hush@{host}/x?key=hush", allow_http=False)

    assert problem == f"'https://{host}/x' is not a URL: write https://host/path"


def test_one_or_more() -> None:
    assert many(None) == ()
    assert many("a") == ("a",)
    assert many(("a", "b")) == ("a", "b")
