from __future__ import annotations

import io
import json
import logging
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from gateway_core.admin import AdminListener, Place
from gateway_core.events import ADMIN_WRITE
from gateway_core.process.listeners import open_site

from tests.core.admin.test_listener import View

JSON = {"Content-Type": "application/json"}


@pytest.fixture
async def view() -> View:
    return View()


@pytest.fixture
async def session(tmp_path: Path, view: View) -> AsyncIterator[aiohttp.ClientSession]:
    """A client of an admin listener on a unix socket."""
    listener = AdminListener(open_site)
    await listener.open(Place(f"unix:{tmp_path}/admin"), view)
    async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(f"{tmp_path}/admin")) as session:
        yield session
    await listener.aclose()


async def post(session: aiohttp.ClientSession, path: str, body: bytes = b"") -> tuple[int, str]:
    async with session.post(f"http://admin/api/v1/bindings/{path}", data=io.BytesIO(body), headers=JSON) as response:
        return response.status, await response.text()


@pytest.mark.parametrize(
    ("path", "binding"),
    [("cache/purge", "cache"), ("users/cache/purge", "users/cache"), ("upstreams%2Fu/b%20c/purge", "upstreams/u/b c")],
)
async def test_the_last_segment_is_the_command_and_the_rest_the_binding(
    session: aiohttp.ClientSession, path: str, binding: str
) -> None:
    from yarl import URL

    async with session.post(
        URL(f"http://admin/api/v1/bindings/{path}", encoded=True), data=b'{"key": 1}', headers=JSON
    ) as response:
        assert await response.json() == [{"worker": 0, "result": [binding, "purge", {"key": 1}]}]


async def test_no_body_is_no_arguments(session: aiohttp.ClientSession) -> None:
    status, text = await post(session, "cache/purge")

    assert (status, json.loads(text)[0]["result"][2]) == (200, {})


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("cache", b"", 404),
        ("", b"", 404),
        ("cache/", b"", 404),
        ("cache/purge", b"{", 400),
        ("cache/purge", b"\xff\xfe", 400),
        ("cache/purge", b"[]", 422),
        ("cache/purge", b'"x"', 422),
        ("cache/purge", b" " * (1 << 21), 413),
    ],
)
async def test_what_is_no_command_with_arguments_is_refused(
    session: aiohttp.ClientSession, path: str, body: bytes, status: int
) -> None:
    assert (await post(session, path, body))[0] == status


async def test_other_methods_are_not_allowed(session: aiohttp.ClientSession) -> None:
    async with session.get("http://admin/api/v1/bindings/cache/purge") as response:
        assert (response.status, response.headers["Allow"]) == (405, "POST")


async def test_commands_that_change_something_are_in_the_audit_log(
    session: aiohttp.ClientSession, view: View, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    view.bindings = [{"path": "cache", "commands": {"purge": "operator", "show": "viewer"}}]

    for path in ("cache/purge", "cache/show", "other/purge"):
        await post(session, path)

    written = [record.getMessage() for record in caplog.records if getattr(record, "event", "") == ADMIN_WRITE.name]
    assert written == [
        "local (editor, socket): POST /api/v1/bindings/cache/purge: 200",
        "local (editor, socket): POST /api/v1/bindings/other/purge: 200",
    ]
