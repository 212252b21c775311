"""`oidc` in a gateway of two workers: whichever of them a request comes to, sessions are the same."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlencode, urlsplit

import pytest
import yaml
from gateway_plugin_sdk.testing import Answer, RunningGateway, ScriptedUpstream, eventually
from gateway_plugin_sdk.testing import Client as HttpClient

from tests.end_to_end.kit import Gateway
from tests.plugins.oidc.conftest import HOST, KEY, Browser
from tests.plugins.oidc.provider import Provider
from tests.plugins.ratelimit.stores.conftest import Valkey
from tests.ports import free_port
from tests.protocols.alternating import port_in_turn

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
REQUESTS = 40
"""Over as many connections: enough for both workers to get some."""


class Workers:
    """A gateway of two workers as `Browser` has it: each request on a connection of its own."""

    def __init__(self, folder: Path, provider: Provider, upstream: ScriptedUpstream, **options: Any) -> None:
        self.port = self.clients_port = free_port()
        self.log = folder / "access.log"
        self.file = folder / "gateway.yaml"
        self._target = upstream.url
        self._options = {
            "issuer": provider.issuer, "client_id": provider.client_id, "client_secret": provider.client_secrets[0],
            "redirect_uri": f"http://{HOST}/cb", "keys": [KEY], "backchannel_logout_path": "/backchannel",
            "access_token_header": "X-Token", **options,
        }  # fmt: skip

    def text(self, **changes: Any) -> str:
        plugins = [
            {"name": "logger", "config": {"path": str(self.log), "fields": ["pid", "path"]}},
            {"name": "oidc", "config": {**self._options, **changes}},
        ]
        return yaml.safe_dump(
            {
                "listen": f"127.0.0.1:{self.port}", "workers": 2, "plugins": plugins,
                "routes": [{"id": "app", "path_prefix": "/", "target": self._target}],
            }
        )  # fmt: skip

    def request(self, method: str, target: str, **what: Any) -> Answer:
        return HttpClient("127.0.0.1", self.clients_port).request(method, target, **what)

    def browser(self) -> Browser:
        return Browser(cast("RunningGateway", self))

    def pids(self, path: str) -> set[int]:
        """Return the workers that requests for a path came to."""
        lines = [json.loads(line) for line in self.log.read_text().splitlines()]
        return {line["pid"] for line in lines if line["path"] == path}

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Gateway]:
        self.file.write_text(self.text())
        gateway = Gateway(self.file)
        try:
            await gateway.ready()
            async with port_in_turn(self.port) as self.clients_port:
                yield gateway
            await gateway.stops()
        finally:
            gateway.kill()


@pytest.fixture
def provider() -> Iterator[Provider]:
    with Provider() as running:
        running.redirect_uris = [f"http://{HOST}/cb"]
        yield running


@pytest.fixture
def upstream() -> Iterator[ScriptedUpstream]:
    with ScriptedUpstream() as running:
        yield running


@pytest.fixture(params=["sealed cookies", "sealed cookies and valkey", "valkey"])
def workers(request: Any, tmp_path: Path, provider: Provider, upstream: ScriptedUpstream) -> Iterator[Workers]:
    if request.param == "sealed cookies":
        yield Workers(tmp_path, provider, upstream, session={"single_gateway": True})
        return
    server = Valkey(tmp_path)
    store = "valkey" if request.param == "valkey" else "cookie"
    valkey = {"url": server.url, "timeout": "20s"}
    yield Workers(tmp_path, provider, upstream, session={"store": store}, valkey=valkey)
    server.kill()


def log_in(browser: Browser) -> None:
    """Log in without a request with the new session."""
    callback = urlsplit(browser.to_provider())
    assert browser.send("GET", f"{callback.path}?{callback.query}").status == 303


def statuses(workers: Workers, cookies: dict[str, str], path: str) -> set[int]:
    """Send the same cookies over many connections at once; return which statuses came back."""

    def visit(_: int) -> int:
        one = workers.browser()
        one.cookies = dict(cookies)
        return one.get(path).status

    with ThreadPoolExecutor(REQUESTS) as pool:
        return set(pool.map(visit, range(REQUESTS)))


async def test_all_workers_have_the_sessions_the_refreshes_and_the_ends(
    workers: Workers, provider: Provider, upstream: ScriptedUpstream
) -> None:
    async with workers.running():
        browser = workers.browser()
        # The access token is over at once: every request with this cookie needs the new one.
        provider.expires_in = 0.01
        await asyncio.to_thread(log_in, browser)
        await asyncio.sleep(5 * provider.expires_in)  # until the token is over, which is a matter of time alone
        provider.expires_in = 3600
        provider.refreshing.clear()

        def let_one_through() -> None:
            eventually(lambda: provider.requests["refresh"] == 1)
            provider.refreshing.set()

        refreshed, _ = await asyncio.gather(
            asyncio.to_thread(statuses, workers, browser.cookies, "/refresh"), asyncio.to_thread(let_one_through)
        )

        assert refreshed == {200}
        assert provider.requests["refresh"] == 1, "of two workers one asks"
        assert len({request.headers["x-token"] for request in upstream.requests}) == 1

        await asyncio.to_thread(browser.get, "/")
        copied = dict(browser.cookies)
        assert await asyncio.to_thread(statuses, workers, copied, "/before") == {200}
        assert (await asyncio.to_thread(browser.send, "GET", "/oauth2/logout")).status == 303
        assert await asyncio.to_thread(statuses, workers, copied, "/after") == {401}, "copies end with the session"

        await asyncio.to_thread(log_in, browser)
        assert await asyncio.to_thread(statuses, workers, browser.cookies, "/before") == {200}
        form = {"Host": "x", "Content-Type": "application/x-www-form-urlencoded"}
        body = urlencode({"logout_token": provider.logout_token(sub="alice", sid="sid-of-alice")}).encode()
        answer = await asyncio.to_thread(workers.request, "POST", "/backchannel", headers=form, body=body)
        assert answer.status == 200
        assert await asyncio.to_thread(statuses, workers, browser.cookies, "/after") == {401}
    assert [len(workers.pids(path)) for path in ("/refresh", "/before", "/after")] == [2, 2, 2]


@pytest.mark.parametrize("workers", ["sealed cookies", "valkey"], indirect=True)
async def test_a_login_and_a_session_go_on_over_a_reload_and_a_restart(workers: Workers) -> None:
    reloaded, restarted = workers.browser(), workers.browser()
    async with workers.running() as gateway:
        callback = await asyncio.to_thread(reloaded.to_provider, "/a")
        later = await asyncio.to_thread(restarted.to_provider, "/b")
        await gateway.rewrites(workers.text(realm="other"))

        back = await asyncio.to_thread(reloaded.follow, callback)
        assert (back.status, urlsplit(back.headers["location"]).path) == (303, "/a")
        assert (await asyncio.to_thread(reloaded.get, "/a")).status == 200
    async with workers.running():
        back = await asyncio.to_thread(restarted.follow, later)
        assert (back.status, urlsplit(back.headers["location"]).path) == (303, "/b")
        assert [(await asyncio.to_thread(each.get, "/")).status for each in (reloaded, restarted)] == [200, 200]
