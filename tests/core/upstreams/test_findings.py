"""One process watches, another one serves: what is found goes between them as JSON."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from gateway_core.clock import SystemClock
from gateway_core.config import ConfigModel, DiscoveryConfig, UpstreamConfig
from gateway_core.upstreams import Discovered, DiscoveryContext, EndpointSpec, LiveUpstream
from gateway_core.upstreams.discovery.kept_endpoints import KeptEndpoints
from gateway_core.upstreams.finding_store import Finding, FindingStore
from gateway_core.upstreams.findings import Publisher, found_by
from gateway_core.upstreams.monitor import LocalMonitor, discovery_key
from gateway_core.upstreams.received import ReceivedMonitor
from gateway_core.upstreams.registry_session import RegistrySession
from gateway_core.upstreams.resolver import Resolver
from gateway_core.upstreams.runtime import UpstreamRuntime

A, B, C = (EndpointSpec("http", f"10.0.0.{number}", 80, id=name) for number, name in enumerate("abc", 1))


class Options(ConfigModel):
    of: str = ""


class Registry:
    """A discovery whose results the test puts; all upstreams find the same."""

    config_model = Options

    def __init__(self) -> None:
        self.results: list[asyncio.Queue[Discovered | Exception]] = []

    def __call__(self, config: Options, context: DiscoveryContext) -> Registry:
        return self

    def put(self, result: Discovered | Exception) -> None:
        for queue in self.results:
            queue.put_nowait(result)

    async def watch(self) -> AsyncIterator[Discovered]:
        queue: asyncio.Queue[Discovered | Exception] = asyncio.Queue()
        self.results.append(queue)
        try:
            while True:
                result = await queue.get()
                if isinstance(result, Exception):
                    raise result
                yield result
        finally:
            self.results.remove(queue)


class Gateway:
    """A process that watches and one that serves, joined by a channel that carries text."""

    def __init__(self, registry: Registry, kept: KeptEndpoints | None = None) -> None:
        self.sent: list[str] = []
        self.store = FindingStore()
        self.is_connected = True
        self.session = RegistrySession(Resolver())
        local = LocalMonitor(
            SystemClock(), discoveries={"registry": registry}, resolver=Resolver(), session=self.session
        )
        if kept is not None:
            local.keep(kept)
        self.publisher = Publisher(local, self._send)
        self.received = ReceivedMonitor(SystemClock())
        self.runtime = UpstreamRuntime(SystemClock(), monitor=self.received)
        self.opened: list[LiveUpstream] = []

    def _send(self, finding: Finding) -> None:
        self.sent.append(json.dumps(finding))
        self.store.apply(json.loads(self.sent[-1]))
        if self.is_connected:
            self.received.receive(json.loads(self.sent[-1]))

    def open(self, config: UpstreamConfig) -> LiveUpstream:
        self.opened.append(self.runtime.open(config))
        return self.opened[-1]

    async def aclose(self) -> None:
        for live in self.opened:
            await live.aclose()
        await self.publisher.aclose()
        await self.runtime.aclose()
        await self.session.aclose()


@pytest.fixture
def registry() -> Registry:
    return Registry()


@pytest.fixture
async def gateway(registry: Registry) -> AsyncIterator[Gateway]:
    gateway = Gateway(registry)
    yield gateway
    await gateway.aclose()


def config(name: str = "users", **settings: Any) -> UpstreamConfig:
    return UpstreamConfig.model_validate({"name": name, "discovery": {"name": "registry"}, **settings})


def ids(live: LiveUpstream) -> set[str]:
    return {endpoint.id for endpoint in live.upstream.endpoints}


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not holds():  # noqa: ASYNC110 - the state of the code under test has no event
            await asyncio.sleep(0.005)


async def test_what_one_process_discovers_another_one_uses(gateway: Gateway, registry: Registry) -> None:
    users = config()
    await gateway.publisher.use([users])
    await until(lambda: bool(registry.results))
    live = gateway.open(users)

    for found in ((A, B), (B, C), ()):
        registry.put(Discovered(found))
        await until(lambda found=found: ids(live) == {spec.id for spec in found})  # type: ignore[misc]

    changes = [change for text in gateway.sent if (change := json.loads(text)).get("put") or change.get("remove")]
    assert [(len(change["put"]), change["remove"]) for change in changes] == [
        (2, []),
        (1, ["a"]),
        (0, ["b", "c"]),
    ]


async def test_a_process_that_starts_later_learns_everything(gateway: Gateway, registry: Registry) -> None:
    gateway.is_connected = False
    users = config(health_check={"type": "tcp"}, strategy="weighted-round-robin")
    await gateway.publisher.use([users])
    await until(lambda: bool(registry.results))
    registry.put(Discovered((A, B), strategy="least-requests"))
    await until(lambda: any('"put":[[' in text.replace(" ", "") for text in gateway.sent))

    for finding in gateway.store.everything():
        gateway.received.receive(json.loads(json.dumps(finding)))
    live = gateway.open(users)

    assert await live.wait_for_endpoints(10)
    assert (ids(live), live.upstream.strategy_name) == ({"a", "b"}, "least-requests")


async def test_who_serves_keeps_what_there_is_when_who_watches_ends_and_begins_again(
    gateway: Gateway, registry: Registry
) -> None:
    users = config()
    await gateway.publisher.use([users])
    await until(lambda: bool(registry.results))
    live = gateway.open(users)
    registry.put(Discovered((A, B)))
    await until(lambda: ids(live) == {"a", "b"})

    gateway.received.receive({"kind": "lost", "reason": "the watcher has ended"})
    assert live.feed is not None
    assert (ids(live), live.feed.is_stale, live.feed.reason) == ({"a", "b"}, True, "the watcher has ended")

    # The new one knows nothing at first, and its registry does not respond.
    again = Gateway(registry)
    again.received, again.store = gateway.received, gateway.store
    await again.publisher.use([users])
    await until(lambda: len(registry.results) == 2)
    registry.results[1].put_nowait(RuntimeError("away"))
    await until(lambda: live.feed is not None and "away" in live.feed.reason)
    assert ids(live) == {"a", "b"}

    await until(lambda: len(registry.results) == 2)
    registry.results[1].put_nowait(Discovered((B, C)))
    await until(lambda: ids(live) == {"b", "c"} and live.feed is not None and not live.feed.is_stale)
    assert [fields[3] for fields in gateway.store.everything()[0]["put"]] == ["b", "c"]
    await again.aclose()


async def test_another_configuration_keeps_watching_what_both_have_and_ends_the_rest(
    gateway: Gateway, registry: Registry
) -> None:
    await gateway.publisher.use([config("users"), config("orders")])
    await until(lambda: len(registry.results) == 2)
    kept = set(map(id, registry.results))

    await gateway.publisher.use([config("users"), config("carts")])
    await until(lambda: len(registry.results) == 2 and set(map(id, registry.results)) != kept)

    assert len(kept & set(map(id, registry.results))) == 1
    assert [json.loads(text)["kind"] for text in gateway.sent].count("gone") == 1


async def test_a_configuration_that_cannot_be_watched_leaves_what_was_watched(
    gateway: Gateway, registry: Registry
) -> None:
    await gateway.publisher.use([config("users")])
    await until(lambda: len(registry.results) == 1)

    with pytest.raises(ValueError, match="nowhere"):
        await gateway.publisher.use([config("carts"), config("orders", discovery={"name": "nowhere"})])

    assert len(registry.results) == 1
    assert len(gateway.store.states) == 1


async def test_one_process_checks_an_address_and_all_its_upstreams_follow(gateway: Gateway) -> None:
    status, asked = 500, 0

    async def respond(_: web.Request) -> web.Response:
        nonlocal asked
        asked += 1
        return web.Response(status=status)

    app = web.Application()
    app.router.add_get("/health", respond)
    async with TestServer(app, host="127.0.0.1") as server:
        check: Mapping[str, Any] = {"path": "/health", "interval": "20ms", "timeout": "5s", "healthy_threshold": 1}
        url = [{"url": f"http://127.0.0.1:{server.port}"}]
        configs = [config(name, endpoints=url, discovery=None, health_check=check) for name in ("users", "orders")]
        await gateway.publisher.use(configs)
        endpoints = [gateway.open(each).upstream.endpoints[0] for each in configs]

        await until(lambda: not any(endpoint.healthy for endpoint in endpoints))
        assert endpoints[0].health is endpoints[1].health
        assert endpoints[0].health.last_check_error == "responded 500, expected 200-399"
        status = 200
        await until(lambda: all(endpoint.healthy for endpoint in endpoints))

        assert endpoints[0].health.recovered_at > 0
        assert len(gateway.store.results) == 1


async def test_what_a_process_found_for_itself_another_one_goes_on_with(registry: Registry) -> None:
    session = RegistrySession(Resolver())
    local = LocalMonitor(SystemClock(), discoveries={"registry": registry}, resolver=Resolver(), session=session)
    first = UpstreamRuntime(SystemClock(), monitor=local)
    received = ReceivedMonitor(SystemClock())
    second = UpstreamRuntime(SystemClock(), monitor=received)
    users = config()
    live = first.open(users)
    await until(lambda: bool(registry.results))
    registry.put(Discovered((A, B)))
    await until(lambda: ids(live) == {"a", "b"})

    found = await found_by(local, [users])
    for finding in FindingStore().restored(json.loads(json.dumps(found))).everything():
        received.receive(finding)
    other = second.open(users)

    assert ids(other) == ids(live) == {"a", "b"}
    for each in (live, other):
        await each.aclose()
    await first.aclose()
    await second.aclose()
    await session.aclose()


async def test_who_serves_begins_with_what_was_kept_where_the_registry_is_away(
    registry: Registry, tmp_path: Path
) -> None:
    users, kept = config(), KeptEndpoints(tmp_path / "state" / "endpoints.json")
    await kept.load()
    first = Gateway(registry, kept)
    await first.publisher.use([users])
    await until(lambda: bool(registry.results))
    registry.put(Discovered((A, B)))
    live = first.open(users)
    await until(lambda: ids(live) == {"a", "b"})
    await kept.aclose()
    await first.aclose()

    kept = KeptEndpoints(kept.path)
    await kept.load()
    second = Gateway(registry, kept)
    await second.publisher.use([users])
    await until(lambda: bool(registry.results))
    live = second.open(users)
    assert ids(live) == set()  # the registry may be there
    registry.put(RuntimeError("away"))
    await until(lambda: ids(live) == {"a", "b"})
    assert live.feed is not None
    assert (live.feed.is_stale, live.feed.reason) == (True, "RuntimeError: away")

    # The same again is a confirmation.
    await until(lambda: bool(registry.results))
    registry.put(Discovered((A, B)))
    await until(lambda: live.feed is not None and not live.feed.is_stale)
    registry.put(Discovered((C,)))
    await until(lambda: ids(live) == {"c"})
    await second.aclose()
    await kept.aclose()


async def test_who_begins_to_watch_again_does_not_replace_newer_findings_by_what_was_kept(
    gateway: Gateway, registry: Registry, tmp_path: Path
) -> None:
    users = config()
    await gateway.publisher.use([users])
    await until(lambda: bool(registry.results))
    live = gateway.open(users)
    registry.put(Discovered((A,)))
    await until(lambda: ids(live) == {"a"})
    kept = KeptEndpoints(tmp_path / "state" / "endpoints.json")
    await kept.load()
    kept.put(discovery_key("users", DiscoveryConfig(name="registry")), Discovered((B,)))

    again = Gateway(registry, kept)
    again.received, again.store = gateway.received, gateway.store
    await again.publisher.use([users])
    await until(lambda: len(registry.results) == 2)
    registry.results[1].put_nowait(RuntimeError("away"))
    await until(lambda: live.feed is not None and "away" in live.feed.reason)

    assert ids(live) == {"a"}
    await again.aclose()
    await kept.aclose()
