"""What an operator finds with the dashboard alone: an endpoint that dies, a plugin that fails on one route."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.async_api import Browser

from tests.end_to_end.admin_kit import Api
from tests.end_to_end.dashboard.browser import make_token, open_dashboard
from tests.end_to_end.kit import Gateway, Upstream, get

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300), pytest.mark.usefixtures("api")]

CONFIG = """
listen: "127.0.0.1:0"
admin: {{listen: "127.0.0.1:{admin}"}}
workers: 2
upstreams: [{{name: users, endpoints: [{{url: "{url}"}}, {{url: "http://127.0.0.1:9"}}]}}]
routes:
  - {{id: users, path_prefix: /users, target: users}}
"""


async def test_attempts_that_get_no_response_count_as_errors_of_their_endpoint(
    start: Callable[..., Gateway], upstream: Upstream, unused_tcp_port: int, chromium: Browser
) -> None:
    running = start(CONFIG.format(url=upstream.url, admin=unused_tcp_port))
    address = await running.ready()
    dashboard = await open_dashboard(chromium, f"http://127.0.0.1:{unused_tcp_port}")
    await dashboard.goes("/upstreams/users")
    row = dashboard.page.get_by_role("row").filter(has_text="127.0.0.1:9 ")
    await row.wait_for()

    while await row.get_by_role("cell", name="100 %").count() == 0:
        await get(address, "/users/1")

    cells = await row.get_by_role("cell").all_inner_texts()
    assert re.fullmatch(r"[1-9].*|0\.[1-9]", cells[3]), "attempts a second"
    await dashboard.goes("/upstreams")
    other = dashboard.page.get_by_role("row").filter(has_text="users")
    await other.get_by_text(re.compile(r"^[1-9][\d.]* %$")).first.wait_for()
    assert await dashboard.complaints() == []
    await running.stops()


PLUGIN = """
from gateway_plugin_sdk import Plugin, hookimpl

class Picky(Plugin[dict]):
    name = "picky"
    config_schema = {"type": "object"}

    @hookimpl
    def gateway_pre_proxy(self, request):
        if request.path.startswith("/orders"):
            raise KeyError("no such tenant")
"""
BOUND = """
listen: "127.0.0.1:0"
admin: {{listen: "127.0.0.1:{admin}"}}
workers: 2
upstreams: [{{name: shop, endpoints: [{{url: "{url}"}}]}}]
routes:
  - {{id: orders, path_prefix: /orders, target: shop, plugins: [{{name: picky, quarantine: {quarantine}}}]}}
  - {{id: users, path_prefix: /users, target: shop, plugins: [{{name: picky, quarantine: {quarantine}}}]}}
"""
QUARANTINE = "{failures: 1, clients: 1, open_for: 1h}"


async def test_a_plugin_that_fails_on_one_route_is_found_at_its_binding_and_released(
    start: Callable[..., Gateway],
    upstream: Upstream,
    unused_tcp_port: int,
    chromium: Browser,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    metadata = tmp_path / "site" / "picky-1.0.dist-info"
    metadata.mkdir(parents=True)
    (tmp_path / "site" / "picky_plugin.py").write_text(PLUGIN)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: picky\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[gateway.plugins]\npicky = picky_plugin:Picky\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))
    await make_token("first")
    running = start(BOUND.format(url=upstream.url, admin=unused_tcp_port, quarantine=QUARANTINE))
    address = await running.ready()
    assert (await get(address, "/users/1"))[0] == 200
    dashboard = await open_dashboard(chromium, f"http://127.0.0.1:{unused_tcp_port}")
    await dashboard.logs_in(await make_token("ops", "--role", "operator"))
    await dashboard.goes("/plugins")
    bindings = dashboard.page.get_by_role("table", name="Bindings")
    failing = bindings.get_by_role("row").filter(has_text="orders/picky")
    await failing.wait_for()
    # In one worker or in both; a mark stands before the text.
    while await failing.get_by_text("in quarantine").count() == 0:
        await get(address, "/orders/1")

    fine = bindings.get_by_role("row").filter(has_text="users/picky")
    assert "runs" in await fine.inner_text()
    assert await bindings.get_by_role("button").all_inner_texts() == ["Release"]
    await dashboard.goes("/routes/orders")
    await dashboard.shows("in quarantine")
    await dashboard.clicks("link", "shop")
    await dashboard.shows("Upstream shop")

    await dashboard.goes("/plugins")
    await dashboard.clicks("button", "Release orders/picky")
    dialog = dashboard.page.get_by_role("dialog")
    await dialog.get_by_label("Reason").fill("mended")
    await dialog.get_by_role("button", name="Release").click()
    await dashboard.shows("orders/picky is released.", "released: no failure brings it into quarantine")
    assert await dashboard.axe() == []
    assert await dashboard.complaints() == []
    await running.stops()


async def test_overrides_and_the_level_of_the_log_are_on_the_health_screen(
    start: Callable[..., Gateway], upstream: Upstream, unused_tcp_port: int, chromium: Browser
) -> None:
    await make_token("first")
    running = start(CONFIG.format(url=upstream.url, admin=unused_tcp_port))
    await running.ready()
    dashboard = await open_dashboard(chromium, f"http://127.0.0.1:{unused_tcp_port}")
    await dashboard.logs_in(await make_token("ops", "--role", "operator"))
    await dashboard.goes("/health")
    await dashboard.shows("Everything is as configured.")

    await dashboard.clicks("button", "Change the level")
    dialog = dashboard.page.get_by_role("dialog")
    await dialog.get_by_label("Level").select_option("debug")
    await dialog.get_by_label("Reason").fill("look closer")
    await dialog.get_by_role("button", name="Change").click()
    await dashboard.shows("The level of the log is debug.", "look closer")
    assert await dashboard.axe() == []
    await dashboard.goes("/overview")
    await dashboard.page.get_by_role("definition").get_by_role("link", name="1", exact=True).click()

    await dashboard.clicks("button", "Change the level")
    await dialog.get_by_label("Level").select_option("as configured")
    await dialog.get_by_role("button", name="Change").click()
    await dashboard.shows("The level of the log is as configured.", "Everything is as configured.")
    assert await dashboard.complaints() == []
    await running.stops()


async def test_a_page_that_is_opened_later_knows_when_a_route_was_used_and_finds_the_slowest(
    start: Callable[..., Gateway], upstream: Upstream, unused_tcp_port: int, chromium: Browser, api: Api
) -> None:
    running = start(CONFIG.format(url=upstream.url, admin=unused_tcp_port))
    address = await running.ready()
    assert (await api("GET", "routes/users"))[1]["last_used"] is None
    await get(address, "/users/1")
    while (await api("GET", "routes/users"))[1]["last_used"] is None:
        await get(address, "/users/1")

    dashboard = await open_dashboard(chromium, f"http://127.0.0.1:{unused_tcp_port}")
    await dashboard.goes("/routes/users")
    await dashboard.page.get_by_text(re.compile(r"^(now|\d+ \w+ ago)$")).first.wait_for()
    await dashboard.goes("/overview")
    await dashboard.clicks("link", "The slowest routes")
    sorted_by = dashboard.page.get_by_role("columnheader", name="p95")
    assert await sorted_by.get_attribute("aria-sort") == "descending"
    await dashboard.page.get_by_role("button", name="Errors").click()
    assert await dashboard.page.get_by_role("columnheader", name="Errors").get_attribute("aria-sort") == "descending"
    await running.stops()


async def test_reload_is_asked_for_and_its_problems_are_shown(
    start: Callable[..., Gateway], upstream: Upstream, unused_tcp_port: int, chromium: Browser
) -> None:
    await make_token("first")
    running = start(CONFIG.format(url=upstream.url, admin=unused_tcp_port))
    await running.ready()
    dashboard = await open_dashboard(chromium, f"http://127.0.0.1:{unused_tcp_port}")
    await dashboard.logs_in(await make_token("ops", "--role", "operator"))
    await dashboard.goes("/configuration")
    dialog = dashboard.page.get_by_role("dialog")

    await dashboard.clicks("button", "Reload")
    await dialog.get_by_role("button", name="Reload").click()
    await dashboard.shows("The configuration was reloaded.")
    await running.rewrites(running.config.read_text().replace("target:", "targt:"), "rejected")
    await dashboard.clicks("button", "Reload")
    await dialog.get_by_role("button", name="Reload").click()
    await dashboard.shows("The reload failed: nothing has changed.", "What the reload found", 'unknown key "targt"')
    assert await dashboard.complaints() == []
    await running.stops()


MANY = """
listen: "127.0.0.1:0"
admin: {{listen: "127.0.0.1:{admin}"}}
upstreams: [{upstreams}]
routes: [{{id: all, path_prefix: /, target: u0}}]
"""
LEAVE_OUT = """async () => {
  const { live } = await import("/dashboard/live.js");
  const last = live.series.findLast((each) => each.data);
  last.data.left_out = {routes: {count: 7, requests: 9, errors: 2}, upstreams: {count: 3, requests: 4, errors: 0}};
}"""


async def test_a_table_that_has_only_the_first_rows_names_the_others(
    start: Callable[..., Gateway], upstream: Upstream, unused_tcp_port: int, chromium: Browser
) -> None:
    upstreams = ", ".join(f'{{name: u{number}, endpoints: [{{url: "{upstream.url}"}}]}}' for number in range(201))
    running = start(MANY.format(admin=unused_tcp_port, upstreams=upstreams))
    await running.ready()
    dashboard = await open_dashboard(chromium, f"http://127.0.0.1:{unused_tcp_port}")
    await dashboard.shows("The first 20 of 201 upstreams are shown.")
    await dashboard.page.get_by_text(re.compile(r"requests/s \d")).first.wait_for()
    await dashboard.goes("/upstreams")
    await dashboard.shows("The first 200 of 201 upstreams are shown.")

    await dashboard.clicks("button", "Pause live data")
    # More than 100 routes within one second cannot be had on every machine: the page gets it from here.
    await dashboard.page.evaluate(LEAVE_OUT)
    await dashboard.goes("/routes")
    await dashboard.shows("Without figures: 7 more routes, which had 9 requests and 2 errors in the last second.")
    await dashboard.goes("/upstreams")
    await dashboard.shows("Without figures: 3 more upstreams")
    assert await dashboard.complaints() == []
    await running.stops()
