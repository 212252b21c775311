"""The live tail of the dashboard: for those who have the right, and filtered."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.async_api import Browser

from tests.end_to_end.dashboard.browser import make_token, open_dashboard
from tests.end_to_end.kit import Gateway, get

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300), pytest.mark.usefixtures("api")]

CONFIG = """
listen: "127.0.0.1:0"
admin: {{listen: "127.0.0.1:{admin}"}}
routes:
  - {{id: fine, path_prefix: /fine, respond: {{status: 200, body: fine}}}}
  - {{id: bad, path_prefix: /bad, respond: {{status: 500, body: bad}}}}
  - id: limited
    path_prefix: /limited
    respond: {{status: 200, body: limited}}
    plugins: [{{name: ratelimit, config: {{quota: 1, window: 1h}}}}]
"""


async def test_requests_are_shown_as_they_end_to_those_who_may_watch_them(
    start: Callable[..., Gateway], unused_tcp_port: int, chromium: Browser
) -> None:
    with_right, without = await make_token("watcher", "--tail"), await make_token("viewer")
    running = start(CONFIG.format(admin=unused_tcp_port))
    address = await running.ready()
    dashboard = await open_dashboard(chromium, f"http://127.0.0.1:{unused_tcp_port}")
    await dashboard.logs_in(without)
    await dashboard.clicks("link", "Tail")
    await dashboard.shows("Watching single requests is a right of its own")

    await dashboard.clicks("button", "Log out")
    await dashboard.logs_in(with_right)
    await dashboard.page.get_by_label("Status").fill("5xx")
    await dashboard.clicks("button", "Start")
    await dashboard.shows("● running")
    await get(address, "/fine/1")
    await get(address, "/bad/%3Cimg%20src=x%3E")

    await dashboard.page.get_by_role("table", name="Requests").get_by_role("link", name="bad").wait_for()
    assert await dashboard.page.locator("tbody tr").count() == 1
    assert "status=5xx" in dashboard.page.url
    assert await dashboard.axe() == []

    await dashboard.page.get_by_label("Status").fill("")
    await dashboard.page.get_by_label("Plugin").fill("ratelimit")
    await dashboard.clicks("button", "Start again")
    await dashboard.clicks("button", "Clear")
    await dashboard.shows("● running")
    while (await get(address, "/limited"))[0] != 429:
        pass
    await dashboard.page.get_by_role("table", name="Requests").get_by_role("link", name="limited").wait_for()
    assert await dashboard.page.locator("tbody tr > :nth-child(2)").get_by_text("429").count() == 1
    assert await dashboard.page.locator("tbody tr > :nth-child(2)").get_by_text("200").count() == 0
    await dashboard.clicks("button", "Stop")
    await dashboard.shows("stopped")
    assert await dashboard.complaints() == []
    await running.stops()
