"""What a page of another site can do to a gateway through an operator's browser: nothing, not even read."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

import pytest
from playwright.async_api import Page, Route

from tests.end_to_end.admin_kit import Api
from tests.end_to_end.dashboard.browser import browser, make_token, open_dashboard
from tests.end_to_end.kit import Gateway

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

CONFIG = """
listen: "127.0.0.1:0"
admin: {{listen: "127.0.0.1:{admin}"}}
log: {{format: json}}
routes: [{{id: hello, path: /hello, respond: {{status: 200, body: hello}}}}]
"""
REBOUND: Final = ("--host-resolver-rules=MAP evil.test 127.0.0.1", "--disable-features=LocalNetworkAccessChecks")
"""The name of the hostile site leads to this machine, as it does once an attacker has changed what DNS has.

Some browsers keep pages away from the local network; it is the gateway's own protection that is looked at here.
"""

ATTACK: Final = """async ([url, token]) => {
  const login = token ? {Authorization: `Bearer ${token}`} : {};
  const json = {...login, "Content-Type": "application/json"};
  const route = JSON.stringify({path: "/evil", respond: {status: 200}});
  const sent = async (path, options) => {
    const response = await fetch(url + path, options);
    return `${response.type} ${response.status} ${response.ok ? await response.text() : ""}`.trim();
  };
  const opened = (source, event) => new Promise((resolve) => {
    source.addEventListener(event, () => resolve(event));
    source.addEventListener("error", () => resolve("blocked"));
  });
  const write = (method, path, body, more) => sent(path, {method, headers: {...json, ...more}, body});
  const element = (name, properties) => new Promise((resolve) => {
    const made = Object.assign(document.createElement(name), properties);
    made.addEventListener("load", () => resolve("load"));
    made.addEventListener("error", () => resolve("blocked"));
    document.body.append(made);
  });
  const form = (enctype) => new Promise((resolve) => {
    const frame = Object.assign(document.createElement("iframe"), {name: `frame-${enctype}`});
    document.body.append(frame);
    const to = {method: "POST", action: `${url}/api/v1/reload`, enctype, target: frame.name};
    const made = Object.assign(document.createElement("form"), to);
    made.append(Object.assign(document.createElement("input"), {name: '{"wait": true, "x": "', value: '"}'}));
    document.body.append(made);
    frame.addEventListener("load", () => resolve("sent"));
    made.submit();
  });
  const attacks = {
    read: () => sent("/api/v1/overview", {headers: login}),
    metrics: () => sent("/metrics", {}),
    "read without CORS": () => sent("/api/v1/overview", {mode: "no-cors"}),
    reload: () => write("POST", "/api/v1/reload", "{}"),
    "reload as text": () => sent("/api/v1/reload", {method: "POST", mode: "no-cors", body: "{}"}),
    "level of the log": () => write("POST", "/api/v1/log:level", '{"level": "error"}'),
    "new route": () => write("PUT", "/api/v1/routes/evil", route, {"If-None-Match": "*"}),
    "another method": () => write("POST", "/api/v1/routes/evil", route, {"X-HTTP-Method-Override": "PUT"}),
    form: () => form("text/plain"),
    "form of fields": () => form("application/x-www-form-urlencoded"),
    script: () => element("script", {src: `${url}/api/v1/overview`}),
    image: () => element("img", {src: `${url}/api/v1/overview`}),
    events: () => opened(new EventSource(`${url}/api/v1/events`), "open"),
    WebSocket: () => opened(new WebSocket(`${url.replace("http", "ws")}/api/v1/events`), "open"),
  };
  navigator.sendBeacon(`${url}/api/v1/reload`, new Blob(["{}"], {type: "text/plain"}));
  const found = {};
  for (const [name, run] of Object.entries(attacks)) {
    found[name] = await run().catch(() => "blocked");
  }
  return found;
}"""


async def site(page: Page, address: str) -> None:
    """Show a page of the hostile site, without a server for it."""

    async def fulfill(route: Route) -> None:
        await route.fulfill(content_type="text/html", body="<!doctype html><title>hostile</title><body></body>")

    await page.route(address, fulfill)
    await page.goto(address)


@pytest.mark.parametrize("role", ["", "viewer", "editor"], ids=["no token", "stolen viewer token", "editor token"])
async def test_a_hostile_page_reads_and_changes_nothing(
    start: Callable[..., Gateway], unused_tcp_port: int, api: Api, role: str
) -> None:
    token = await make_token("stolen", "--role", role) if role else ""
    running = start(CONFIG.format(admin=unused_tcp_port))
    await running.says("server.listening")
    before = await state(api)
    async with browser(*REBOUND) as chromium:
        dashboard = await open_dashboard(chromium, f"http://127.0.0.1:{unused_tcp_port}")
        page = await dashboard.page.context.new_page()

        await site(page, "http://evil.test/page")
        elsewhere = await page.evaluate(ATTACK, [f"http://127.0.0.1:{unused_tcp_port}", token])
        # A form is sent, and what it gets cannot be seen: that nothing has changed is looked at below.
        assert elsewhere == {name: "sent" if "form" in name else "blocked" for name in elsewhere}, elsewhere
        await page.evaluate("(url) => { document.body.innerHTML = `<iframe src=${url}></iframe>` }", dashboard.url)
        # The browser shows an error in its place.
        await page.frame_locator("iframe").locator("body.neterror").wait_for(state="attached")

        # Of the same origin: only the name in Host gives it away.
        await site(page, f"http://evil.test:{unused_tcp_port}/page")
        rebound = await page.evaluate(ATTACK, [f"http://evil.test:{unused_tcp_port}", token])
        statuses = {name: result for name, result in rebound.items() if result not in {"blocked", "sent"}}
        assert {result.removeprefix("basic ") for result in statuses.values()} == {"421"}, rebound

    assert await state(api) == before
    writes = [json.loads(line) for line in running.lines if '"admin.write"' in line]
    assert [each for each in writes if each["status"] < 400] == []
    await running.stops()


async def state(api: Api) -> Any:
    """Return what an attack would change."""
    _, overview, _ = await api("GET", "overview")
    _, document, _ = await api("GET", "config/document")
    return overview["last_reload"], overview["overrides"], document
