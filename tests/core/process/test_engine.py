from __future__ import annotations

import gc
from collections.abc import AsyncIterator

import pytest
from gateway_core.config import ConfigError
from gateway_core.process.engine import Engine
from gateway_core.process.socket_table import SocketTable
from gateway_core.reload.bundle import ConfigBundle

from tests.core.process.conftest import Canon, ask


def text(upstream: str, path: str = "/a", more: str = "") -> str:
    return f"listen: 127.0.0.1:0\nroutes: [{{id: it, path: {path}, target: '{upstream}'}}]\n{more}"


@pytest.fixture
async def sockets() -> SocketTable:
    return SocketTable()


@pytest.fixture
async def engine(sockets: SocketTable) -> AsyncIterator[Engine]:
    engine = Engine(sockets)
    yield engine
    await engine.stop(0)
    sockets.keep_only(())


async def put_in_force(engine: Engine, sockets: SocketTable, bundle: ConfigBundle) -> str:
    prepared = await engine.prepare(bundle)
    sockets.bind(prepared.config.listen)
    return str(await engine.commit(prepared))


async def test_serves_what_was_committed(engine: Engine, sockets: SocketTable, canon: Canon, upstream: str) -> None:
    changes = await put_in_force(engine, sockets, canon(text(upstream)))

    (url,) = engine.listeners.urls()
    assert await ask(url, "/a") == (200, "up GET /a HTTP/1.1")
    assert changes == "routes added: it; 0 bindings rebuilt, 0 kept"


async def test_a_reload_takes_what_did_not_change_from_the_configuration_in_force(
    engine: Engine, sockets: SocketTable, canon: Canon, upstream: str
) -> None:
    upstreams = f"upstreams: [{{name: u, endpoints: [{{url: '{upstream}'}}]}}]\n"
    kept = [f"  - {{id: r{number}, path: /r/{number}, target: u}}\n" for number in range(100)]
    texts = [
        f"listen: 127.0.0.1:0\n{upstreams}routes:\n  - {{id: it, path: /{path}, target: u}}\n{''.join(kept)}"
        for path in "ab"
    ]
    await put_in_force(engine, sockets, canon(texts[0]))
    before, users = engine.holder.current.config.routes, engine.holder.current.upstreams["u"]

    changes = await put_in_force(engine, sockets, canon(texts[1]))

    after = engine.holder.current
    assert changes == "routes changed: it; 0 bindings rebuilt, 0 kept"
    assert after.config.routes[-1] is before[-1]
    assert after.upstreams["u"] is users
    (url,) = engine.listeners.urls()
    assert await ask(url, "/b") == (200, "up GET /b HTTP/1.1")
    assert (await ask(url, "/a"))[0] == 404


async def test_what_is_only_prepared_changes_nothing(
    engine: Engine, sockets: SocketTable, canon: Canon, upstream: str
) -> None:
    await put_in_force(engine, sockets, canon(text(upstream)))
    (url,) = engine.listeners.urls()

    prepared = await engine.prepare(canon(text(upstream, "/b")))
    assert (await ask(url, "/b"))[0] == 404

    await engine.discard(prepared)
    assert (await ask(url, "/a"))[0] == 200


async def test_a_configuration_that_cannot_be_made_changes_nothing(
    engine: Engine, sockets: SocketTable, canon: Canon, upstream: str
) -> None:
    await put_in_force(engine, sockets, canon(text(upstream)))
    (url,) = engine.listeners.urls()
    broken = "upstreams: [{name: u, endpoints: [{url: 'https://127.0.0.1:1'}], tls: {ca: /nowhere}}]\n"

    with pytest.raises(ConfigError):
        await engine.prepare(canon(text(upstream, "/b", broken)))

    assert (await ask(url, "/a"))[0] == 200
    assert engine.status()["version"] == engine.holder.current.version


async def test_status_has_no_secrets_and_all_upstreams(
    engine: Engine, sockets: SocketTable, canon: Canon, upstream: str
) -> None:
    more = "plugins: [{name: auth, config: {secret: top-secret-that-nobody-may-see-ever-1234}}]\n"
    await put_in_force(engine, sockets, canon(text(upstream, "/a", more)))

    status = engine.status()

    assert "top-secret" not in str(status)
    assert [each["name"] for each in status["upstreams"]] == [upstream]
    assert (status["routes"], status["draining"]) == (1, False)


async def test_a_dropped_configuration_leaves_nothing_to_the_garbage_collector(
    engine: Engine, sockets: SocketTable, canon: Canon, upstream: str
) -> None:
    """What a reload leaves in cycles is set aside with the rest, and would stay for ever."""
    more = "upstreams: [{name: u, endpoints: [{url: 'http://127.0.0.1:1'}], health_check: {interval: 1h}}]\n"
    configurations = [canon(text(upstream, path, more)) for path in ("/a", "/b")]
    for bundle in configurations * 2:
        await put_in_force(engine, sockets, bundle)
    await engine.holder.retirement.aclose()
    gc.collect()

    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        for bundle in configurations:
            await put_in_force(engine, sockets, bundle)
        await engine.holder.retirement.aclose()
        gc.collect()
        ours = [type(each) for each in gc.garbage if type(each).__module__.startswith("gateway")]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()

    assert ours == []


async def test_names_plugins_that_run_in_another_version(
    engine: Engine, sockets: SocketTable, canon: Canon, upstream: str
) -> None:
    more = "plugins: [{name: ratelimit, config: {rate: 1, burst: 1}}]\n"
    await put_in_force(engine, sockets, canon(text(upstream, "/a", more)))
    running = engine.registry.code("ratelimit")

    assert engine.changed_plugins({"ratelimit": running, "unheard-of": "1"}) == []
    assert engine.changed_plugins({"ratelimit": "99"}) == [f"ratelimit {running} -> 99"]
