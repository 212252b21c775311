from __future__ import annotations

import asyncio
import gzip
import io
import json
import logging
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from gateway_core.admin import AdminListener, Place
from gateway_core.admin.operation import ApiModel, Routes
from gateway_core.admin.resources import OPERATIONS
from gateway_core.events import ADMIN_WRITE
from gateway_core.process.listeners import open_site
from yarl import URL

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


async def post(session: aiohttp.ClientSession, path: str, body: Any = None) -> tuple[int, str]:
    async with session.post(
        f"http://admin/api/v1/{path}", data=io.BytesIO(json.dumps(body).encode()), headers=JSON
    ) as response:
        return response.status, await response.text()


async def test_a_reload_is_waited_for_unless_it_is_only_requested(session: aiohttp.ClientSession, view: View) -> None:
    status, text = await post(session, "reload", {})
    assert (status, json.loads(text)["result"], view.reloads) == (200, "ok", 1)

    assert (await post(session, "reload", {"wait": False}))[0] == 202
    assert view.reloads == 2


async def test_a_reload_of_a_gateway_that_ends_is_unavailable(session: aiohttp.ClientSession, view: View) -> None:
    view.is_broken = True

    status, text = await post(session, "reload", {})
    assert (status, json.loads(text)["detail"]) == (503, "the gateway is stopping")


async def test_a_request_is_matched(session: aiohttp.ClientSession) -> None:
    status, text = await post(session, "match", {"method": "GET", "url": "/users"})

    assert (status, json.loads(text)["route"]) == (200, "users")


WRONG: dict[str, tuple[Any, ...]] = {
    "boolean": ("yes", "true", 1, 0, None),
    "integer": ("1", 1.5, True),
    "string": (1, True, [], {}),
    "array": ("x", 1, {}),
    "object": ("x", 1, []),
}
"""By type of JSON: values of others, some of which Python would take."""


def wrong_bodies() -> Iterator[tuple[str, str, str, dict[str, Any]]]:
    for each in OPERATIONS:
        if isinstance(each.body, type) and issubclass(each.body, ApiModel):
            schema = each.body.model_json_schema()
            for name, field in schema["properties"].items():
                if "type" in field and "enum" not in field:
                    for value in WRONG[field["type"]]:
                        yield each.method, each.path, name, {name: value}


@pytest.mark.parametrize(("method", "path", "name", "body"), list(wrong_bodies()))
async def test_a_member_of_another_type_is_refused_and_never_converted(
    session: aiohttp.ClientSession, view: View, method: str, path: str, name: str, body: dict[str, Any]
) -> None:
    url = URL(f"http://admin/api/v1/{re.sub('{.*?}', 'x', path)}", encoded=True)
    async with session.request(method, url, data=io.BytesIO(json.dumps(body).encode()), headers=JSON) as response:
        text = await response.text()

    assert (response.status, name in text) == (422, True)
    assert view.reloads == 0


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("match", {}, 422),
        ("match", [], 422),
        ("reload", "x", 422),
        ("match", {"url": "/", "method": 1}, 422),
        ("match", {"url": "/", "headers": {"a": 1}}, 422),
        ("match", {"url": "/", "headers": {"a": ["b", None]}}, 422),
        ("match", {"url": ["/"]}, 422),
        ("nothing", {}, 404),
        ("reload/now", {}, 404),
        ("match", {"url": "x" * (2 << 20)}, 413),
    ],
)
async def test_what_is_no_operation_is_refused(
    session: aiohttp.ClientSession, view: View, path: str, body: Any, status: int
) -> None:
    assert (await post(session, path, body))[0] == status
    assert view.reloads == 0


async def test_operations_take_post_only(session: aiohttp.ClientSession, view: View) -> None:
    async with session.get("http://admin/api/v1/reload") as response:
        assert (response.status, response.headers["Allow"]) == (405, "POST")
    assert view.reloads == 0


@pytest.mark.parametrize("path", ["reload", "bindings/cache/purge"])
async def test_a_tcp_address_takes_no_operations_without_a_token(unused_tcp_port: int, view: View, path: str) -> None:
    listener = AdminListener(open_site)
    await listener.open(Place(f"127.0.0.1:{unused_tcp_port}"), view)
    try:
        async with (
            aiohttp.ClientSession() as session,
            session.post(f"http://127.0.0.1:{unused_tcp_port}/api/v1/{path}", data=b"{}", headers=JSON) as response,
        ):
            assert response.status == 403
            assert "operations need a token with the role operator" in await response.text()
    finally:
        await listener.aclose()
    assert view.reloads == 0


async def test_a_client_that_leaves_in_the_middle_of_a_body_is_no_defect(
    session: aiohttp.ClientSession, view: View, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    _, writer = await asyncio.open_unix_connection(f"{tmp_path}/admin")
    writer.write(b"POST /api/v1/bindings/cache/purge HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n{")
    await asyncio.wait_for(view.was_entered.wait(), 20)

    writer.close()
    await writer.wait_closed()
    while not caplog.records:  # noqa: ASYNC110 - the log wakes nothing
        await asyncio.sleep(0)

    assert [(each.levelname, getattr(each, "event", "")) for each in caplog.records] == [("INFO", ADMIN_WRITE.name)]


async def test_a_compressed_body_is_refused_and_not_decompressed(
    session: aiohttp.ClientSession, caplog: pytest.LogCaptureFixture
) -> None:
    fields = {**JSON, "Content-Encoding": "gzip"}
    for body in (b"no gzip", gzip.compress(b" " * (4 << 20))):
        async with session.post("http://admin/api/v1/match", data=io.BytesIO(body), headers=fields) as response:
            assert (response.status, (await response.json(content_type=None))["code"]) == (415, "compressed")

    assert not caplog.records


@pytest.mark.parametrize(
    ("path", "binding"),
    [
        ("plugins/ratelimit:release", "ratelimit"),
        ("plugins/users%2Fratelimit:release", "users/ratelimit"),
        ("plugins/users/ratelimit:release", "users/ratelimit"),
    ],
)
def test_an_action_is_found_whose_path_could_be_a_name_as_well(path: str, binding: str) -> None:
    found = Routes(OPERATIONS).find(f"/api/v1/{path}")

    assert found is not None
    assert (set(found[0]), found[1]) == ({"POST"}, {"binding": binding})


def test_every_operation_is_found_by_its_own_path() -> None:
    routes = Routes(OPERATIONS)

    for each in OPERATIONS:
        filled = re.sub(r"\{(\w+)\*?\}", lambda found: f"a%2F{found[1]}", each.path)
        found = routes.find(f"/api/v1/{filled}")
        assert found is not None
        assert found[0].get(each.method) is each, each.path
