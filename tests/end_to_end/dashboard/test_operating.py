"""What an operator finds with the dashboard alone: an endpoint that dies, a plugin that fails on one route."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.async_api import Browser

from tests.end_to_end.dashboard.browser import open_dashboard
from tests.end_to_end.kit import Gateway, Upstream, get

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240), pytest.mark.usefixtures("api")]

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
