"""`/metrics` of a running gateway, as Prometheus reads it, while its processes come and go."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest

from tests.end_to_end.kit import PATIENCE, Gateway, Upstream, get, get_json, get_over_both
from tests.programs import program

Start = Callable[..., Gateway]

OPENMETRICS = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"


@pytest.fixture
def admin(tmp_path: object) -> str:
    return f"unix:{tmp_path}/admin.sock"


def config(upstream: Upstream, admin: str, *routes: str, more: str = "") -> str:
    listed = "".join(f"  - {{id: {name}, path_prefix: /{name}, target: u}}\n" for name in routes or ("it",))
    return (
        f"listen: 127.0.0.1:0\nworkers: 2\nadmin: {{listen: '{admin}'}}\n"
        f"upstreams: [{{name: u, endpoints: [{{url: '{upstream.url}'}}]}}]\n"
        f"routes:\n{listed}{more}"
    )


async def scrape(admin: str, accept: str = "text/plain") -> str:
    connector = aiohttp.UnixConnector(admin.removeprefix("unix:"))
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        session.get("http://admin/metrics", headers={"Accept": accept}) as response,
    ):
        assert response.status == 200
        return await response.text()


def total(text: str, name: str, **labels: str) -> float:
    """Return the sum of a metric's samples with these labels."""
    found = 0.0
    for line in re.findall(rf"^{name}(?:\{{.*\}})? .*$", text, re.MULTILINE):
        if all(f'{label}="{value}"' in line for label, value in labels.items()):
            found += float(line.rpartition(" ")[2])
    return found


async def requests_of(admin: str, route: str = "it") -> float:
    return total(await scrape(admin), "gateway_requests_total", route=route)


async def until(admin: str, what: Callable[[str], bool]) -> str:
    """Scrape until the text is as it should be."""
    async with asyncio.timeout(PATIENCE):
        while not what(text := await scrape(admin)):  # noqa: ASYNC110 - each look is a request of its own
            await asyncio.sleep(0.05)
        return text


async def pids(admin: str) -> list[int]:
    status: Any = await get_json(admin, "/config")
    return [worker["pid"] for worker in status["workers"]]


async def ask(url: str, times: int, path: str = "/it") -> None:
    for _ in range(times):
        assert (await get(url, path))[0] == 200


async def test_promtool_finds_nothing_to_say(start: Start, upstream: Upstream, admin: str) -> None:
    gateway = start(config(upstream, admin))
    await ask(await gateway.ready(), 3)

    checked = await asyncio.to_thread(
        subprocess.run,
        [program("promtool", "prometheus"), "check", "metrics"],
        input=await scrape(admin),
        capture_output=True,
        text=True,
        check=False,
    )

    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")
    await gateway.stops()


async def test_both_formats_have_the_same_samples(start: Start, upstream: Upstream, admin: str) -> None:
    from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
    from prometheus_client.parser import text_string_to_metric_families as parse_prometheus

    gateway = start(config(upstream, admin))
    await ask(await gateway.ready(), 3)

    texts = [await scrape(admin), await scrape(admin, OPENMETRICS)]

    assert texts[1].endswith("# EOF\n")
    parsers: list[Any] = [parse_prometheus, parse_openmetrics]
    found = [
        {(sample.name, *sorted(sample.labels.items())) for family in parse(text) for sample in family.samples}
        for parse, text in zip(parsers, texts, strict=True)
    ]
    assert found[0] == found[1]
    await gateway.stops()


async def test_counters_neither_double_nor_fall_when_workers_are_killed(
    start: Start, upstream: Upstream, admin: str
) -> None:
    gateway = start(config(upstream, admin))
    url = await gateway.ready()
    await ask(url, 10)
    assert await requests_of(admin) == 10

    for process in await pids(admin):
        os.kill(process, signal.SIGKILL)
    seen = [await requests_of(admin) for _ in range(5)]
    text = await until(admin, lambda text: total(text, "gateway_workers") == 2)

    assert seen == [10] * 5
    assert total(text, "gateway_worker_crashes_total") == 2
    await ask(url, 5)
    assert await requests_of(admin) == 15
    await gateway.stops()


async def test_a_worker_that_does_not_respond_keeps_its_counters(start: Start, upstream: Upstream, admin: str) -> None:
    gateway = start(config(upstream, admin))
    url = await gateway.ready()
    await ask(url, 10)
    assert await requests_of(admin) == 10

    stopped = (await pids(admin))[0]
    os.kill(stopped, signal.SIGSTOP)
    try:
        text = await scrape(admin)
    finally:
        os.kill(stopped, signal.SIGCONT)

    assert total(text, "gateway_requests_total", route="it") == 10
    assert total(text, "gateway_workers_silent") == 1
    text = await until(admin, lambda text: total(text, "gateway_workers_silent") == 0)
    assert total(text, "gateway_requests_total", route="it") == 10
    await gateway.stops()


async def test_counters_go_on_over_reloads_drains_and_a_new_program(
    start: Start, upstream: Upstream, admin: str
) -> None:
    gateway = start(config(upstream, admin))
    url = await gateway.ready()
    await ask(url, 10)

    await gateway.rewrites(config(upstream, admin, more="drain_delay: 0s\n"))
    assert await requests_of(admin) == 10
    gateway.signal(signal.SIGUSR2)
    await gateway.says("server.restarted")

    text = await until(admin, lambda text: total(text, "gateway_requests_total", route="it") >= 10)
    assert total(text, "gateway_requests_total", route="it") == 10
    assert total(text, "gateway_config_reloads_total", result="ok") == 3
    await ask(url, 5)
    text = await until(admin, lambda text: total(text, "gateway_requests_total", route="it") >= 15)
    assert total(text, "gateway_requests_total", route="it") == 15
    await gateway.stops()


async def test_a_route_that_is_removed_leaves_and_goes_on_when_it_comes_back(
    start: Start, upstream: Upstream, admin: str
) -> None:
    gateway = start(config(upstream, admin, "it", "other"))
    url = await gateway.ready()
    await ask(url, 3, "/other")
    assert await requests_of(admin, "other") == 3

    await gateway.rewrites(config(upstream, admin, "it"))
    assert 'route="other"' not in await scrape(admin)
    await gateway.rewrites(config(upstream, admin, "other", "it"))
    await ask(url, 1, "/other")

    assert await requests_of(admin, "other") == 4
    await gateway.stops()


async def test_an_upstream_that_fails_and_a_reload_that_is_rejected_are_seen(
    start: Start, upstream: Upstream, admin: str
) -> None:
    dead = "upstreams: [{name: dead, endpoints: [{id: e, url: 'http://127.0.0.1:1'}]}]\n"
    text = config(upstream, admin).replace("upstreams: [", dead.removesuffix("]\n") + ", ")
    gateway = start(text + "  - {id: dead, path: /dead, target: dead}\n")
    url = await gateway.ready()
    before = await scrape(admin)
    assert total(before, "gateway_upstream_errors_total", endpoint="e") == 0

    assert (await get_over_both(url, "/dead"))[0] == 502
    gateway.config.write_text(text + "nonsense: true\n")
    await gateway.says("configuration rejected")

    after = await scrape(admin)
    assert total(after, "gateway_upstream_errors_total", endpoint="e", reason="upstream.connect-failure") == 2
    assert total(after, "gateway_request_failures_total", reason="upstream.connect-failure") == 2
    assert total(after, "gateway_requests_total", route="dead", status="502", origin="gateway") == 2
    assert total(after, "gateway_config_last_reload_successful") == 0
    assert total(after, "gateway_config_reloads_total", result="rejected") == 1
    await gateway.stops()


async def test_everything_exposed_is_documented(start: Start, upstream: Upstream, admin: str) -> None:
    from gateway_core.metrics.catalogue import CATALOGUE
    from gateway_core.metrics.render import SUFFIX

    gateway = start(config(upstream, admin))
    await ask(await gateway.ready(), 3)

    named = set(re.findall(r"^# TYPE (\S+) ", await scrape(admin), re.MULTILINE))

    assert named - {f"{each.name}{SUFFIX.get(each.kind, '')}" for each in CATALOGUE.values()} == set()
    await gateway.stops()
