"""Every screen of the dashboard, in a real browser, of a real gateway with real traffic."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser

from tests.end_to_end.dashboard.browser import open_dashboard
from tests.end_to_end.kit import Gateway, Upstream, get

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300), pytest.mark.usefixtures("api")]

CONFIG = """
listen: "127.0.0.1:0"
admin: {{listen: "127.0.0.1:{admin}"}}
workers: 2
plugins:
  - {{name: headers, id: common, config: {{response: {{set: {{x-a: "1"}}}}}}}}
upstreams:
  - name: users
    endpoints: [{{url: "{url}"}}, {{url: "http://127.0.0.1:9"}}]
    outlier_detection: {{consecutive_failures: 2}}
routes:
  - id: users
    path_prefix: /users
    target: users
    plugins: [{{name: ratelimit, config: {{quota: 1000, window: 1m}}}}]
  - {{id: hello, path: /hello, respond: {{status: 200, body: hello}}}}
  - {{id: closed, path: /closed, enabled: false, respond: {{status: 404}}}}
"""
NARROW = {"width": 320, "height": 640}
SCREENS = {
    "/overview": "State",
    "/routes": "Routes in force",
    "/routes/users": "Effective chain",
    "/upstreams": "Upstreams in force",
    "/upstreams/users": "Endpoints",
    "/plugins": "Catalogue",
    "/plugins/ratelimit": "Write a binding",
    "/configuration": "History",
    "/tail": "Requests as they end",
    "/health": "Certificates",
}


@pytest_asyncio.fixture(loop_scope="session")
async def url(start: Callable[..., Gateway], upstream: Upstream, unused_tcp_port: int) -> str:
    """The admin listener of a gateway that has had a few requests."""
    running = start(CONFIG.format(url=upstream.url, admin=unused_tcp_port))
    address = await running.ready()
    for _ in range(6):
        await get(address, "/users/1")
    return f"http://127.0.0.1:{unused_tcp_port}"


@pytest.mark.parametrize(
    "options",
    [{"color_scheme": "light"}, {"color_scheme": "dark", "reduced_motion": "reduce"}, {"viewport": NARROW}],
    ids=["light", "dark", "narrow"],
)
async def test_no_screen_has_a_violation_of_wcag_or_of_the_content_security_policy(
    url: str, chromium: Browser, options: dict[str, Any]
) -> None:
    dashboard = await open_dashboard(chromium, url, **options)

    for place, heading in SCREENS.items():
        await dashboard.goes(place)
        await dashboard.page.get_by_role("heading", name=heading, exact=True).wait_for()
        assert (place, await dashboard.axe()) == (place, [])
        width = await dashboard.page.evaluate("() => document.documentElement.scrollWidth - window.innerWidth")
        assert (place, width <= 0) == (place, True), "nothing but a table is scrolled sideways"
    assert await dashboard.complaints() == []


async def test_the_overview_leads_to_an_upstream_with_each_endpoint(url: str, chromium: Browser) -> None:
    dashboard = await open_dashboard(chromium, url)

    await dashboard.clicks("link", "users")

    await dashboard.shows("Upstream users", "127.0.0.1:9", "weighted-round-robin")
    assert await dashboard.page.get_by_role("table", name="Endpoints").get_by_role("row").count() == 3


async def test_routes_are_filtered_and_sorted_and_the_address_keeps_how(url: str, chromium: Browser) -> None:
    dashboard = await open_dashboard(chromium, url)
    await dashboard.goes("/routes")
    await dashboard.shows("3 of 3 routes")

    await dashboard.page.get_by_role("button", name="Route", exact=True).click()
    assert await dashboard.page.locator("tbody th").all_inner_texts() == ["closed", "hello", "users"]
    await dashboard.page.get_by_role("button", name="Route", exact=False).first.click()
    assert await dashboard.page.locator("tbody th").all_inner_texts() == ["users", "hello", "closed"]
    await dashboard.page.get_by_label("Filter").fill("hel")
    await dashboard.shows("1 of 3 routes")
    await dashboard.page.reload()

    await dashboard.shows("1 of 3 routes")
    assert await dashboard.page.get_by_label("Filter").input_value() == "hel"
    assert "sort=id" in dashboard.page.url


async def test_a_route_shows_its_chain_with_places_and_which_route_takes_a_request(url: str, chromium: Browser) -> None:
    dashboard = await open_dashboard(chromium, url)
    await dashboard.goes("/routes/users")

    await dashboard.shows("gateway.yaml:6:5", "for every route", "of this route")
    await dashboard.clicks("button", "Match")
    await dashboard.shows("this route takes it")
    await dashboard.page.get_by_label("URL or path").fill("/hello")
    await dashboard.clicks("button", "Match")
    await dashboard.shows("another route takes it")
    await dashboard.page.get_by_label("URL or path").fill("/nothing")
    await dashboard.clicks("button", "Match")
    await dashboard.shows("no route")
    assert await dashboard.complaints() == []


async def test_all_can_be_reached_with_the_keyboard_and_focus_follows(url: str, chromium: Browser) -> None:
    dashboard = await open_dashboard(chromium, url)
    await dashboard.shows("Recent events")
    keyboard = dashboard.page.keyboard

    await keyboard.press("Tab")
    assert await focused(dashboard.page) == "Skip to the content"
    await keyboard.press("Tab")
    await keyboard.press("Tab")
    assert await focused(dashboard.page) == "Routes"
    await keyboard.press("Enter")
    await dashboard.shows("3 of 3 routes")
    assert await focused(dashboard.page) == "Routes", "the heading of the new screen"
    await keyboard.press("Tab")
    await keyboard.type("users")
    await dashboard.shows("1 of 3 routes")
    for _ in range(20):
        await keyboard.press("Tab")
        if await focused(dashboard.page) == "users":
            break
    await keyboard.press("Enter")
    await dashboard.shows("Effective chain")
    assert await focused(dashboard.page) == "Route users"


async def focused(page: Any) -> str:
    text: str = await page.evaluate("() => document.activeElement.innerText")
    return text
