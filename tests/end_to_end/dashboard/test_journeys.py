"""What an operator finds and mends with the dashboard alone: a slow route, a bad plugin, an endpoint that dies.

Each begins at the overview and follows what the pages show. A bad deploy and its rollback are in test_actions.py; the
same with the command line alone is in tests/end_to_end/test_journeys.py and test_version_commands.py.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from playwright.async_api import Browser

from tests.end_to_end.dashboard.browser import Dashboard, make_token, open_dashboard
from tests.end_to_end.kit import Gateway, Upstream, get
from tests.end_to_end.test_journeys import BOUND, DYING, SHOP, install_tiny, responds, traffic

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300), pytest.mark.usefixtures("api")]

HALF_A_SECOND = re.compile(r"^([5-9]\d\d ms|[\d.]+ s)$")


@asynccontextmanager
async def watched(
    start: Callable[..., Gateway], text: str, chromium: Browser, port: int
) -> AsyncIterator[tuple[str, Dashboard]]:
    """Run a gateway with an operator before its overview; give its URL and the tab, which complains about nothing."""
    await make_token("first")
    running = start(f'admin: {{listen: "127.0.0.1:{port}"}}\n{text}')
    url = await running.ready()
    dashboard = await open_dashboard(chromium, f"http://127.0.0.1:{port}")
    await dashboard.logs_in(await make_token("ops", "--role", "operator"))
    await dashboard.page.get_by_role("heading", name="Overview", exact=True).wait_for()
    yield url, dashboard
    assert await dashboard.complaints() == []
    await running.stops()


async def confirms(dashboard: Dashboard, reason: str, action: str) -> None:
    dialog = dashboard.page.get_by_role("dialog")
    await dialog.get_by_label("Reason").fill(reason)
    await dialog.get_by_role("button", name=action, exact=True).click()


async def test_a_slow_route_leads_to_the_endpoint_that_makes_it_slow_which_is_drained(
    start: Callable[..., Gateway], upstream: Upstream, chromium: Browser, unused_tcp_port: int
) -> None:
    async with (
        Upstream("slow", delay=0.5) as slow,
        watched(start, SHOP.format(fast=upstream.url, slow=slow.url), chromium, unused_tcp_port) as (url, dashboard),
    ):
        async with traffic(url, "/users/1", "/orders/1", "/offers/1"):
            await dashboard.clicks("link", "The slowest routes")
            slowest = dashboard.page.get_by_role("table", name="Routes").locator("tbody tr").first
            await slowest.get_by_role("link", name="orders", exact=True).click()
            await dashboard.page.get_by_role("heading", name="Route orders").wait_for()
            await dashboard.page.get_by_role("definition").get_by_role("link", name="orders", exact=True).click()
            endpoints = dashboard.page.get_by_role("table", name="Endpoints").locator("tbody tr")
            await endpoints.filter(has_text="new").get_by_role("cell", name=HALF_A_SECOND).wait_for()

            await dashboard.clicks("button", "Drain new")
            await confirms(dashboard, "slow", "Drain")
            await dashboard.shows("new is drained.", "by ops: slow")
            assert await dashboard.axe() == []
        assert {(await get(url, "/orders/1"))[1].split()[0] for _ in range(6)} == {upstream.name}


async def test_a_bad_plugin_is_found_at_its_binding_with_the_reason_and_released_once_its_cause_is_mended(
    start: Callable[..., Gateway],
    upstream: Upstream,
    chromium: Browser,
    unused_tcp_port: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tenants = tmp_path / "tenants"
    install_tiny(tmp_path / "site", tenants)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))
    text = BOUND.format(url=upstream.url)
    async with watched(start, text, chromium, unused_tcp_port) as (url, dashboard):
        async with traffic(url, "/users/1", "/orders/1"):
            await dashboard.shows("binding orders/tiny of plugin tiny")
            events = dashboard.page.get_by_role("table", name="Recent events")
            await events.get_by_role("cell", name="FileNotFoundError").first.wait_for()
            busiest = dashboard.page.get_by_role("table", name="Busiest routes").get_by_role("row")
            await busiest.filter(has_text="orders").get_by_role("cell", name="100 %").wait_for()
            assert (await get(url, "/users/1"))[0] == 200

        tenants.write_text("a")
        await dashboard.clicks("link", "Plugins")
        await dashboard.clicks("button", "Release orders/tiny")
        await confirms(dashboard, "the file is back", "Release")
        await dashboard.shows("orders/tiny is released.")
        assert {(await get(url, "/orders/1"))[0] for _ in range(6)} == {200}


async def test_a_dying_endpoint_is_found_with_the_reason_and_drained_until_it_is_back(
    start: Callable[..., Gateway],
    upstream: Upstream,
    chromium: Browser,
    unused_tcp_port: int,
    unused_tcp_port_factory: Callable[[], int],
) -> None:
    port = unused_tcp_port_factory()
    text = DYING.format(one=upstream.url, two=f"http://127.0.0.1:{port}")
    async with watched(start, text, chromium, unused_tcp_port) as (url, dashboard):
        async with Upstream("two", port=port):
            await responds(url, "two")
        async with traffic(url, "/"):
            upstreams = dashboard.page.get_by_role("table", name="Upstreams").get_by_role("row")
            await upstreams.filter(has_text="1 of 2 up").get_by_role("link", name="users").click()
            endpoints = dashboard.page.get_by_role("table", name="Endpoints").get_by_role("row")
            dead = endpoints.filter(has_text="unreachable").filter(has_text=re.compile("refused", re.IGNORECASE))
            assert await dead.get_by_role("rowheader").inner_text() == "b"

            await dashboard.clicks("button", "Drain b")
            await confirms(dashboard, "its process is gone", "Drain")
            await dashboard.shows("b is drained.", "by ops: its process is gone")
            assert await dashboard.axe() == []
        assert {(await get(url, "/"))[0] for _ in range(10)} == {200}

        async with Upstream("two", port=port):
            await dashboard.clicks("button", "Have b get requests")
            await confirms(dashboard, "it is back", "Up")
            await dashboard.shows("b gets requests.")
            await responds(url, "two")
