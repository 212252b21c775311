"""Which requests share a response: those with credentials, and those that come together."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from gateway_plugin_cache import Cache
from gateway_plugin_sdk import BodyFilter, Identity, Plugin, Request, Response, hookimpl
from gateway_plugin_sdk.testing import (
    InvalidConfigError,
    ReceivedRequest,
    ScriptedUpstream,
    StartGateway,
    UpstreamAnswer,
    eventually,
    one_route,
)

from tests.plugins.cache.conftest import CachedRoute

FRESH = [("Cache-Control", "max-age=60"), ("ETag", '"1"')]
SECRET = "a secret of more than thirty-two characters"
KEYS = {"name": "auth", "config": {"providers": {"k": {"scheme": "api-key", "keys": [
    {"subject": "alice", "sha256": "2bd806c97f0e00af1a1fc3328fa763a9269723c8db8fac4f93af71db186d6e90"},
    {"subject": "bob", "sha256": "81b637d8fcd2c6da6359e6963113a1170de795e4b725b84d1e0b4cfd9ec58ce9"},
]}}, "require": "k"}}  # fmt: skip
"""API keys whose texts are the names."""


def echo(*fields: tuple[str, str]) -> Any:
    """Return a script whose body is the request's number."""
    numbers = iter(range(1, 1000))
    return lambda _: UpstreamAnswer(200, str(next(numbers)), [*FRESH, *fields])


# -- credentials


@pytest.mark.parametrize("field", ["Authorization", "X-Api-Key", "x_api_key"])
def test_responses_to_requests_with_credentials_are_private_unless_they_say_otherwise(
    cached: CachedRoute, field: str
) -> None:
    route = cached()
    route.upstream.answer_by(echo())

    assert [route.get("/", {field: "Bearer a"}).body for _ in range(2)] == [b"1", b"2"]
    assert [route.get("/").body for _ in range(2)] == [b"3", b"3"]
    assert route.get("/", {field: "Bearer a"}).body == b"4"


@pytest.mark.parametrize("more", ["public", "s-maxage=60", "must-revalidate"])
def test_responses_that_may_be_shared_among_users_are(cached: CachedRoute, more: str) -> None:
    route = cached()
    route.upstream.answer_with(200, "x", [("Cache-Control", f"max-age=60, {more}")])
    route.get("/", {"Authorization": "Bearer a"})

    assert not route.reaches_upstream("/", {"Authorization": "Bearer b"})
    assert not route.reaches_upstream("/")


def test_an_identity_counts_as_authorization(cached: CachedRoute) -> None:
    route = cached(before=[KEYS])
    route.upstream.answer_by(echo())

    bodies = [route.get("/", {"X-Api-Key": name}).body for name in ("alice", "bob", "alice")]

    assert bodies == [b"1", b"2", b"3"]


class Login(Plugin[None]):
    """Finds an identity in a field that no one knows as credentials."""

    name = "login"
    provides = frozenset({"identity"})

    @hookimpl
    def gateway_pre_proxy(self, request: Request) -> None:
        if (name := request.headers.get("x-user")) is not None:
            request.identity = Identity(name, "test")


def test_check_refuses_authentication_behind_the_cache(gateway: StartGateway, upstream: ScriptedUpstream) -> None:
    with pytest.raises(InvalidConfigError, match=r'"cache" at .* gives stored responses without asking "login"'):
        gateway(one_route(upstream.url, {"name": "cache"}, {"name": "login"}), plugins=[Cache, Login])


def test_an_identity_of_any_plugin_counts_as_authorization(gateway: StartGateway, upstream: ScriptedUpstream) -> None:
    running = gateway(one_route(upstream.url, {"name": "login"}, {"name": "cache"}), plugins=[Cache, Login])
    upstream.answer_by(echo())

    assert [running.get("/", headers={"X-User": name}).body for name in ("a", "b", "a")] == [b"1", b"2", b"3"]


# -- requests that come together


class Gate:
    """An upstream that responds once `opened` is set."""

    def __init__(self, fields: Sequence[tuple[str, str]] = FRESH) -> None:
        self.fields = list(fields)
        self.opened = threading.Event()

    async def __call__(self, request: ReceivedRequest) -> UpstreamAnswer:
        await asyncio.to_thread(self.opened.wait, 30)
        return UpstreamAnswer(200, request.target + request.headers.get("accept", ""), self.fields)


def together(route: Any, count: int, headers: Any = ()) -> tuple[ThreadPoolExecutor, list[Any]]:
    clients = ThreadPoolExecutor(count)
    return clients, [clients.submit(route.get, "/", headers) for _ in range(count)]


def test_requests_that_come_together_share_one_fetch(cached: CachedRoute) -> None:
    route, gate = cached(), Gate()
    route.upstream.answer_by(gate)

    clients, replies = together(route, 6)
    eventually(lambda: route.running.call("test/cache", "stats")["waiting"] == 5)
    gate.opened.set()

    with clients:
        assert {each.result().body for each in replies} == {b"/"}
    assert len(route.upstream.requests) == 1


def test_those_who_wait_share_only_what_may_be_stored(cached: CachedRoute) -> None:
    route, gate = cached(), Gate([("Cache-Control", "private")])
    route.upstream.answer_by(gate)

    clients, replies = together(route, 4)
    eventually(lambda: route.running.call("test/cache", "stats")["waiting"] == 3)
    gate.opened.set()

    with clients:
        assert [each.result().status for each in replies] == [200] * 4
    assert len(route.upstream.requests) == 4


def test_a_url_whose_response_was_not_stored_is_passed_at_once_for_a_while(cached: CachedRoute) -> None:
    route, gate = cached(collapse={"pass_for": "10s"}), Gate([("Cache-Control", "private")])
    route.upstream.answer_with(200, "x", gate.fields)
    route.get("/")
    route.upstream.clear()
    route.upstream.answer_by(gate)

    clients, replies = together(route, 3)
    route.upstream.wait_for(3)  # none waits for another one
    gate.opened.set()
    with clients:
        assert [each.result().status for each in replies] == [200] * 3

    route.pass_time(11)
    route.upstream.answer_with(200, "x", FRESH)
    route.get("/")
    assert not route.reaches_upstream("/")


def test_another_request_fetches_when_the_first_client_leaves(cached: CachedRoute) -> None:
    route, gate = cached(), Gate()
    route.upstream.answer_by(gate)
    with socket.create_connection(("127.0.0.1", route.running.port)) as leaver:
        leaver.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # closes with RST
        leaver.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        route.upstream.wait_for(1)
        clients, replies = together(route, 2, {"Host": "a"})
        eventually(lambda: route.running.call("test/cache", "stats")["waiting"] == 2)

    route.upstream.wait_for(2)
    gate.opened.set()

    with clients:
        assert {each.result().body for each in replies} == {b"/"}
    assert len(route.upstream.requests) == 2


def test_waiting_is_bounded(cached: CachedRoute) -> None:
    route, gate = cached(collapse={"timeout": "100ms"}), Gate()
    route.upstream.answer_by(gate)

    clients, replies = together(route, 2)
    route.upstream.wait_for(2)
    gate.opened.set()

    with clients:
        assert [each.result().status for each in replies] == [200, 200]


class Twice(BodyFilter):
    """Sends each byte twice, in pieces of one."""

    def feed(self, data: bytes) -> list[bytes]:
        return [data[index : index + 1] for index in range(len(data)) for _ in range(2)]


class Doubles(Plugin[None]):
    """Makes bodies longer than their head said."""

    name = "doubles"

    @hookimpl
    def gateway_response(self, request: Request, response: Response) -> None:
        response.add_body_filter(Twice)


def test_what_a_binding_behind_the_cache_makes_of_a_body_is_stored_whole(
    gateway: StartGateway, upstream: ScriptedUpstream
) -> None:
    running = gateway(one_route(upstream.url, {"name": "cache"}, {"name": "doubles"}), plugins=[Cache, Doubles])
    upstream.answer_with(200, "abcd", FRESH)

    assert running.get("/").body == b"aabbccdd"
    eventually(lambda: running.call("test/cache", "stats")["entries"] == 1)
    again = running.get("/")

    assert (again.body, "hit" in again.headers["cache-status"]) == (b"aabbccdd", True)
