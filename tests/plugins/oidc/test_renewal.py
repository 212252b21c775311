"""Refreshes: ahead, once for all who ask, and what becomes of a session when they fail."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from types import SimpleNamespace
from typing import Any, cast

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from gateway_core.tasks import spawn
from gateway_plugin_oidc import Oidc
from gateway_plugin_oidc.endpoints import Endpoints
from gateway_plugin_oidc.id_tokens import expected_of
from gateway_plugin_oidc.provider import Provider as KnownProvider
from gateway_plugin_oidc.provider import ProviderDocument
from gateway_plugin_oidc.renewal import Renewals
from gateway_plugin_oidc.sealing import Sealer
from gateway_plugin_oidc.session import Session
from gateway_plugin_sdk.testing import ManualClock, RunningGateway, ScriptedUpstream, eventually, one_route
from gateway_tokens.fetch import FetchOptions
from gateway_tokens.keys import KeySet
from gateway_tokens.loaders import Client

from tests.plugins.oidc.conftest import HOST, KEY, Browser, StartOidc
from tests.plugins.oidc.provider import Provider, RefreshToken

pytestmark = pytest.mark.in_turn


def token_of(upstream: ScriptedUpstream) -> str:
    return upstream.last.headers["x-token"]


@pytest.fixture
def browser(start: StartOidc) -> Browser:
    made = Browser(start(access_token_header="X-Token"))
    made.visit("/")
    return made


def test_tokens_are_renewed_ahead_without_a_wait(
    browser: Browser, provider: Provider, upstream: ScriptedUpstream, clock: ManualClock
) -> None:
    first, cookie = token_of(upstream), browser.cookies["gateway-session"]
    provider.refreshing.clear()
    clock.advance(3600 - 59)

    assert browser.get("/").status == 200
    assert token_of(upstream) == first, "the old one still holds"
    provider.refreshing.set()

    eventually(lambda: browser.get("/").status == 200 and token_of(upstream) != first)
    assert browser.cookies["gateway-session"] != cookie
    assert provider.requests["refresh"] == 1
    browser.get("/")
    assert provider.requests["refresh"] == 1


def test_the_response_to_the_request_that_renews_has_the_new_session(
    browser: Browser, provider: Provider, upstream: ScriptedUpstream, clock: ManualClock
) -> None:
    # Or a user who is away for longer than the result is kept comes back with a refresh token that is used up.
    first, cookie = token_of(upstream), browser.cookies["gateway-session"]
    clock.advance(3600 - 59)

    assert browser.get("/").status == 200
    assert browser.cookies["gateway-session"] != cookie
    clock.advance(600)

    assert browser.get("/").status == 200
    assert token_of(upstream) != first
    assert provider.requests["refresh"] == 1


@pytest.mark.parametrize("keys", [[KEY], ["n" * 32, KEY]])
def test_while_a_refresh_is_under_way_no_response_has_the_old_session(
    start: StartOidc, provider: Provider, clock: ManualClock, keys: list[str]
) -> None:
    # It could reach the browser after the new one, and the old refresh token is used up.
    before = Browser(start())
    before.visit("/")
    browser = Browser(start(session={"idle_timeout": "2h"}, keys=keys))
    browser.cookies = dict(before.cookies)
    provider.refreshing.clear()
    clock.advance(3600 - 59)

    assert [browser.get("/").headers.get_all("set-cookie") for _ in range(2)] == [[], []]
    provider.refreshing.set()

    eventually(lambda: browser.get("/").status == 200 and browser.cookies != before.cookies)
    assert provider.requests["refresh"] == 1


def test_a_refresh_token_that_stays_the_same_is_used_again(
    start: StartOidc, provider: Provider, upstream: ScriptedUpstream, clock: ManualClock
) -> None:
    provider.expires_in = 30
    browser = Browser(start(access_token_header="X-Token"))
    browser.visit("/")
    (kept,) = provider.refresh_tokens.values()

    def keep_refresh_token(tokens: dict[str, Any]) -> None:
        del tokens["refresh_token"]
        provider.refresh_tokens[kept.text] = kept

    provider.tamper_tokens = keep_refresh_token
    seen = []
    for _ in range(3):
        clock.advance(31)
        assert browser.get("/").status == 200
        seen.append(token_of(upstream))

    assert len(set(seen)) == 3, "the result of one refresh is not that of the next"


def test_of_fifty_requests_at_once_one_renews_and_all_go_on(
    browser: Browser, provider: Provider, upstream: ScriptedUpstream, clock: ManualClock
) -> None:
    first, cookies = token_of(upstream), dict(browser.cookies)
    provider.refreshing.clear()
    clock.advance(3601)
    upstream.clear()

    def visit(_: int) -> tuple[int, bool]:
        one = Browser(browser.gateway)
        one.cookies = dict(cookies)
        return one.get("/").status, one.cookies != cookies

    with ThreadPoolExecutor(50) as pool:
        answers = pool.map(visit, range(50))
        eventually(lambda: provider.requests["refresh"] == 1)
        provider.refreshing.set()
        assert list(answers) == [(200, True)] * 50

    assert provider.requests["refresh"] == 1
    tokens = {request.headers["x-token"] for request in upstream.requests}
    assert len(tokens) == 1
    assert first not in tokens


def test_an_old_cookie_finds_the_result_of_its_refresh(
    browser: Browser, provider: Provider, upstream: ScriptedUpstream, clock: ManualClock
) -> None:
    old = dict(browser.cookies)
    clock.advance(3601)
    browser.get("/")
    renewed = token_of(upstream)

    browser.cookies = dict(old)

    assert browser.get("/").status == 200
    assert (token_of(upstream), provider.requests["refresh"]) == (renewed, 1)
    assert browser.cookies != old


def test_a_session_that_the_provider_ended_is_over(browser: Browser, provider: Provider, clock: ManualClock) -> None:
    provider.refresh_tokens.clear()
    clock.advance(3601)

    assert browser.get("/").status == 401
    assert not browser.cookies


def test_a_session_that_the_provider_ended_is_over_at_once(
    browser: Browser, provider: Provider, clock: ManualClock
) -> None:
    provider.refresh_tokens.clear()
    clock.advance(3600 - 30)

    eventually(lambda: browser.get("/").status == 401)

    assert provider.requests["refresh"] == 1, "not once for each request until the old token ends"


class Memory:
    """Values that remember how long they are kept, and which of them were there when one was deleted."""

    def __init__(self) -> None:
        self.values: dict[str, bytes] = {}
        self.ttls: dict[str, float | None] = {}
        self.there_at_deletion: list[str] = []

    async def get(self, key: str) -> bytes | None:
        return self.values.get(key)

    async def put(self, key: str, value: bytes, ttl: float | None = None) -> None:
        self.values[key], self.ttls[key] = value, ttl

    async def add(self, key: str, value: bytes, ttl: float | None = None) -> bool:
        return self.values.setdefault(key, value) is value

    async def delete(self, key: str) -> None:
        self.there_at_deletion = [name.partition(":")[0] for name in self.values]
        del self.values[key]


SEALER = Sealer([KEY], ())


async def renewed_with(values: Memory, provider: Provider) -> Session | None:
    """Renew a session whose refresh token is ``old``."""
    endpoints = Endpoints(Client(FetchOptions()), provider.client_id, provider.client_secrets[0], "basic")
    known = cast(
        "ProviderDocument", SimpleNamespace(current=lambda: KnownProvider("", f"{provider.url}/token", KeySet(())))
    )
    expected = expected_of(provider.issuer, (), provider.client_id, 60.0)
    renewals = Renewals(
        endpoints, known, expected, SEALER, values, clock=ManualClock(), log=logging.getLogger(),
        spawn=partial(spawn, name="refresh"), refresh_before=60.0, longest=28800.0, wait=15.0,
    )  # fmt: skip
    flight = renewals.begin(Session("id", provider.issuer, "alice", 0.0, 0.0, refresh_token="old"), "host")
    return await flight if flight is not None else None


async def test_the_lock_of_a_refresh_is_removed_when_its_result_is_there(provider: Provider) -> None:
    # Another gateway that got the lock before would use the old token a second time.
    provider.refresh_tokens["old"] = RefreshToken("old", "alice", "openid")
    provider.tamper_tokens = lambda tokens: tokens.pop("id_token")
    values = Memory()

    renewed = await renewed_with(values, provider)

    assert renewed is not None
    assert renewed.refresh_token != "old"
    assert sorted(values.there_at_deletion) == ["renewed", "renewing"]
    assert [name.partition(":")[0] for name in values.values] == ["renewed"]


async def test_the_result_of_a_refresh_is_kept_sealed_for_a_minute_under_a_hash_of_the_old_token(
    provider: Provider,
) -> None:
    provider.refresh_tokens["old"] = RefreshToken("old", "alice", "openid")
    provider.tamper_tokens = lambda tokens: tokens.pop("id_token")
    values = Memory()

    renewed = await renewed_with(values, provider)

    ((key, sealed),) = values.values.items()
    digest = hashlib.sha256(b"id\0old").hexdigest()
    assert (key, values.ttls[key]) == (f"renewed:{digest}", 60.0)
    opened = SEALER.unseal(sealed, "renewed", "host")
    assert renewed is not None
    assert opened == renewed.to_bytes()


async def test_a_refresh_token_that_the_provider_refuses_may_have_been_used_by_another_gateway(
    provider: Provider,
) -> None:
    # Its lock is gone, or never came to us: only after the refusal is its result there.
    newer = Session("id", provider.issuer, "alice", 0.0, 0.0, access_token="new", refresh_token="newer")

    class Shared(Memory):
        async def get(self, key: str) -> bytes | None:
            is_there = key.startswith("renewed:") and provider.requests["refresh"] > 0
            return SEALER.seal(newer.to_bytes(), "renewed", "host") if is_there else None

    shared, alone = Shared(), Memory()

    assert await renewed_with(shared, provider) == newer
    assert "ended:id" not in shared.values
    assert await renewed_with(alone, provider) is None
    assert "ended:id" in alone.values, "where there is no result, the session is over"


def test_without_the_provider_a_session_goes_on_with_the_old_token(
    browser: Browser, provider: Provider, upstream: ScriptedUpstream, clock: ManualClock
) -> None:
    first = token_of(upstream)
    provider.is_away = True
    clock.advance(3601)

    assert [browser.get("/").status for _ in range(3)] == [200] * 3
    assert token_of(upstream) == first
    assert provider.requests["/token"] == 2, "it is left alone for a while"
    provider.is_away = False
    clock.advance(6)
    assert browser.get("/").status == 200
    assert token_of(upstream) != first


def test_a_key_that_cannot_be_loaded_ends_no_session_and_lets_nobody_in(
    browser: Browser, provider: Provider, clock: ManualClock
) -> None:
    provider.key, provider.key_id = ec.generate_private_key(ec.SECP256R1()), "k2"
    provider.metadata_changes = {"jwks_uri": f"{provider.url}/nothing"}
    clock.advance(3601)

    assert browser.get("/").status == 200
    stranger = Browser(browser.gateway)
    assert stranger.follow(stranger.to_provider()).status == 503, "whether the token is right is not known"


def test_a_wrong_secret_of_ours_ends_no_session(browser: Browser, provider: Provider, clock: ManualClock) -> None:
    provider.client_secrets = ["another"]
    clock.advance(3601)

    assert browser.get("/").status == 200


def test_a_refresh_that_gives_another_user_is_refused(browser: Browser, provider: Provider, clock: ManualClock) -> None:
    provider.tamper_claims = lambda claims: claims.update(sub="mallory")
    clock.advance(3601)

    assert browser.get("/").status == 401


@pytest.mark.parametrize("kept", [[], ["sub"]], ids=["every claim", "few claims"])
def test_an_id_token_of_a_refresh_has_the_nonce_of_the_login_or_none(
    start: StartOidc, provider: Provider, clock: ManualClock, kept: list[str]
) -> None:
    nonces: list[str] = []
    provider.tamper_claims = lambda claims: nonces.append(claims["nonce"])
    browser = Browser(start(session={"claims": kept}))
    browser.visit("/")

    def status(change: Callable[[dict[str, Any]], object]) -> int:
        provider.tamper_claims = change
        clock.advance(3601)
        return browser.get("/").status

    assert status(lambda claims: claims.update(nonce=nonces[0])) == 200
    assert status(lambda _: None) == 200
    assert status(lambda claims: claims.update(nonce=nonces[0])) == 200
    assert provider.requests["refresh"] == 3
    assert status(lambda claims: claims.update(nonce="another")) == 401


def test_an_access_token_that_cannot_be_renewed_ends_with_its_time(
    start: StartOidc, provider: Provider, clock: ManualClock
) -> None:
    provider.gives_refresh_tokens = False
    forwarding, plain = Browser(start(access_token_header="X-Token")), Browser(start())
    forwarding.visit("/")
    plain.visit("/")
    clock.advance(3601)

    assert forwarding.get("/").status == 401
    assert plain.get("/").status == 200, "the session itself holds"


@pytest.mark.parametrize("expires_in", [None, "3600", 0, -1, True, "soon", 1e400])
def test_odd_lifetimes_are_taken_as_far_as_they_make_sense(
    start: StartOidc, provider: Provider, expires_in: Any
) -> None:
    provider.expires_in = None if expires_in == 1e400 else expires_in

    browser = Browser(start())

    assert browser.visit("/").status == 200
    assert browser.get("/").status == 200
    assert provider.requests["refresh"] == 0


def test_two_bindings_keep_their_sessions_apart(
    options: dict[str, Any], provider: Provider, upstream: ScriptedUpstream, clock: ManualClock
) -> None:
    with Provider() as other:
        other.user, other.redirect_uris = "bob", [f"http://{HOST}/b/cb"]
        second = {
            **options, "issuer": other.issuer, "redirect_uri": other.redirect_uris[0], "logout_path": "/b/logout",
            "cookie": {"name": "b"}, "claims_to_headers": {"X-Second": "sub"},
        }  # fmt: skip
        document = one_route(upstream.url)
        document["plugins"] = [{"name": "oidc", "config": {**options, "claims_to_headers": {"X-First": "sub"}}}]
        document["routes"][0]["plugins"] = [{"name": "oidc", "id": "second", "config": second}]
        with RunningGateway(document, plugins=[Oidc], clock=clock) as gateway:
            browser = Browser(gateway)
            browser.visit("/")
            before = dict(browser.cookies)
            clock.advance(3600 - 59)

            answer = browser.get("/")

            names = [field.partition("=")[0] for field in answer.headers.get_all("set-cookie")]
            assert sorted(names) == sorted(before) == ["b", "gateway-session"]
            clock.advance(300)
            assert browser.get("/").status == 200
            assert (upstream.last.headers["x-first"], upstream.last.headers["x-second"]) == ("alice", "bob")
