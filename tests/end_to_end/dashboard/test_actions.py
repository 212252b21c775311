"""What the dashboard changes: only by a role that may, after a question, with the problems of what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.async_api import Browser

from tests.end_to_end.admin_kit import Api
from tests.end_to_end.dashboard.browser import Dashboard, make_token, open_dashboard
from tests.end_to_end.kit import Gateway, Upstream, eventually, get

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300), pytest.mark.usefixtures("api")]

CONFIG = """
listen: "127.0.0.1:0"
admin: {{listen: "127.0.0.1:{admin}"}}
upstreams: [{{name: users, endpoints: [{{url: "{url}"}}]}}]
routes:
  - {{id: users, path_prefix: /users, target: users}}
"""


@pytest.fixture
def running(start: Callable[..., Gateway], upstream: Upstream, unused_tcp_port: int) -> Gateway:
    return start(CONFIG.format(url=upstream.url, admin=unused_tcp_port))


async def logged_in(chromium: Browser, port: int, role: str) -> Dashboard:
    dashboard = await open_dashboard(chromium, f"http://127.0.0.1:{port}")
    await dashboard.logs_in(await make_token(f"the-{role}", "--role", role))
    await dashboard.shows(f"the-{role} ({role})")
    return dashboard


async def test_a_bad_deploy_is_found_with_its_place_and_rolled_back_until_it_is_unpinned(
    running: Gateway, chromium: Browser, unused_tcp_port: int, tmp_path: Path
) -> None:
    await make_token("first")
    address = await running.ready()
    good = (tmp_path / "gateway.yaml").read_text()
    await running.rewrites(good.replace("/users", "/people"))
    dashboard = await logged_in(chromium, unused_tcp_port, "editor")
    await dashboard.goes("/configuration")

    await dashboard.clicks("button", "Compare version 1 with the newest")
    await dashboard.shows("1 differences", "routes[users].path_prefix")
    assert await dashboard.axe() == []
    await dashboard.clicks("button", "Roll back to version 1")
    await dashboard.shows("Roll back to version 1?")
    await dashboard.page.get_by_label("Reason").fill("people <b>complain</b>")
    assert await dashboard.axe() == []
    await dashboard.page.get_by_role("dialog").get_by_role("button", name="Roll back").click()
    await dashboard.shows("Version 1 is in force and pinned.", "pinned to version 1", ": people <b>complain</b>")
    await eventually(address, "/users/1", "200")

    await dashboard.clicks("button", "Unpin")
    await dashboard.page.get_by_role("dialog").get_by_role("button", name="Unpin").click()
    await dashboard.shows("Files and sources count again.")
    await eventually(address, "/people/1", "200")

    await running.rewrites(good.replace("target:", "targt:"), "configuration rejected|rejected")
    await dashboard.shows("The last reload failed", "unknown key")
    assert "^" in await dashboard.page.get_by_role("region", name="Problems").inner_text(), "a caret shows the place"
    assert await dashboard.complaints() == []
    await running.stops()


async def test_a_route_is_made_checked_changed_and_deleted(
    running: Gateway, chromium: Browser, unused_tcp_port: int
) -> None:
    await make_token("first")
    address = await running.ready()
    dashboard = await logged_in(chromium, unused_tcp_port, "editor")
    await dashboard.goes("/routes")
    dialog = dashboard.page.get_by_role("dialog")

    await dashboard.clicks("button", "New route")
    await dialog.get_by_label("id").fill("orders")
    definition = dialog.get_by_label("Definition, as JSON")
    await definition.fill('{"path_prefix": "/orders", "targt": "users"}')
    await dialog.get_by_role("button", name="Save").click()
    await dashboard.shows("Refused")
    assert "^" in await dialog.get_by_role("region", name="Problems").inner_text()
    assert (await get(address, "/orders/1"))[0] == 404
    await definition.fill('{"path_prefix": "/orders", "target": "users"}')
    await dialog.get_by_role("button", name="Check").click()
    await dialog.get_by_text("fine").wait_for()
    assert (await get(address, "/orders/1"))[0] == 404
    await dialog.get_by_role("button", name="Save").click()
    await dashboard.shows("It is in force.")
    assert (await get(address, "/orders/1"))[0] == 200

    await dashboard.clicks("link", "orders")
    await dashboard.clicks("button", "Edit")
    await definition.fill('{"id": "orders", "path_prefix": "/sales", "target": "users"}')
    await dialog.get_by_role("button", name="Save").click()
    await eventually(address, "/sales/1", "200")
    await dialog.wait_for(state="detached")
    await dashboard.clicks("button", "Delete")
    await dialog.get_by_role("button", name="Delete").click()
    await dashboard.shows("orders is deleted.", "1 of 1 routes")
    await eventually(address, "/sales/1", "404")
    assert await dashboard.complaints() == []
    await running.stops()


async def test_a_binding_is_made_from_the_schema_checked_and_added_to_a_route(
    running: Gateway, chromium: Browser, unused_tcp_port: int
) -> None:
    await make_token("first")
    address = await running.ready()
    dashboard = await logged_in(chromium, unused_tcp_port, "editor")
    await dashboard.goes("/routes")
    dialog = dashboard.page.get_by_role("dialog")
    await dashboard.clicks("button", "New route")
    await dialog.get_by_label("id").fill("orders")
    await dialog.get_by_label("Definition, as JSON").fill('{"path_prefix": "/orders", "target": "users"}')
    await dialog.get_by_role("button", name="Save").click()
    await dashboard.shows("It is in force.")

    await dashboard.goes("/plugins/ratelimit")
    await dashboard.page.get_by_label("quota", exact=True).fill("1")
    await dashboard.page.get_by_role("button", name="Check").click()
    await dashboard.shows("Refused")
    await dashboard.page.get_by_label("window", exact=True).fill("1h")
    assert await dashboard.page.get_by_role("region", name="YAML").inner_text() == (
        '- name: ratelimit\n  config:\n    quota: 1\n    window: "1h"\n'
    )
    await dashboard.page.get_by_role("button", name="Check").click()
    await dashboard.shows("fine")
    assert await dashboard.axe() == []
    await dashboard.clicks("button", "Add to a route")
    await dialog.get_by_role("button", name="Add").click()
    await dialog.wait_for(state="detached")

    assert [(await get(address, "/orders/1"))[0] for _ in range(2)] == [200, 429]
    assert await dashboard.complaints() == []
    await running.stops()


async def test_a_viewer_is_offered_nothing_that_would_be_refused(
    running: Gateway, chromium: Browser, unused_tcp_port: int
) -> None:
    await make_token("first")
    await running.ready()
    dashboard = await logged_in(chromium, unused_tcp_port, "viewer")

    for place, heading in (
        ("/routes", "Routes in force"),
        ("/upstreams/users", "Endpoints"),
        ("/configuration", "History"),
        ("/plugins", "Catalogue"),
    ):
        await dashboard.goes(place)
        await dashboard.page.get_by_role("heading", name=heading, exact=True).wait_for()
        buttons = set(await dashboard.page.get_by_role("main").get_by_role("button").all_inner_texts())
        assert buttons & {"New route", "Drain", "Reload", "Roll back", "Unpin", "Release", "Edit", "Delete"} == set()
    await running.stops()


async def test_an_endpoint_is_drained_and_gets_requests_again_the_last_one_only_by_force(
    running: Gateway, chromium: Browser, unused_tcp_port: int
) -> None:
    await make_token("first")
    address = await running.ready()
    dashboard = await logged_in(chromium, unused_tcp_port, "operator")
    await dashboard.goes("/upstreams/users")
    dialog = dashboard.page.get_by_role("dialog")

    await dashboard.page.get_by_role("button", name="Drain 127").click()
    await dialog.get_by_label("Reason").fill("new disk")
    await dialog.get_by_role("button", name="Drain").click()
    await dashboard.shows("Refused")
    assert (await get(address, "/users/1"))[0] == 200
    await dialog.get_by_label("Even if it is the last one that is up").check()
    await dialog.get_by_role("button", name="Drain").click()
    await dashboard.shows("is drained.", "by the-operator: new disk")
    await eventually(address, "/users/1", "503")
    assert await dashboard.axe() == []

    await dashboard.page.get_by_role("button", name="get requests").click()
    await dialog.get_by_role("button", name="Up").click()
    await dashboard.shows("gets requests.")
    await eventually(address, "/users/1", "200")
    assert await dashboard.complaints() == []
    await running.stops()


async def test_a_check_names_what_would_be_lost_and_changes_nothing(
    running: Gateway, chromium: Browser, unused_tcp_port: int, api: Api
) -> None:
    await make_token("first")
    await running.ready()
    made = {"endpoints": [{"url": "http://127.0.0.1:9"}]}
    assert (await api("PUT", "upstreams/more", made, {"If-None-Match": "*"}))[0] == 201
    dashboard = await logged_in(chromium, unused_tcp_port, "editor")
    await dashboard.goes("/upstreams/more")
    dialog = dashboard.page.get_by_role("dialog")

    await dashboard.clicks("button", "Edit")
    definition = dialog.get_by_label("Definition, as JSON")
    await definition.fill(
        '{"name": "more", "endpoints": [{"url": "http://127.0.0.1:9"}, {"url": "http://127.0.0.1:7"}]}'
    )
    await dialog.get_by_role("button", name="Check").click()
    await dialog.get_by_text("No connections and no state of plugins would be lost.").wait_for()
    await definition.fill('{"name": "more", "endpoints": [{"url": "http://127.0.0.1:7"}]}')
    await dialog.get_by_role("button", name="Check").click()

    lost = dialog.get_by_text("Connections to http://127.0.0.1:9 of more, with 0 requests in flight")
    await lost.wait_for()
    assert await dashboard.axe() == []
    _, found, _ = await api("GET", "config/document")
    assert "127.0.0.1:7" not in json.dumps(found)
    assert await dashboard.complaints() == []
    await running.stops()
