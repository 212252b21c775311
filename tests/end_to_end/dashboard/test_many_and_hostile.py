"""What is long or hostile: a thousand routes, names that are markup, texts that came from the network."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.async_api import Browser

from tests.end_to_end.dashboard.browser import open_dashboard
from tests.end_to_end.kit import Gateway, get, get_over_both

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300), pytest.mark.usefixtures("api")]

HOSTILE = "<img src=x onerror=hacked=1>"
HOSTILE_CONFIG = """
listen: "127.0.0.1:0"
admin: {{listen: "127.0.0.1:{admin}"}}
upstreams:
  - {{name: "javascript:hacked=1", endpoints: [{{url: "http://127.0.0.1:9"}}]}}
routes:
  - id: "{hostile}"
    path_prefix: /hostile
    target: "javascript:hacked=1"
    plugins: [{{name: headers, id: "{hostile}", config: {{request: {{set: {{x-a: "{hostile}"}}}}}}}}]
"""


async def test_markup_in_names_values_and_errors_is_text(
    start: Callable[..., Gateway], unused_tcp_port: int, chromium: Browser
) -> None:
    running = start(HOSTILE_CONFIG.format(hostile=HOSTILE, admin=unused_tcp_port))
    address = await running.ready()
    dashboard = await open_dashboard(chromium, f"http://127.0.0.1:{unused_tcp_port}")
    await dashboard.page.get_by_role("banner").get_by_text("● live", exact=True).wait_for()
    await get_over_both(address, "/hostile/1")

    for place, heading in (
        ("/overview", "State"),
        ("/routes", "Routes in force"),
        ("/upstreams", "Upstreams in force"),
        ("/plugins", "Bindings"),
        ("/configuration", "History"),
        ("/health", "Readiness"),
        (f"/routes/{HOSTILE}", "Effective chain"),
        ("/upstreams/javascript:hacked=1", "Endpoints"),
        (f"/plugins/{HOSTILE}", "Plugin"),
    ):
        await dashboard.goes(place.replace("<", "%3C").replace(">", "%3E").replace(" ", "%20"))
        await dashboard.page.get_by_role("heading", name=heading).first.wait_for()
        assert await dashboard.page.locator("img, iframe, [onerror], a[href^=javascript]").count() == 0
    await dashboard.goes("/routes")
    await dashboard.clicks("link", HOSTILE)
    await dashboard.page.get_by_role("heading", name=f"Route {HOSTILE}").wait_for()
    await dashboard.page.get_by_label("URL or path").fill(f"/{HOSTILE}")
    await dashboard.clicks("button", "Match")
    await dashboard.page.get_by_role("main").get_by_role("status").first.wait_for()

    assert await dashboard.page.evaluate("() => typeof hacked") == "undefined"
    assert await dashboard.complaints() == []
    await running.stops()


async def test_a_thousand_routes_are_filtered_sorted_and_paged(
    start: Callable[..., Gateway], unused_tcp_port: int, chromium: Browser
) -> None:
    routes = "".join(f"  - {{id: route-{n:04}, path: /r/{n}, respond: {{status: 204}}}}\n" for n in range(1000))
    running = start(f'listen: "127.0.0.1:0"\nadmin: {{listen: "127.0.0.1:{unused_tcp_port}"}}\nroutes:\n{routes}')
    address = await running.ready()
    dashboard = await open_dashboard(chromium, f"http://127.0.0.1:{unused_tcp_port}")
    await dashboard.page.get_by_role("banner").get_by_text("● live", exact=True).wait_for()

    await dashboard.goes("/routes?sort=id&down=1")
    await dashboard.shows("1,000 of 1,000 routes", "Page 1 of 20", "route-0999")
    assert await dashboard.page.locator("tbody tr").count() == 50
    await dashboard.clicks("button", "Next")
    await dashboard.shows("Page 2 of 20", "route-0949")
    assert "page=2" in dashboard.page.url
    await dashboard.page.get_by_label("Filter").fill("route-012")
    await dashboard.shows("10 of 1,000 routes")
    await dashboard.page.get_by_label("Filter").fill("")
    await dashboard.page.get_by_role("button", name="Requests/s").click()
    await (
        dashboard.page.get_by_role("columnheader", name="Requests/s")
        .and_(dashboard.page.locator("[aria-sort=descending]"))
        .wait_for()
    )
    first = dashboard.page.locator("tbody th").first
    while await first.inner_text() != "route-0077":
        await get(address, "/r/77")
    assert await dashboard.complaints() == []
    await running.stops()
