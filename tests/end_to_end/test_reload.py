from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.end_to_end.kit import Client, Gateway, Upstream, eventually, get, get_over_both
from tests.ports import free_port

Start = Callable[..., Gateway]

FORCED = "configuration in force"


def config(upstream: Upstream, path: str = "/a", more: str = "") -> str:
    return f"listen: 127.0.0.1:0\nroutes:\n  - {{id: it, path: {path}, target: '{upstream.url}'}}\n{more}"


async def test_an_edit_takes_effect_and_says_what_changed(
    start: Start, upstream: Upstream, second_upstream: Upstream
) -> None:
    gateway = start(config(upstream))
    url = await gateway.ready()
    assert await get(url, "/a") == (200, "one GET /a HTTP/1.1")

    line = await gateway.rewrites(config(second_upstream))

    assert await get(url, "/a") == (200, "two GET /a HTTP/1.1")
    assert "routes changed: " in line
    await gateway.stops()


async def test_a_bad_edit_keeps_the_old_configuration_and_prints_every_problem(
    start: Start, upstream: Upstream
) -> None:
    gateway = start(config(upstream))
    url = await gateway.ready()

    after = len(gateway.lines)
    await gateway.rewrites("listen: 127.0.0.1:0\nroutes:\n  - {id: a, path: b}\n  - {id: c, target: nobody}\n", "found")

    told = "\n".join(gateway.lines[after:])
    assert "the old one stays in force" in told
    assert "gateway.yaml:3" in told
    assert "gateway.yaml:4" in told
    assert await get(url, "/a") == (200, "one GET /a HTTP/1.1")

    await gateway.rewrites(config(upstream, "/b"))
    assert (await get(url, "/b"))[0] == 200
    await gateway.stops()


async def test_a_file_that_is_renamed_over_is_noticed(start: Start, upstream: Upstream, tmp_path: Path) -> None:
    gateway = start(config(upstream))
    url = await gateway.ready()

    for path in ("/b", "/c"):
        fresh = tmp_path / ".gateway.yaml.swp"
        fresh.write_text(config(upstream, path))
        fresh.replace(gateway.config)
        await eventually(url, path, "200")
    await gateway.stops()


async def test_a_config_map_swap_is_noticed(start: Start, upstream: Upstream, tmp_path: Path) -> None:
    mount = tmp_path / "mount"
    mount.mkdir()

    def publish(version: str, text: str) -> None:
        (mount / f"..{version}").mkdir()
        (mount / f"..{version}" / "gateway.yaml").write_text(text)
        (mount / "..data_tmp").symlink_to(f"..{version}")
        (mount / "..data_tmp").replace(mount / "..data")

    publish("1", config(upstream))
    (mount / "gateway.yaml").symlink_to("..data/gateway.yaml")
    gateway = start("", path=mount / "gateway.yaml")
    url = await gateway.ready()

    for version in ("2", "3"):
        publish(version, config(upstream, f"/v{version}"))
        await eventually(url, f"/v{version}", "200")
    await gateway.stops()


async def test_a_deleted_file_keeps_the_configuration_and_its_return_is_noticed(
    start: Start, upstream: Upstream
) -> None:
    gateway = start(config(upstream))
    url = await gateway.ready()

    gateway.config.unlink()
    await gateway.says("the old one stays in force")
    assert (await get(url, "/a"))[0] == 200

    gateway.config.write_text(config(upstream, "/b"))
    await eventually(url, "/b", "200")
    await gateway.stops()


async def test_a_new_file_in_a_directory_of_documents_is_noticed(
    start: Start, upstream: Upstream, tmp_path: Path
) -> None:
    folder = tmp_path / "conf"
    folder.mkdir()
    (folder / "a.yaml").write_text(config(upstream))
    gateway = start("", path=folder)
    url = await gateway.ready()

    (folder / "b.yaml").write_text(f"routes:\n  - {{id: b, path: /b, target: '{upstream.url}'}}\n")

    await eventually(url, "/b", "200")
    await gateway.stops()


async def test_sighup_forces_a_reload(start: Start, upstream: Upstream) -> None:
    gateway = start(config(upstream))
    await gateway.ready()

    gateway.signal(signal.SIGHUP)

    assert "SIGHUP" in await gateway.says(FORCED)
    await gateway.stops()


async def test_a_request_in_flight_finishes_on_the_configuration_that_it_started_with(
    start: Start, upstream: Upstream, second_upstream: Upstream
) -> None:
    gateway = start(config(upstream, "/slow"))
    url = await gateway.ready()
    client = await Client.to(url)
    await client.send("/slow")
    await upstream.waiting.wait()

    await gateway.rewrites(config(second_upstream, "/other"))
    assert (await get(url, "/slow"))[0] == 404
    upstream.go.set()

    assert await client.answer() == (200, "one GET /slow HTTP/1.1")
    client.close()
    await gateway.stops()


async def test_a_rate_limit_keeps_its_counters_over_an_edit_elsewhere(start: Start, upstream: Upstream) -> None:
    def limited(other: str) -> str:
        return config(
            upstream,
            other,
            f"  - id: limited\n    path: /limited\n    target: '{upstream.url}'\n    plugins:\n"
            "      - {name: ratelimit, config: {rate: 0.001, burst: 2, key: client_ip}}\n",
        )

    gateway = start(limited("/a"))
    url = await gateway.ready()
    assert [(await get(url, "/limited"))[0] for _ in range(3)] == [200, 200, 429]

    line = await gateway.rewrites(limited("/b"))

    assert (await get(url, "/limited"))[0] == 429
    assert "0 bindings rebuilt, 1 kept" in line
    await gateway.stops()


async def test_listeners_come_and_go(start: Start, upstream: Upstream, tmp_path: Path) -> None:
    socket_path = tmp_path / "extra.sock"
    both = config(upstream).replace("listen: 127.0.0.1:0", f'listen: ["127.0.0.1:0", "unix:{socket_path}"]')
    gateway = start(config(upstream))
    url = await gateway.ready()

    await gateway.rewrites(both)
    assert (await get(f"unix:{socket_path}", "/a"))[0] == 200
    assert (await get(url, "/a"))[0] == 200

    await gateway.rewrites(config(upstream))
    assert not socket_path.exists()
    assert (await get(url, "/a"))[0] == 200
    await gateway.stops()


@pytest.mark.parametrize("workers", [1, 2])
async def test_a_listener_that_is_gone_refuses_connections(start: Start, upstream: Upstream, workers: int) -> None:
    """No process may keep its socket: the system would queue connections that are never accepted."""
    one = f"workers: {workers}\n" + config(upstream)
    other = free_port()
    two = one.replace("listen: 127.0.0.1:0", f'listen: ["127.0.0.1:0", "127.0.0.1:{other}"]')
    gateway = start(two)
    await gateway.ready()
    assert (await get_over_both(await gateway.to_clients(f"http://127.0.0.1:{other}"), "/a"))[0] == 200

    await gateway.rewrites(one)

    with pytest.raises(ConnectionRefusedError):
        await get(f"http://127.0.0.1:{other}", "/a")
    await gateway.stops()


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize(
    ("before", "after"),
    [("127.0.0.1", ""), ("", "127.0.0.1"), ("0.0.0.0", "")],
)
async def test_a_listener_moves_to_an_address_that_overlaps_its_own(
    start: Start, upstream: Upstream, workers: int, before: str, after: str
) -> None:
    text = f"workers: {workers}\n" + config(upstream)
    port = free_port()
    gateway = start(text.replace("listen: 127.0.0.1:0", f"listen: '{before}:{port}'"))
    await gateway.ready()

    await gateway.rewrites(text.replace("listen: 127.0.0.1:0", f"listen: '{after}:{port}'").replace("/a", "/b"))

    url = await gateway.to_clients(f"http://127.0.0.1:{port}")
    for _ in range(4):  # whichever worker takes the connection
        assert (await get(url, "/b"))[0] == 200
    await gateway.stops()


async def test_an_address_that_cannot_be_had_keeps_the_old_configuration(start: Start, upstream: Upstream) -> None:
    gateway = start(config(upstream))
    url = await gateway.ready()

    bad = config(upstream, "/b").replace("127.0.0.1:0", "192.0.2.1:80")
    await gateway.rewrites(bad, r"gateway.yaml:\d+:\d+: listen\[0\]: cannot listen on 192.0.2.1:80")

    assert (await get_over_both(url, "/a"))[0] == 200
    await gateway.stops()
