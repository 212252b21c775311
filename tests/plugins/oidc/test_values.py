"""Sessions that several gateways share over a Valkey server."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlencode, urlsplit

import pytest
from gateway_plugin_sdk.testing import ManualClock, ScriptedUpstream, eventually

from tests.plugins.oidc.conftest import NAVIGATION, Browser, StartOidc
from tests.plugins.oidc.provider import Provider
from tests.plugins.oidc.test_stream_ends import Endless, is_aborted, opened
from tests.plugins.ratelimit.stores.conftest import Valkey

pytestmark = pytest.mark.in_turn


@pytest.fixture(scope="module")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    server = Valkey(Path(tmp_path_factory.mktemp("valkey")))
    yield server
    server.kill()


@pytest.fixture(params=["cookie", "valkey"])
def pair(request: Any, start: StartOidc, valkey: Valkey) -> tuple[Browser, Browser]:
    """One browser, in front of two gateways that share a server."""
    valkey.command("FLUSHALL")
    options = {
        "valkey": {"url": valkey.url, "timeout": "20s"}, "session": {"store": request.param, "recheck": "1s"},
        "access_token_header": "X-Token", "backchannel_logout_path": "/backchannel",
    }  # fmt: skip
    first, second = Browser(start(**options)), Browser(start(**options))
    first.visit("/")
    second.cookies = dict(first.cookies)
    return first, second


def test_a_session_is_known_to_both_gateways(pair: tuple[Browser, Browser], provider: Provider) -> None:
    first, second = pair

    assert [first.get("/").status, second.get("/").status] == [200, 200]
    assert provider.requests["/token"] == 1


def test_a_session_in_valkey_is_sealed_there_and_small_in_the_cookie(start: StartOidc, valkey: Valkey) -> None:
    valkey.command("FLUSHALL")
    browser = Browser(start(valkey={"url": valkey.url, "timeout": "20s"}, session={"store": "valkey"}))
    browser.visit("/")

    keys = valkey.command("KEYS", "gateway:oidc:session:*")
    name = next(line for line in keys.split("\r\n") if line.startswith("gateway"))
    assert len(browser.cookies["gateway-session"]) < 150
    script = "return string.find(redis.call('get', KEYS[1]), ARGV[1], 1, true) or 0"
    assert valkey.command("EVAL", script, "1", name, "access-") == ":0\r\n"
    assert 0 < int(valkey.command("TTL", name).strip(": \r\n")) <= 8 * 3600


def test_callbacks_that_were_made_up_leave_nothing_in_the_store_and_ask_the_provider_once_each(
    start: StartOidc, provider: Provider, valkey: Valkey
) -> None:
    valkey.command("FLUSHALL")
    browser = Browser(start(valkey={"url": valkey.url, "timeout": "20s"}))
    callback = browser.to_provider()
    state = parse_qs(urlsplit(callback).query)["state"][0]
    made_up = [
        "/cb", "/cb?state=x&code=y", f"/cb?state={state}", f"/cb?state={state}&error=access_denied",
        *[f"/cb?state={state}&code=made-up-{number}&iss={quote(provider.issuer, safe='')}" for number in range(3)],
    ]  # fmt: skip

    for target in made_up:
        browser.send("GET", target, NAVIGATION)

    assert valkey.command("DBSIZE") == ":0\r\n"
    assert provider.requests["/token"] == 1
    assert Browser(browser.gateway).visit("/").status == 200
    assert valkey.command("DBSIZE") == ":1\r\n", "a login that is complete counts once"


def test_two_gateways_refresh_once(
    pair: tuple[Browser, Browser], provider: Provider, upstream: ScriptedUpstream, clock: ManualClock
) -> None:
    cookies = dict(pair[0].cookies)
    provider.refreshing.clear()
    clock.advance(3601)
    upstream.clear()

    def visit(number: int) -> int:
        one = Browser(pair[number % 2].gateway)
        one.cookies = dict(cookies)
        return one.get("/").status

    with ThreadPoolExecutor(50) as pool:
        answers = pool.map(visit, range(50))
        eventually(lambda: provider.requests["refresh"] == 1)
        provider.refreshing.set()
        assert list(answers) == [200] * 50

    assert provider.requests["refresh"] == 1
    assert len({request.headers["x-token"] for request in upstream.requests}) == 1


def test_a_logout_at_one_gateway_ends_the_session_at_the_other(
    pair: tuple[Browser, Browser], clock: ManualClock
) -> None:
    first, second = pair
    second.get("/")
    first.send("GET", "/oauth2/logout")

    clock.advance(1.1)

    assert second.get("/").status == 401


def test_a_logout_by_the_provider_reaches_both(
    pair: tuple[Browser, Browser], provider: Provider, clock: ManualClock
) -> None:
    first, second = pair
    second.get("/")
    form = {"Host": "x", "Content-Type": "application/x-www-form-urlencoded"}
    body = urlencode({"logout_token": provider.logout_token(sub="alice")}).encode()
    assert first.gateway.request("POST", "/backchannel", headers=form, body=body).status == 200

    clock.advance(1.1)

    assert [first.get("/").status, second.get("/").status] == [401, 401]


@pytest.mark.parametrize("ahead", [-500.0, 500.0])
@pytest.mark.parametrize("names", [{"sub": "alice"}, {"sid": "sid-of-alice"}], ids=["user", "session"])
def test_a_logout_ends_the_sessions_before_it_and_none_after_it_whatever_the_clocks_say(
    start: StartOidc, valkey: Valkey, provider: Provider, clock: ManualClock, ahead: float, names: dict[str, str]
) -> None:
    valkey.command("FLUSHALL")
    other_clock = ManualClock(wall=clock.wall() + ahead)
    options = {
        "valkey": {"url": valkey.url, "timeout": "20s"}, "session": {"recheck": "1s"}, "leeway": "10m",
        "backchannel_logout_path": "/backchannel",
    }  # fmt: skip
    first, second = Browser(start(**options)), Browser(start(**options, at=other_clock))
    for browser in (first, second):
        browser.visit("/")
    form = {"Host": "x", "Content-Type": "application/x-www-form-urlencoded"}
    body = urlencode({"logout_token": provider.logout_token(**names)}).encode()

    assert second.gateway.request("POST", "/backchannel", headers=form, body=body).status == 200

    clock.advance(1.1)
    assert [first.get("/").status, second.get("/").status] == [401, 401]
    for browser in (first, second):
        assert browser.visit("/").status == 200
    clock.advance(1.1)
    other_clock.advance(1.1)
    assert [first.get("/").status, second.get("/").status] == [200, 200], "they began after the logout"
    marks = [key for key in valkey.command("KEYS", "gateway:oidc:ended-*").split("\r\n") if key.startswith("gateway")]
    assert [int(valkey.command("TTL", key).strip(": \r\n")) > 8 * 3600 + 600 for key in marks] == [True], (
        "it is kept for as long as the slowest clock has a session last"
    )


def test_a_stream_is_aborted_when_its_session_ends_at_another_gateway(start: StartOidc, valkey: Valkey) -> None:
    upstream = Endless()
    shared = {"valkey": {"url": valkey.url, "timeout": "20s"}, "session": {"recheck": "1s"}}
    browser, other = Browser(start(target=upstream.url, **shared)), Browser(start(target=upstream.url, **shared))
    browser.follow(browser.to_provider())
    other.cookies = dict(browser.cookies)

    with opened(browser, "events") as stream:
        assert other.send("GET", "/oauth2/logout").status == 303

        assert is_aborted(stream)
    upstream.close()


def test_without_the_server_nobody_knows_whether_a_session_holds(
    start: StartOidc, tmp_path: Path, clock: ManualClock
) -> None:
    server = Valkey(tmp_path)
    browser = Browser(start(valkey={"url": server.url, "timeout": "20s"}))
    browser.visit("/")
    assert browser.get("/").status == 200
    server.kill()
    clock.advance(6)

    answer = browser.get("/")

    assert (answer.status, answer.headers["retry-after"]) == (503, "5")
    assert browser.cookies, "the session is not lost"
    server.start()
    assert browser.get("/").status == 200
    server.kill()
