"""What a provider, or who stands in its place, may send: nothing of it makes a session, and the gateway goes on."""

from __future__ import annotations

import gzip
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from gateway_plugin_sdk.testing import ScriptedUpstream

from tests.plugins.oidc.conftest import Browser, StartOidc
from tests.plugins.oidc.provider import Provider

GZIP = [("Content-Encoding", "gzip")]
ANSWERS: dict[str, dict[str, Any]] = {
    "a redirect": {"status": 307, "headers": [("Location", "/stolen")]},
    "a redirect that has tokens": {"status": 302, "headers": [("Location", "/stolen")], "json": {"access_token": "a"}},
    "more than max_bytes": {"body": b'{"access_token": "' + b"a" * (1 << 21)},
    "much in few bytes": {"body": gzip.compress(b" " * (1 << 25)), "headers": GZIP},
    "what is not gzip": {"body": b"{}", "headers": GZIP},
    "a page": {"body": "<html>"},
    "no object": {"json": [{"access_token": "a"}]},
    "a deep one": {"body": '{"a":' * 100_000},
    "a status without a body": {"status": 204},
    "an error without a code": {"status": 400, "json": {"error": ["invalid_grant"]}},
}


@pytest.mark.one_protocol(reason="the provider's side")
def test_what_is_no_response_of_a_token_endpoint_makes_no_session_and_is_not_followed(
    start: StartOidc, provider: Provider, upstream: ScriptedUpstream
) -> None:
    provider.metadata_changes = {"token_endpoint": f"{upstream.url}/token"}
    gateway = start()

    found = {}
    for name, answer in ANSWERS.items():
        browser = Browser(gateway)
        callback = browser.to_provider("/page")
        upstream.answer_with(**answer)
        response = browser.follow(callback)
        found[name] = response.status, "retry-after" in response.headers, "gateway-session" in browser.cookies

    assert found == dict.fromkeys(ANSWERS, (503, True, False))
    assert {request.target for request in upstream.requests} == {"/token"}


@pytest.mark.one_protocol(reason="the provider's side")
def test_a_callback_that_comes_many_times_at_once_makes_one_session(browser: Browser, provider: Provider) -> None:
    callback = browser.to_provider("/page")

    def follow(_: int) -> bool:
        one = Browser(browser.gateway)
        one.cookies = dict(browser.cookies)
        one.follow(callback)
        return "gateway-session" in one.cookies

    with ThreadPoolExecutor(10) as pool:
        sessions = list(pool.map(follow, range(20)))

    assert sum(sessions) == 1
    assert provider.requests["/token"] == 1, "a code that comes twice would end the tokens of the first"
