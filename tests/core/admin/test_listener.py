from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from gateway_core.admin import Access, AdminListener, Place
from gateway_core.clock import ManualClock, SystemClock
from gateway_core.config import GatewayConfig, LoadedConfig
from gateway_core.config.api_document import ApiDocument
from gateway_core.errors import GatewayError, RefusedError
from gateway_core.observe.live_feed import LiveFeed
from gateway_core.process.listeners import open_site
from gateway_core.process.override_keeper import OverrideKeeper
from gateway_core.process.route_use import LastUsed
from gateway_core.process.sockets import BindError

from tests.ports import free_port


@dataclass
class Outcome:
    status: int
    shown: list[dict[str, Any]]

    def entries(self) -> list[dict[str, Any]]:
        return self.shown


class Writer:
    """A document in memory, which every edit is applied to."""

    name = "api.json"

    def __init__(self) -> None:
        self.content = ApiDocument()

    async def document(self) -> ApiDocument:
        return self.content

    async def write(
        self, edit: Callable[[ApiDocument], ApiDocument], why: str, *, dry_run: bool = False
    ) -> tuple[ApiDocument, Mapping[str, Any]]:
        after = edit(self.content)
        if not dry_run:
            self.content = after
        return after, {"trigger": why}


class View:
    """What a gateway would show."""

    def __init__(self) -> None:
        self.writer = Writer()
        self.overrides = OverrideKeeper(Path("/var/empty/gateway"), ["gateway.yaml"], lambda: None)
        self.version: str | None = "v1"
        self.more: dict[str, Any] = {}
        self.is_broken = False
        self.reloads = 0
        self.is_draining = False
        self.bindings: list[dict[str, Any]] = []
        self.let_in = Access()
        self.was_entered = asyncio.Event()
        """Whether it was asked for plugins."""
        self._live: LiveFeed | None = None
        self.last_used = LastUsed(self._no_routes, ManualClock())

    async def _no_routes(self) -> list[str]:
        return []

    @property
    def live(self) -> LiveFeed:
        if self._live is None:
            self._live = LiveFeed(SystemClock())
        return self._live

    async def history(self) -> Mapping[str, Any]:
        return {"versions": [], "pinned": None}

    async def kept_version(self, number: int) -> Mapping[str, Any]:
        raise RefusedError(404, "not-found", f"no version {number} is kept")

    async def diff(self, old: int | None, new: int | None) -> Mapping[str, Any]:
        return {"from": old, "to": new, "differences": []}

    async def roll_back(self, number: int, by: str, reason: str) -> Mapping[str, Any]:
        return {"number": number, "by": by, "reason": reason}

    async def try_roll_back(self, number: int) -> Mapping[str, Any]:
        return {"result": "ok", "number": number}

    async def unpin(self, by: str) -> Mapping[str, Any]:
        raise RefusedError(409, "not-pinned", f"no version is pinned, {by}")

    async def loaded(self) -> LoadedConfig:
        return LoadedConfig(GatewayConfig(), {})

    async def access(self) -> Access:
        return self.let_in

    async def status(self, timeout: float = 5.0) -> Mapping[str, Any]:  # noqa: ASYNC109
        return {"version": self.version, "in_flight": 3, "upstreams": [{"name": "users"}], **self.more}

    async def plugins(self) -> Mapping[str, Any]:
        self.was_entered.set()
        if self.is_broken:
            raise ValueError("inside")
        return {"workers": [{"installed": [], "bindings": self.bindings}]}

    async def describe_plugin(self, name: str) -> Mapping[str, Any]:
        raise RefusedError(404, "not-found", f"no plugin {name!r} is installed")

    async def run_command(self, binding: str, command: str, arguments: Mapping[str, Any]) -> Outcome:
        return Outcome(200, [{"worker": 0, "result": [binding, command, dict(arguments)]}])

    async def try_reload(self) -> Mapping[str, Any]:
        return {"result": "ok", "differences": [], "total": 0, "problems": [], "report": "", "losses": []}

    def request_reload(self) -> None:
        self.reloads += 1

    async def reload(self) -> Mapping[str, Any]:
        if self.is_broken:
            raise GatewayError("the gateway is stopping")
        self.reloads += 1
        return {"result": "ok", "report": ""}

    async def match(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        if "url" not in request:
            raise ValueError("not a request")
        return {"route": "users", **request}

    async def exposition(self, content_type: str) -> bytes:
        return f"# TYPE a counter\na 1.0\n# {content_type}\n".encode()


@pytest.fixture
async def view() -> View:
    return View()


@pytest.fixture
async def listener(tmp_path: Path, view: View) -> AsyncIterator[AdminListener]:
    listener = AdminListener(open_site)
    await listener.open(Place(f"unix:{tmp_path}/admin"), view)
    yield listener
    await listener.aclose()


async def ask(tmp_path: Path, path: str) -> tuple[int, str]:
    async with (
        aiohttp.ClientSession(connector=aiohttp.UnixConnector(f"{tmp_path}/admin")) as session,
        session.get(f"http://admin{path}") as answer,
    ):
        return answer.status, await answer.text()


async def test_shows_metrics_configuration_and_upstreams(listener: AdminListener, tmp_path: Path) -> None:
    assert await ask(tmp_path, "/healthz") == (200, "ok\n")
    assert await ask(tmp_path, "/metrics") == (
        200,
        "# TYPE a counter\na 1.0\n# text/plain; version=0.0.4; charset=utf-8\n",
    )
    assert json.loads((await ask(tmp_path, "/config"))[1]) == {
        "version": "v1",
        "in_flight": 3,
        "degraded": [],
    }
    assert json.loads((await ask(tmp_path, "/upstreams"))[1]) == [{"name": "users"}]
    assert json.loads((await ask(tmp_path, "/plugins"))[1]) == {"workers": [{"installed": [], "bindings": []}]}
    assert json.loads((await ask(tmp_path, "/api/v1/overview"))[1]) == {
        "state": "ready",
        "unready": "",
        "degraded": [],
        "version": "v1",
        "in_flight": 3,
        "upstreams": [{"name": "users"}],
    }
    assert (await ask(tmp_path, "/other"))[0] == 404


async def test_is_ready_only_with_a_configuration_and_while_it_does_not_drain(
    listener: AdminListener, view: View, tmp_path: Path
) -> None:
    assert (await ask(tmp_path, "/ready"))[0] == 200

    view.version = None
    assert (await ask(tmp_path, "/ready"))[0] == 503

    view.version = "v1"
    listener.is_draining = True
    assert await ask(tmp_path, "/ready") == (503, "draining\n")


async def test_a_gateway_whose_workers_are_all_gone_is_not_ready(
    listener: AdminListener, view: View, tmp_path: Path
) -> None:
    view.more = {"serving": 0}

    assert await ask(tmp_path, "/ready") == (503, "no worker accepts connections\n")
    assert await ask(tmp_path, "/healthz") == (200, "ok\n")


async def test_what_a_whole_fleet_may_have_at_once_is_degraded_and_named(
    listener: AdminListener, view: View, tmp_path: Path
) -> None:
    view.more = {
        "serving": 1,
        "failing_tasks": {"watch the installed plugins": "KeyError: 'Name'"},
        "sources": [{"source": "etcd://a", "stale": True, "rejected": ["etcd://a/team-b"]}],
        "last_reload": {"ok": False},
    }

    assert await ask(tmp_path, "/ready") == (
        200,
        (
            "degraded\ntask watch the installed plugins fails\nsource etcd://a is stale\n"
            "document etcd://a/team-b was rejected\nthe last reload failed\n"
        ),
    )
    assert "source etcd://a is stale" in json.loads((await ask(tmp_path, "/config"))[1])["degraded"]


class Moving(View):
    """Whose listener moves while it is asked for plugins, as a rollback moves it."""

    listener: AdminListener
    place: Place | None = None

    async def plugins(self) -> Mapping[str, Any]:
        await self.listener.open(self.place, self)
        return await super().plugins()


@pytest.mark.parametrize("is_gone", [True, False])
async def test_the_request_that_moves_it_gets_its_response(tmp_path: Path, is_gone: bool) -> None:
    view = Moving()
    view.listener = AdminListener(open_site)
    await view.listener.open(Place(f"unix:{tmp_path}/admin"), view)
    view.place = None if is_gone else Place(f"unix:{tmp_path}/other")

    assert (await ask(tmp_path, "/plugins"))[0] == 200
    with pytest.raises(OSError, match="Cannot connect"):
        await ask(tmp_path, "/plugins")
    assert (tmp_path / "other").exists() is not is_gone
    await view.listener.aclose()


async def test_moves_with_the_configuration(listener: AdminListener, view: View, tmp_path: Path) -> None:
    other = tmp_path / "other"

    await listener.open(Place(f"unix:{other}"), view)

    assert other.exists()
    assert not (tmp_path / "admin").exists()
    await listener.open(None, view)
    assert not other.exists()


async def test_an_address_that_cannot_be_had_is_told(view: View) -> None:
    with pytest.raises(BindError, match=r"cannot listen on 192\.0\.2\.1:80"):
        await AdminListener(open_site).open(Place("192.0.2.1:80"), view)


async def test_takes_the_place_of_a_socket_that_nobody_serves(view: View, tmp_path: Path) -> None:
    listener, other = AdminListener(open_site), AdminListener(open_site)
    await listener.open(Place(f"unix:{tmp_path}/admin"), view)

    with pytest.raises(BindError):
        await other.open(Place(f"unix:{tmp_path}/admin"), view)
    assert await ask(tmp_path, "/healthz") == (200, "ok\n")
    await listener.aclose()


async def raw(port: int, data: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    try:
        return await asyncio.wait_for(reader.read(), 30)
    finally:
        writer.close()


@pytest.fixture
async def port(view: View) -> AsyncIterator[int]:
    number = free_port()
    listener = AdminListener(open_site)
    await listener.open(Place(f"127.0.0.1:{number}"), view, ("Admin.example",))
    yield number
    await listener.aclose()


PAGES = ["/healthz", "/ready", "/metrics", "/config", "/upstreams", "/plugins", "/api/v1/overview", "/other"]


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:9090",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "evil",
        "admin",
        "",
        "localhost:evil",
        "[::1].evil.example",
        "[::1]evil",
        "[localhost]",
        "localhost:80:80",
        "127.1",
        "2130706433",
        "a@localhost",
    ],
)
async def test_a_foreign_host_gets_421(port: int, path: str, host: str) -> None:
    answer = await raw(port, f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())

    assert answer.startswith(b"HTTP/1.1 421 ")
    assert answer.endswith(b"\r\n\r\nthis host is not in admin.hosts\n")


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.0.0.1:9",
        "10.1.2.3",
        "[::1]",
        "[::1]:9",
        "[::1]:",
        "localhost",
        "LocalHost:9",
        "localhost.",
        "admin.example:1",
    ],
)
async def test_addresses_localhost_and_configured_names_are_answered(port: int, host: str) -> None:
    answer = await raw(port, f"GET /config HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())

    assert answer.startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /config HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", 200),
        (b"HEAD /healthz HTTP/1.0\r\n\r\n", 200),
        (b"POST /config HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", 405),
        (b"GET /x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", 404),
        (b"GET /x HTTP/1.1\r\nHost: evil\r\nConnection: close\r\n\r\n", 421),
        (b"GET http://evil/config HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", 421),
        (b"GET http://localhost/config HTTP/1.1\r\nHost: evil\r\nConnection: close\r\n\r\n", 421),
        (b"GET http://localhost:1/config HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", 200),
        (b"GET /broken HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", 404),
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nBad Name: x\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 100_000 + b"\r\n\r\n", 400),
    ],
)
async def test_no_response_names_the_software(port: int, request_: bytes, status: int) -> None:
    answer = await raw(port, request_)

    assert answer.startswith((b"HTTP/1.1 %d " % status, b"HTTP/1.0 %d " % status))
    head = answer.partition(b"\r\n\r\n")[0].lower()
    assert b"\r\nserver:" not in head
    assert b"python" not in answer.lower()
    assert b"aiohttp" not in answer.lower()


async def test_a_page_that_fails_says_nothing_of_why(port: int, view: View) -> None:
    view.is_broken = True

    answer = await raw(port, b"GET /plugins HTTP/1.1\r\nHost: localhost\r\nAccept: text/html\r\n\r\n")

    assert answer.startswith(b"HTTP/1.1 500 ")
    assert answer.endswith(b"\r\n\r\ninternal server error\n")
    assert b"erver:" not in answer.partition(b"\r\n\r\n")[0]


async def test_a_listener_for_health_has_nothing_else(view: View, tmp_path: Path) -> None:
    listener = AdminListener(open_site)
    await listener.open(Place(f"unix:{tmp_path}/admin", serves_api=False), view)
    try:
        for path in ("/healthz", "/ready", "/metrics"):
            assert (await ask(tmp_path, path))[0] == 200
        for path in ("/config", "/upstreams", "/plugins", "/api/v1/overview"):
            assert (await ask(tmp_path, path))[0] == 404
    finally:
        await listener.aclose()
