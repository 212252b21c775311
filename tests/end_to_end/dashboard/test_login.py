"""Tokens of the dashboard: asked for, sent in a header field only, refused, and out of date."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from playwright.async_api import Browser

from tests.end_to_end.dashboard.browser import admin_command, make_token, open_dashboard
from tests.end_to_end.kit import Gateway

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300), pytest.mark.usefixtures("api")]

CONFIG = """
listen: "127.0.0.1:0"
admin: {{listen: "127.0.0.1:{admin}"}}
routes: [{{id: hello, path: /hello, respond: {{status: 200, body: hello}}}}]
"""


async def test_a_gateway_without_tokens_is_shown_to_all_of_the_machine(
    start: Callable[..., Gateway], unused_tcp_port: int, chromium: Browser
) -> None:
    running = start(CONFIG.format(admin=unused_tcp_port))
    await running.ready()

    dashboard = await open_dashboard(chromium, f"http://127.0.0.1:{unused_tcp_port}")

    await dashboard.shows("anonymous (viewer)", "ready")
    assert await dashboard.complaints() == []
    await running.stops()


async def test_a_token_is_asked_for_kept_for_the_tab_and_sent_in_a_header_field_only(
    start: Callable[..., Gateway], unused_tcp_port: int, chromium: Browser
) -> None:
    token = await make_token("ops", "--role", "operator")
    running = start(CONFIG.format(admin=unused_tcp_port))
    await running.ready()
    dashboard = await open_dashboard(chromium, f"http://127.0.0.1:{unused_tcp_port}")
    addresses: list[str] = []
    dashboard.page.on("request", lambda request: addresses.append(request.url))

    await dashboard.logs_in("wrong")
    await dashboard.shows("the token is unknown, has expired or was revoked")
    assert await dashboard.axe() == []
    await dashboard.logs_in(token)
    await dashboard.shows("ops (operator)")
    await dashboard.page.reload()
    await dashboard.shows("ops (operator)")

    assert token not in " ".join([*addresses, dashboard.page.url])
    assert await dashboard.page.evaluate("() => [localStorage.length, document.cookie]") == [0, ""]
    other_tab = await dashboard.page.context.new_page()
    await other_tab.goto(dashboard.url)
    await other_tab.get_by_label("Token").wait_for()
    assert await dashboard.complaints() == []

    await dashboard.clicks("button", "Log out")
    await dashboard.page.get_by_label("Token").wait_for()
    assert await dashboard.page.evaluate("() => sessionStorage.length") == 0
    await running.stops()


async def revoke(_state: Path) -> None:
    await admin_command("token", "revoke", "ops")


async def expire(state: Path, at: float = 1_000_000_000.0) -> None:
    """Have the time of the token's end be over, as it is when it has passed."""
    file = state / "gateway" / "admin-tokens.json"
    content = json.loads(file.read_text())
    for each in content["tokens"]:
        if each["name"] == "ops":
            each["expires"] = at
    # As the gateway's own commands do it: it is never half written.
    changed = file.with_suffix(".new")
    changed.touch(mode=0o600)
    changed.write_text(json.dumps(content))
    changed.rename(file)


async def expire_soon(state: Path) -> None:
    """Have the token end by the time of the clock."""
    clock = state / "clock"
    clock.touch()
    await expire(state, clock.stat().st_mtime + 2)


@pytest.mark.parametrize("end", [revoke, expire, expire_soon])
async def test_a_token_that_ends_meanwhile_is_asked_for_again_on_the_same_screen(
    start: Callable[..., Gateway],
    unused_tcp_port: int,
    chromium: Browser,
    tmp_path: Path,
    end: Callable[[Path], Awaitable[None]],
) -> None:
    old, new = await make_token("ops", "--role", "viewer"), await make_token("next", "--role", "viewer")
    running = start(CONFIG.format(admin=unused_tcp_port))
    await running.ready()
    dashboard = await open_dashboard(chromium, f"http://127.0.0.1:{unused_tcp_port}")
    await dashboard.logs_in(old)
    await dashboard.clicks("link", "Upstreams")
    await dashboard.shows("0 of 0 upstreams")

    await end(tmp_path / "state")

    await dashboard.shows("the token is unknown, has expired or was revoked")
    await dashboard.logs_in(new)
    await dashboard.shows("next (viewer)", "0 of 0 upstreams")
    assert await dashboard.complaints() == []
    await running.stops()
