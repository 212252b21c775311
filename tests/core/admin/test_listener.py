from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from gateway_core.admin import AdminListener
from gateway_core.server.listeners import open_site
from gateway_core.server.sockets import BindError


class View:
    """What a gateway would show."""

    def __init__(self) -> None:
        self.version: str | None = "v1"

    async def status(self) -> Mapping[str, Any]:
        return {"version": self.version, "in_flight": 3, "upstreams": [{"name": "users"}]}

    async def plugins(self) -> Mapping[str, Any]:
        return {"workers": [{"installed": []}]}

    async def exposition(self) -> bytes:
        return b"# TYPE a counter\na 1.0\n"


@pytest.fixture
async def view() -> View:
    return View()


@pytest.fixture
async def listener(tmp_path: Path, view: View) -> AsyncIterator[AdminListener]:
    listener = AdminListener(open_site)
    await listener.open(f"unix:{tmp_path}/admin", view)
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
    assert await ask(tmp_path, "/metrics") == (200, "# TYPE a counter\na 1.0\n")
    assert json.loads((await ask(tmp_path, "/config"))[1]) == {"version": "v1", "in_flight": 3}
    assert json.loads((await ask(tmp_path, "/upstreams"))[1]) == [{"name": "users"}]
    assert json.loads((await ask(tmp_path, "/plugins"))[1]) == {"workers": [{"installed": []}]}
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


async def test_moves_with_the_configuration(listener: AdminListener, view: View, tmp_path: Path) -> None:
    other = tmp_path / "other"

    await listener.open(f"unix:{other}", view)

    assert other.exists()
    assert not (tmp_path / "admin").exists()
    await listener.open(None, view)
    assert not other.exists()


async def test_an_address_that_cannot_be_had_is_told(view: View) -> None:
    with pytest.raises(BindError, match=r"cannot listen on 192\.0\.2\.1:80"):
        await AdminListener(open_site).open("192.0.2.1:80", view)


async def test_takes_the_place_of_a_socket_that_nobody_serves(view: View, tmp_path: Path) -> None:
    listener, other = AdminListener(open_site), AdminListener(open_site)
    await listener.open(f"unix:{tmp_path}/admin", view)

    with pytest.raises(BindError):
        await other.open(f"unix:{tmp_path}/admin", view)
    assert await ask(tmp_path, "/healthz") == (200, "ok\n")
    await listener.aclose()
