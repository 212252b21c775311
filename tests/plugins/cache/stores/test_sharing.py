"""Several gateways on one real Valkey."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from gateway_plugin_sdk.testing import (
    RunningGateway,
    ScriptedUpstream,
    StartGateway,
    UpstreamAnswer,
    eventually,
    one_route,
)

from tests.plugins.cache.conftest import PLUGINS
from tests.plugins.ratelimit.stores.conftest import Valkey, valkey

__all__ = ["valkey"]

FRESH = [("Cache-Control", "max-age=60"), ("ETag", '"1"')]
Pair = Callable[..., RunningGateway]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    running = Valkey(tmp_path_factory.mktemp("valkey"))
    yield running
    running.kill()


@pytest.fixture
def start(gateway: StartGateway, upstream: ScriptedUpstream, server: Valkey, request: pytest.FixtureRequest) -> Pair:
    """Return a function that starts gateways with one cache; their keys begin with the name of the test."""
    numbers = iter(range(1, 1000))
    upstream.answer_by(lambda _: UpstreamAnswer(200, str(next(numbers)), [*FRESH, ("Cache-Tag", "t")]))
    prefix = f"{request.node.name.replace('[', '-')}:"

    def run(url: str = server.url, timeout: str = "5s", **config: Any) -> RunningGateway:
        options = {"url": url, "timeout": timeout, "prefix": prefix}
        return gateway(
            one_route(upstream.url, {"name": "cache", "config": {"valkey": options, **config}}), plugins=PLUGINS
        )

    return run


def shared(running: RunningGateway, result: str = "stored") -> float:
    name = f'gateway_cache_valkey_total{{binding="cache",result="{result}",route="test"}}'
    return next((float(line.split()[-1]) for line in running.metrics().splitlines() if line.startswith(name)), 0.0)


def get(running: RunningGateway, target: str = "/", **headers: str) -> bytes:
    return running.get(
        target, headers={"Host": "a", **{name.replace("_", "-"): value for name, value in headers.items()}}
    ).body


def test_what_one_gateway_stored_the_other_one_sends(start: Pair, upstream: ScriptedUpstream) -> None:
    one, other = start(), start()
    get(one, "/a")
    eventually(lambda: shared(one))

    reply = other.get("/a", headers={"Host": "a"})

    assert (reply.body, reply.headers["cache-status"]) == (b"1", "gateway; hit; detail=valkey; ttl=59")
    assert get(other, "/a") == b"1"
    assert len(upstream.requests) == 1


def test_variants_keep_apart_there_as_well(start: Pair, upstream: ScriptedUpstream) -> None:
    upstream.answer_by(lambda got: UpstreamAnswer(200, got.headers.get("x-kind", ""), [*FRESH, ("Vary", "X-Kind")]))
    one, other = start(), start()
    for kind in ("a", "b"):
        get(one, "/", X_Kind=kind)
    eventually(lambda: shared(one) == 2)

    assert [get(other, "/", X_Kind=kind) for kind in ("a", "b")] == [b"a", b"b"]
    assert len(upstream.requests) == 2


def test_options_keep_apart_there_as_well(start: Pair, upstream: ScriptedUpstream) -> None:
    one, other = start(), start(credentials=["X-Secret"])
    get(one)
    eventually(lambda: shared(one))

    assert get(other) == b"2"


@pytest.mark.parametrize("choice", [{"url": "/a"}, {"tag": "t"}, {"prefix": "/"}, {}, {"tag": "t", "soft": True}])
def test_a_purge_reaches_the_other_gateway_and_what_is_shared(start: Pair, choice: dict[str, Any]) -> None:
    one, other = start(), start()
    get(one, "/a")
    eventually(lambda: shared(one))
    assert get(other, "/a") == b"1"

    one.call("test/cache", "purge", **choice)

    third = start()
    assert get(third, "/a") == b"2"
    eventually(lambda: get(other, "/a") != b"1")


def test_an_unsafe_request_at_one_gateway_invalidates_at_the_other(start: Pair) -> None:
    one, other = start(), start()
    get(one, "/a")
    eventually(lambda: shared(one))
    assert get(other, "/a") == b"1"

    one.request("POST", "/a", headers={"Host": "a"})

    assert get(start(), "/a") == b"3"
    eventually(lambda: get(other, "/a") != b"1")


def test_a_server_that_is_away_is_a_miss_and_comes_back(
    start: Pair, valkey: Valkey, caplog: pytest.LogCaptureFixture
) -> None:
    running = start(url=valkey.url)
    valkey.kill()

    assert [get(running, "/a") for _ in range(2)] == [b"1", b"1"]
    assert shared(running, "away") >= 1
    assert "valkey does not respond" in caplog.text

    valkey.start()
    eventually(lambda: "valkey responds again" in caplog.text)


def test_a_server_that_never_responds_delays_no_request_for_long(start: Pair) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        running = start(url=f"valkey://127.0.0.1:{silent.getsockname()[1]}/0", timeout="100ms")

        # Those after the first one do not ask.
        assert [get(running, f"/{number}") for number in range(3)] == [b"1", b"2", b"3"]


def values(server: Valkey, prefix: str) -> dict[str, str]:
    found = server.command("KEYS", f"{prefix}*").split("\r\n")
    return {key: server.command("GET", key) for key in found if key.startswith(prefix) and ":log:" not in key}


def test_broken_and_hostile_values_are_misses(start: Pair, server: Valkey, request: pytest.FixtureRequest) -> None:
    one = start()
    get(one, "/")
    eventually(lambda: shared(one))
    [(key, reply)] = values(server, f"{request.node.name.replace('[', '-')}:").items()
    form, head, body = reply.split("\r\n", 1)[1].removesuffix("\r\n").split("\n")
    good = json.loads(head)
    changes: list[dict[str, Any]] = [
        {"key": "1:other"}, {"url": "http://a/other"}, {"status": 500}, {"status": "200"}, {"length": 9},
        {"headers": [["X", "a\r\nSet-Cookie: b"]]}, {"headers": [["Cache-Control", "private, max-age=9"]]},
        {"headers": 1}, {"generated_at": 1e300}, {"generated_at": None}, {"vary": ["accept"]}, {"vary": ["*"]},
        {"seen": [2**70, 0]}, {"seen": "x"}, {"received": float("nan")},
    ]  # fmt: skip
    texts = [
        "", "x", "1E", f"1E\n{'[' * 100_000}\n", f"2E\n{head}\n{body}", f"1V\n{head}", f"{form}\n{head}\n{body}more",
        *[f"{form}\n{json.dumps({**good, **change})}\n{body}" for change in changes],
    ]  # fmt: skip
    victim = start()

    for text in texts:
        server.command("SET", key, text)
        victim.call("test/cache", "invalidate", urls=["http://a/"])
        assert get(victim, "/") not in {b"1", b""}, text[:200]
    server.command("DEL", key)
    server.command("LPUSH", key, "x")
    victim.call("test/cache", "invalidate", urls=["http://a/"])
    assert get(victim, "/") != b"1"
