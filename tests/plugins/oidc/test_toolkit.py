"""Logins at a second real provider, Django OAuth Toolkit: what it does otherwise than authlib's must not matter."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
import requests
from gateway_plugin_sdk.testing import ManualClock, ScriptedUpstream

from tests.plugins.oidc.conftest import HOST, KEY, NAVIGATION, Browser, StartOidc
from tests.plugins.oidc.toolkit_provider import CLIENT_ID, CLIENT_SECRET, PASSWORD, USER

pytestmark = [pytest.mark.in_turn, pytest.mark.slow, pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def toolkit() -> Iterator[str]:
    """Run the provider, and yield its issuer."""
    command = [
        sys.executable, "-m", "tests.plugins.oidc.toolkit_provider", f"http://{HOST}/cb", f"http://{HOST}/",
    ]  # fmt: skip
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        port = process.stdout.readline().strip()
        yield f"http://127.0.0.1:{port}/o"
        process.terminate()


@pytest.fixture
def options(toolkit: str) -> dict[str, Any]:
    return {
        "issuer": toolkit, "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET, "redirect_uri": f"http://{HOST}/cb",
        "keys": [KEY], "claims_to_headers": {"X-User": "sub"}, "access_token_header": "X-Token",
    }  # fmt: skip


class User:
    """A user in front of the provider's pages, with the provider's cookies."""

    def __init__(self) -> None:
        self.session = requests.Session()

    def log_in(self, location: str, password: str = PASSWORD) -> requests.Response:
        """Go to the provider, fill its form in, and return the last response before the way back."""
        page = self.session.get(location, timeout=30)
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.text)
        assert token is not None, page.text
        form = {"username": USER, "password": password, "csrfmiddlewaretoken": token[1]}
        target = urlsplit(page.url)
        form["next"] = parse_qs(target.query)["next"][0]
        answer = self.session.post(page.url, form, allow_redirects=False, timeout=30)
        if answer.status_code != 302:
            return answer
        there = f"{target.scheme}://{target.netloc}{answer.headers['location']}"
        return self.session.get(there, allow_redirects=False, timeout=30)


def logged_in(browser: Browser, target: str = "/") -> User:
    user = User()
    begun = browser.send("GET", target, NAVIGATION)
    back = user.log_in(begun.headers["location"])
    finished = browser.follow(back.headers["location"])
    assert (finished.status, urlsplit(finished.headers["location"]).path) == (303, target)
    return user


def test_a_user_logs_in_by_the_providers_form(start: StartOidc, upstream: ScriptedUpstream) -> None:
    browser = Browser(start(userinfo=True))

    logged_in(browser, "/a")

    assert browser.get("/a").status == 200
    assert upstream.last.headers["x-user"] == "1"
    assert "cookie" not in upstream.last.headers


def test_a_wrong_password_makes_no_session_and_the_attempt_stays_open(start: StartOidc) -> None:
    browser, user = Browser(start()), User()
    location = browser.send("GET", "/", NAVIGATION).headers["location"]

    assert user.log_in(location, "wrong").status_code == 200, "the form again"
    assert browser.get("/").status == 401
    assert browser.follow(user.log_in(location).headers["location"]).status == 303


def test_tokens_are_rotated_once_for_all_who_ask(
    start: StartOidc, upstream: ScriptedUpstream, clock: ManualClock
) -> None:
    browser = Browser(start())
    logged_in(browser)
    browser.get("/")
    tokens = [upstream.last.headers["x-token"]]
    for _ in range(2):
        clock.advance(3601)
        cookies = dict(browser.cookies)

        def visit(_: int, cookies: dict[str, str] = cookies) -> int:
            one = Browser(browser.gateway)
            one.cookies = dict(cookies)
            return one.get("/").status

        with ThreadPoolExecutor(10) as pool:
            assert set(pool.map(visit, range(10))) == {200}
        assert browser.get("/").status == 200
        tokens.append(upstream.last.headers["x-token"])

    assert len(set(tokens)) == 3


def test_a_logout_ends_the_session_at_the_provider_too(start: StartOidc) -> None:
    browser = Browser(start())
    user = logged_in(browser)

    location = browser.send("GET", "/oauth2/logout", NAVIGATION).headers["location"]
    answer = user.session.get(location, allow_redirects=False, timeout=30)

    assert (answer.status_code, answer.headers["location"]) == (302, f"http://{HOST}/")
    again = user.session.get(browser.send("GET", "/", NAVIGATION).headers["location"], timeout=30)
    assert "csrfmiddlewaretoken" in again.text, "a login has to be typed again"


def test_a_code_of_another_login_is_refused_for_its_verifier(start: StartOidc) -> None:
    browser, other = Browser(start()), Browser(start())
    stolen = User().log_in(browser.send("GET", "/", NAVIGATION).headers["location"]).headers["location"]
    begun = other.send("GET", "/", NAVIGATION).headers["location"]
    code, state = parse_qs(urlsplit(stolen).query)["code"][0], parse_qs(urlsplit(begun).query)["state"][0]

    injected = other.follow(f"http://{HOST}/cb?{urlencode({'code': code, 'state': state})}")

    assert injected.status == 302, "the login begins again"
    assert other.get("/").status == 401
