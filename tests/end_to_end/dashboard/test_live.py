"""Live data of the dashboard: real traffic, paused, lost with the gateway, and found again with a visible gap."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.async_api import Browser

from tests.end_to_end.dashboard.browser import Dashboard, open_dashboard
from tests.end_to_end.kit import Gateway, Upstream, get

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300), pytest.mark.usefixtures("api")]

CONFIG = """
listen: "127.0.0.1:{port}"
admin: {{listen: "127.0.0.1:{admin}"}}
workers: 2
upstreams: [{{name: users, endpoints: [{{url: "{url}"}}]}}]
routes:
  - {{id: users, path_prefix: /users, target: users}}
  - {{id: bad, path_prefix: /bad, target: "http://127.0.0.1:9"}}
"""


async def test_traffic_is_shown_as_it_comes_with_a_table_beside_each_chart(
    start: Callable[..., Gateway], upstream: Upstream, unused_tcp_port_factory: Callable[[], int], chromium: Browser
) -> None:
    admin, port = unused_tcp_port_factory(), unused_tcp_port_factory()
    running = start(CONFIG.format(url=upstream.url, admin=admin, port=port))
    address = await running.ready()
    dashboard = await open_dashboard(chromium, f"http://127.0.0.1:{admin}")
    await is_live(dashboard)

    busiest = dashboard.page.get_by_role("table", name="Busiest routes")
    while await busiest.get_by_role("row").count() < 3:
        await get(address, "/users/1")
        await get(address, "/bad/1")

    assert await busiest.get_by_role("link").all_inner_texts() == ["bad", "users"], "those with errors come first"
    await dashboard.page.get_by_text("As a table").first.click()
    await dashboard.page.get_by_role("table", name="Requests, the last 30 seconds").wait_for()
    await dashboard.clicks("link", "bad")
    await dashboard.shows("Effective chain", "ago")
    assert await dashboard.axe() == []
    assert await dashboard.complaints() == []
    await running.stops()


async def test_paused_data_stays_as_it_is_until_it_goes_on(
    start: Callable[..., Gateway], upstream: Upstream, unused_tcp_port_factory: Callable[[], int], chromium: Browser
) -> None:
    admin, port = unused_tcp_port_factory(), unused_tcp_port_factory()
    running = start(CONFIG.format(url=upstream.url, admin=admin, port=port))
    address = await running.ready()
    dashboard = await open_dashboard(chromium, f"http://127.0.0.1:{admin}")
    await is_live(dashboard)
    pause = dashboard.page.get_by_role("button", name="Pause live data")

    await pause.click()
    await dashboard.shows("Live data is paused since", "paused")
    assert await pause.get_attribute("aria-pressed") == "true"
    asked: list[str] = []
    dashboard.page.on("request", lambda request: asked.append(request.url))
    for _ in range(20):
        await get(address, "/users/1")
    # Whether something changes by itself shows after some seconds of the page's own clock.
    await dashboard.page.evaluate("() => new Promise((resolve) => setTimeout(resolve, 3000))")
    assert asked == []
    assert await dashboard.page.get_by_role("table", name="Busiest routes").count() == 0

    await pause.click()
    await is_live(dashboard)
    while await dashboard.page.get_by_role("table", name="Busiest routes").count() == 0:
        await get(address, "/users/1")
    await dashboard.page.get_by_text("gap: nothing is known of this time").first.wait_for()
    await running.stops()


async def test_a_gateway_that_goes_away_and_comes_back_leaves_a_gap(
    start: Callable[..., Gateway], upstream: Upstream, unused_tcp_port_factory: Callable[[], int], chromium: Browser
) -> None:
    admin, port = unused_tcp_port_factory(), unused_tcp_port_factory()
    text = CONFIG.format(url=upstream.url, admin=admin, port=port)
    running = start(text)
    await running.ready()
    dashboard = await open_dashboard(chromium, f"http://127.0.0.1:{admin}")
    await is_live(dashboard)
    upstreams = dashboard.page.get_by_role("table", name="Upstreams")
    await upstreams.wait_for()

    await running.stops()
    await dashboard.shows("The gateway has not responded since", "What is shown is older.")
    assert await upstreams.count() == 1, "what was read last stays"
    assert await dashboard.axe() == []
    again = start(text)
    await again.ready()

    await dashboard.shows("The gateway responds again.")
    await is_live(dashboard)
    await dashboard.page.get_by_text("gap: nothing is known of this time").first.wait_for()
    assert await dashboard.complaints() == []
    await again.stops()


async def is_live(dashboard: Dashboard) -> None:
    """Wait until the figures of a second have come."""
    await dashboard.page.get_by_text(re.compile(r"requests/s \d")).first.wait_for()
    await dashboard.page.get_by_role("banner").get_by_text("● live", exact=True).wait_for()
