"""Overrides of real gateways: drained endpoints, released quarantines, the level of the log, and what they survive."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.admin_kit import Api
from tests.end_to_end.kit import Client, Gateway, Upstream, eventually, get

pytestmark = pytest.mark.timeout(300)

CONFIG = """
listen: "127.0.0.1:0"
workers: {workers}
log: {{format: {format}}}
upstreams:
  - name: users
    {more}
    endpoints: [{{id: a, url: "{one}"}}, {{id: b, url: "{two}"}}]
routes: [{{id: users, path_prefix: /, target: users}}]
"""


def config_of(one: Upstream, two: Upstream, workers: int, more: str = "", form: str = "text") -> str:
    return CONFIG.format(workers=workers, one=one.url, two=two.url, more=more, format=form)


async def names(url: str, number: int = 8, headers: str = "") -> set[str]:
    """Return which upstreams respond to some requests, each on a connection of its own."""
    bodies = [(await get(url, "/x", headers=headers))[1] for _ in range(number)]
    return {body.split()[0] for body in bodies}


async def state_of(api: Api, endpoint: str) -> list[tuple[str, Any]]:
    """Return the state of an endpoint in each worker, with the reason of its override."""
    _, found, _ = await api("GET", "upstreams/users")
    each = [one for worker in found["workers"] for one in worker["endpoints"] if one["id"] == endpoint]
    return [(one["state"], one["override"] and one["override"]["reason"]) for one in each]


@pytest.mark.parametrize("workers", [1, 2])
async def test_a_drained_endpoint_gets_no_new_requests_and_finishes_those_under_way(
    start: Callable[..., Gateway], upstream: Upstream, second_upstream: Upstream, api: Api, workers: int
) -> None:
    running = start(config_of(upstream, second_upstream, workers))
    url = await running.ready()
    assert await names(url) == {"one", "two"}
    clients = [await Client.to(url) for _ in range(8)]
    for client in clients:
        await client.send("/slow")
    await asyncio.gather(upstream.waiting.wait(), second_upstream.waiting.wait())

    status, outcome, _ = await api("POST", "endpoints/a:drain", {"reason": "new disk", "expires_in": "2h"})

    assert (status, outcome["override"]["kind"], outcome["override"]["by"]) == (200, "drain", "local")
    assert (outcome["silent_workers"], outcome["not_kept"]) == ([], "")
    assert await names(url) == {"two"}
    assert await state_of(api, "a") == [("drain", "new disk")] * workers
    upstream.go.set()
    second_upstream.go.set()
    assert {(await client.answer())[0] for client in clients} == {200}
    for client in clients:
        client.close()

    assert (await api("POST", "endpoints/a:up"))[0] == 200
    assert await names(url) == {"one", "two"}
    assert await state_of(api, "a") == [("up", None)] * workers
    await running.stops()


async def test_the_last_endpoint_is_drained_only_by_force(
    start: Callable[..., Gateway], upstream: Upstream, second_upstream: Upstream, api: Api
) -> None:
    running = start(config_of(upstream, second_upstream, 2))
    url = await running.ready()
    assert (await api("POST", "endpoints/a:drain"))[0] == 200

    status, problem, _ = await api("POST", "endpoints/b:drain")

    assert (status, problem["code"]) == (409, "last-endpoint")
    assert "force" in problem["detail"]
    assert await names(url) == {"two"}
    assert (await api("POST", "endpoints/b:drain", {"force": True}))[0] == 200
    assert (await get(url, "/x"))[0] == 503
    assert (await api("POST", "endpoints/c:drain"))[0] == 404
    assert (await api("POST", "endpoints/a:drain", {"upstream": "others"}))[0] == 404
    assert (await api("POST", "endpoints/a:drain", {"expires_in": "31d"}))[0] == 422
    await running.stops()


@pytest.mark.slow
@pytest.mark.parametrize(
    "more", ["sticky_cookie: {name: s}", "hash_on: [header:x-key]"], ids=["sticky clients", "hashed clients"]
)
async def test_clients_that_are_tied_to_a_drained_endpoint_go_elsewhere(
    start: Callable[..., Gateway], upstream: Upstream, second_upstream: Upstream, api: Api, more: str
) -> None:
    running = start(config_of(upstream, second_upstream, 2, more))
    url = await running.ready()
    fields = []
    for number in range(40):
        own = f"X-Key: {number}\r\n"
        if "sticky" in more:
            client = await Client.to(url)
            await client.send("/x")
            head = (await client.reader.readuntil(b"\r\n\r\n")).decode()
            (cookie,) = [
                line.split(": ")[1].split(";")[0] for line in head.split("\r\n") if "set-cookie" in line.lower()
            ]
            own = f"Cookie: {cookie}\r\n"
            client.close()
        if await names(url, 1, own) == {"one"}:
            fields.append(own)
    assert fields

    assert (await api("POST", "endpoints/a:drain"))[0] == 200

    assert {name for own in fields for name in await names(url, 2, own)} == {"two"}
    await running.stops()


async def test_health_checks_of_a_drained_endpoint_go_on(
    start: Callable[..., Gateway], upstream: Upstream, second_upstream: Upstream, api: Api
) -> None:
    running = start(config_of(upstream, second_upstream, 2, "health_check: {path: /health, interval: 100ms}"))
    await running.ready()
    assert (await api("POST", "endpoints/a:drain"))[0] == 200
    checks = upstream.seen.count("GET /health HTTP/1.1")

    while upstream.seen.count("GET /health HTTP/1.1") < checks + 3:  # noqa: ASYNC110 - of another process
        await asyncio.sleep(0.05)
    await running.stops()


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
async def test_overrides_survive_a_reload_and_a_crash_of_a_worker(
    start: Callable[..., Gateway], upstream: Upstream, second_upstream: Upstream, api: Api, workers: int
) -> None:
    running = start(config_of(upstream, second_upstream, workers))
    url = await running.ready()
    assert (await api("POST", "endpoints/a:drain", {"reason": "disk"}))[0] == 200

    await running.rewrites(config_of(upstream, second_upstream, workers, "slow_start: 1s"))

    assert await names(url) == {"two"}
    if workers > 1:
        _, overview, _ = await api("GET", "overview")
        after = len(running.lines)
        os.kill(overview["workers"][0]["pid"], signal.SIGKILL)
        await running.says("ended unexpectedly", after=after)
        while len((await api("GET", "overview"))[1]["workers"]) < workers:  # noqa: ASYNC110 - of another process
            await asyncio.sleep(0.05)
        assert await names(url, 20) == {"two"}
    assert await state_of(api, "a") == [("drain", "disk")] * workers
    await running.stops()


@pytest.mark.parametrize("workers", [1, 2])
async def test_overrides_survive_a_restart_and_a_kill(
    start: Callable[..., Gateway],
    upstream: Upstream,
    second_upstream: Upstream,
    api: Api,
    tmp_path: Path,
    workers: int,
) -> None:
    running = start(config_of(upstream, second_upstream, workers))
    await running.ready()
    assert (await api("POST", "endpoints/a:drain"))[0] == 200
    assert (await api("POST", "log:level", {"level": "debug"}))[0] == 200

    running.process.send_signal(signal.SIGKILL)
    await running.ends()
    for file in (tmp_path / "runtime" / "gateway").glob("*.sock"):
        file.unlink()
    again = start("", path=tmp_path / "gateway.yaml")
    url = await again.ready()

    assert await names(url) == {"two"}
    _, overview, _ = await api("GET", "overview")
    assert [each["kind"] for each in overview["overrides"]] == ["drain", "log-level"]
    assert overview["gateway"]["log_level"] == "debug"
    await again.stops()


@pytest.mark.slow
@pytest.mark.parametrize("is_writable", [True, False], ids=["with a state directory", "without"])
@pytest.mark.parametrize("workers", [1, 2])
async def test_overrides_survive_sigusr2_also_where_nothing_can_be_written(
    start: Callable[..., Gateway],
    upstream: Upstream,
    second_upstream: Upstream,
    api: Api,
    tmp_path: Path,
    workers: int,
    is_writable: bool,
) -> None:
    (tmp_path / "file").write_text("")
    state = tmp_path / "state2" if is_writable else tmp_path / "file" / "state"
    running = start(config_of(upstream, second_upstream, workers), "--state", str(state))
    url = await running.ready()
    _, outcome, _ = await api("POST", "endpoints/a:drain")
    assert (outcome["not_kept"] == "") is is_writable

    running.signal(signal.SIGUSR2)
    await running.says("restarted|taken over")

    assert await names(url) == {"two"}
    assert {state for state, _ in await state_of(api, "a")} == {"drain"}
    assert (await api("POST", "endpoints/a:up"))[0] == 200
    assert await names(url) == {"one", "two"}
    await running.stops()


async def test_an_endpoint_that_comes_back_is_still_drained(
    start: Callable[..., Gateway], upstream: Upstream, second_upstream: Upstream, api: Api
) -> None:
    text = config_of(upstream, second_upstream, 2)
    running = start(text)
    url = await running.ready()
    assert (await api("POST", "endpoints/a:drain"))[0] == 200
    await running.rewrites(text.replace(f'{{id: a, url: "{upstream.url}"}}, ', ""))
    assert await names(url) == {"two"}

    await running.rewrites(text)

    assert await names(url) == {"two"}
    assert (await api("POST", "endpoints/a:up"))[0] == 200
    assert await names(url) == {"one", "two"}
    await running.stops()


async def test_an_override_ends_when_it_expires(
    start: Callable[..., Gateway], upstream: Upstream, second_upstream: Upstream, api: Api
) -> None:
    running = start(config_of(upstream, second_upstream, 2, form="json"))
    url = json.loads(await running.says("server.listening"))["url"]
    assert (await api("POST", "endpoints/a:drain", {"expires_in": "1s"}))[0] == 200

    line = await running.says('"state": "expired"')

    assert json.loads(line)["event"] == "admin.override"
    await eventually(url, "/x", "one")
    assert (await api("GET", "overrides"))[1] == {"overrides": []}
    await running.stops()


async def test_up_has_an_endpoint_get_requests_that_is_configured_to_drain(
    start: Callable[..., Gateway], upstream: Upstream, second_upstream: Upstream, api: Api
) -> None:
    text = config_of(upstream, second_upstream, 2).replace("{id: a,", "{id: a, status: drain,")
    running = start(text)
    url = await running.ready()
    assert await names(url) == {"two"}

    status, outcome, _ = await api("POST", "endpoints/a:up", {"reason": "tried"})

    assert (status, outcome["override"]["kind"]) == (200, "up")
    assert await names(url) == {"one", "two"}
    await running.stops()


BROKEN = """
from gateway_plugin_sdk import Plugin, hookimpl

class Broken(Plugin[dict]):
    name = "broken"
    config_schema = {"type": "object"}

    @hookimpl
    def gateway_pre_proxy(self, request):
        raise ValueError("always")
"""
QUARANTINED = """
listen: "127.0.0.1:0"
workers: {workers}
routes:
  - id: users
    path_prefix: /
    target: "{url}"
    plugins:
      - {{name: broken, on_error: deny, quarantine: {{failures: 1, clients: 1, open_for: 1h}}}}
      - {{name: headers, config: {{response: {{set: {{x-a: b}}}}}}}}
"""


async def quarantines(api: Api) -> set[tuple[str, bool]]:
    _, found, _ = await api("GET", "plugins")
    bindings = [each for worker in found["workers"] for each in worker["bindings"] if each["plugin"] == "broken"]
    return {(each["quarantine"], each["released"]) for each in bindings}


@pytest.mark.parametrize("workers", [1, 2])
async def test_a_released_binding_stays_out_of_quarantine_over_failures_and_a_reload(
    start: Callable[..., Gateway],
    upstream: Upstream,
    api: Api,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    workers: int,
) -> None:
    metadata = tmp_path / "site" / "broken-1.0.dist-info"
    metadata.mkdir(parents=True)
    (tmp_path / "site" / "broken_plugin.py").write_text(BROKEN)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[gateway.plugins]\nbroken = broken_plugin:Broken\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))
    text = QUARANTINED.format(workers=workers, url=upstream.url)
    running = start(text)
    url = await running.ready()
    while await quarantines(api) != {("open", False)}:
        await get(url, "/x")
    fails = ["binding users/broken of plugin broken fails"]
    assert (await api("GET", "overview"))[1]["degraded"] == fails

    status, outcome, _ = await api("POST", "plugins/users%2Fbroken:release", {"reason": "mended"})
    assert (status, outcome["override"]["name"]) == (200, "users/broken")
    assert await quarantines(api) == {("closed", True)}
    assert (await api("GET", "overview"))[1]["degraded"] == []  # until it fails once more
    for _ in range(8):
        assert (await get(url, "/x"))[0] == 500
    assert (await api("GET", "overview"))[1]["degraded"] == fails
    await running.rewrites(text.replace("failures: 1", "failures: 2"))
    for _ in range(8):
        await get(url, "/x")
    assert await quarantines(api) == {("closed", True)}

    assert (await api("POST", "plugins/users/broken:release", {"expires_in": "1s"}))[0] == 200
    while await quarantines(api) != {("open", False)}:
        await get(url, "/x")
    status, problem, _ = await api("POST", "plugins/users/headers:release")
    assert (status, problem["code"]) == (409, "no-quarantine")
    assert (await api("POST", "plugins/other:release"))[0] == 404
    await running.stops()


async def test_the_log_level_counts_in_every_process_and_over_a_reload(
    start: Callable[..., Gateway], upstream: Upstream, second_upstream: Upstream, api: Api
) -> None:
    more = "health_check: {path: /health}"
    text = config_of(upstream, second_upstream, 2, more)
    running = start(text)
    await running.ready()

    assert (await api("POST", "log:level", {"level": "error", "reason": "quiet"}))[0] == 200
    assert (await api("GET", "overview"))[1]["gateway"]["log_level"] == "error"
    assert (await api("POST", "log:level", {"level": None}))[0] == 200
    assert (await api("GET", "overview"))[1]["gateway"]["log_level"] == "info"
    assert (await api("POST", "log:level", {"level": "loud"}))[0] == 422
    await running.stops()
