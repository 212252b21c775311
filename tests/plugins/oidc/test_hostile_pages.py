"""Pages of other origins in a real browser. One of another port is same-site: the browser sends our cookies along."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from gateway_plugin_oidc import Oidc
from gateway_plugin_sdk.testing import RunningGateway, ScriptedUpstream
from playwright.async_api import Page, async_playwright

from tests.plugins.oidc.provider import Provider
from tests.programs import program

pytestmark = [pytest.mark.slow, pytest.mark.in_turn, pytest.mark.timeout(240)]

ATTACK = """async app => {
  const seen = {};
  const status = async (name, target, options) => {
    // What the page may read of a response is nothing; the browser sends the request all the same.
    const answer = await fetch(app + target, {mode: 'no-cors', credentials: 'include', ...options});
    seen[name] = answer.type;
  };
  await status('post', '/steal?post', {method: 'POST', body: 'a=b'});
  await status('get', '/seen', {});
  await new Promise(done => {
    const image = new Image();
    image.onerror = image.onload = done;
    image.src = app + '/oauth2/logout';
  });
  await new Promise(done => {
    const socket = new WebSocket(app.replace('http', 'ws') + '/steal?socket');
    socket.onerror = socket.onopen = done;
    socket.onclose = done;
  });
  await new Promise(done => {
    const frame = document.createElement('iframe');
    frame.name = 'into';
    frame.onload = () => { if (frame.dataset.sent) done(); };
    document.body.append(frame);
    const form = document.createElement('form');
    form.action = app + '/steal?form';
    form.method = 'post';
    form.target = 'into';
    document.body.append(form);
    frame.dataset.sent = '1';
    form.submit();
  });
  return seen;
}"""


@pytest.fixture
def evil() -> Iterator[str]:
    """Serve a page of another port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = b"<!doctype html><title>evil</title><body>"
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Keep quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def app(options: dict[str, Any], provider: Provider, upstream: ScriptedUpstream) -> Iterator[str]:
    """Run the application behind a gateway, and yield its origin."""
    upstream.answer_with(200, "<!doctype html><title>app</title>", headers=[("Content-Type", "text/html")])
    route = {"id": "app", "path_prefix": "/", "target": upstream.url}
    with RunningGateway(
        {"plugins": [{"name": "oidc", "config": options}], "routes": [route]}, plugins=[Oidc]
    ) as gateway:
        # The port is known now; what it is registered with and configured as follows.
        place = f"http://127.0.0.1:{gateway.port}"
        provider.redirect_uris = [f"{place}/cb"]
        plugins = [{"name": "oidc", "config": {**options, "redirect_uri": f"{place}/cb"}}]
        gateway.reload({"listen": place.removeprefix("http://"), "plugins": plugins, "routes": [route]})
        yield place


@asynccontextmanager
async def opened() -> AsyncIterator[Page]:
    path = await asyncio.to_thread(program, "chromium", "chromium")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        )
        try:
            yield await (await browser.new_context()).new_page()
        finally:
            await browser.close()


async def test_a_page_of_another_origin_changes_nothing_and_ends_nothing(
    app: str, evil: str, upstream: ScriptedUpstream
) -> None:
    async with opened() as page:
        await page.goto(f"{app}/cart")
        assert await page.title() == "app"
        upstream.clear()

        await page.goto(evil)
        await page.evaluate(ATTACK, app)
        targets = {request.target for request in upstream.requests}
        await page.goto(f"{app}/still")

        assert await page.title() == "app"
        assert page.url == f"{app}/still"
    assert targets - {"/favicon.ico"} == {"/seen"}, (
        "the browser sends our cookies along: what is safe passes, and no page can read it"
    )


async def test_a_cookie_that_another_port_planted_takes_over_no_session(
    app: str, evil: str, provider: Provider, upstream: ScriptedUpstream
) -> None:
    async with opened() as page, opened() as attacker:
        provider.user = "mallory"
        await attacker.goto(app)
        (stolen,) = [each for each in await attacker.context.cookies() if each["name"] == "gateway-session"]
        provider.user = "alice"
        await page.goto(app)
        await page.goto(evil)

        # Cookies have no port, and a path that is longer comes first.
        await page.evaluate("value => { document.cookie = `gateway-session=${value}; path=/pay` }", stolen["value"])
        upstream.clear()
        answers = [await page.goto(f"{app}{path}") for path in ("/pay/now", "/pay/now", "/cart")]

        assert [each.status for each in answers if each is not None] == [400, 400, 200]
    assert "/pay/now" not in {request.target for request in upstream.requests}
    assert provider.requests["/authorize"] == 2, "the user's own session is still there"


async def test_a_page_that_is_loaded_ahead_begins_no_login(app: str, provider: Provider) -> None:
    async with opened() as page:
        await page.goto(f"{app}/oauth2/logout")
        before = provider.requests["/authorize"]

        # As speculation rules and <link rel=prefetch> do.
        headers = {"Sec-Purpose": "prefetch"}
        answer = await page.request.get(f"{app}/next", headers={**headers, "Accept": "text/html"})

        assert answer.status == 401
        assert provider.requests["/authorize"] == before
