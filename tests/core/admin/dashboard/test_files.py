"""The files of the dashboard are sent as they are, by name, and can load and run nothing else."""

from __future__ import annotations

import asyncio
import re
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from gateway_core.admin import Place
from gateway_core.admin.dashboard import files

from tests.core.admin.kit import Answer, listening, send
from tests.core.admin.test_listener import View

STATIC = Path(files.__file__).parent / "static"
SOURCES = sorted(path for path in STATIC.rglob("*") if path.is_file())


async def test_the_page_and_its_modules_are_sent_with_their_types_and_a_strict_policy() -> None:
    async with listening(View()) as port:
        page = await get(port, "/dashboard/")
        module = await get(port, "/dashboard/app.js")
        style = await get(port, "/dashboard/style.css")
        nested = await get(port, "/dashboard/screens/overview.js")

    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    assert module.headers["Content-Type"] == nested.headers["Content-Type"] == "text/javascript; charset=utf-8"
    assert style.headers["Content-Type"] == "text/css; charset=utf-8"
    for response in (page, module, style, nested):
        policy = response.headers["Content-Security-Policy"]
        assert (response.status, "default-src 'none'" in policy, "unsafe" in policy) == (200, True, False)
        assert "require-trusted-types-for 'script'" in policy
        assert response.headers["X-Content-Type-Options"] == "nosniff"


async def test_a_browser_gets_a_file_again_only_if_it_is_another_one() -> None:
    async with listening(View()) as port:
        first = await get(port, "/dashboard/app.js")
        again = await get(port, "/dashboard/app.js", {"If-None-Match": first.headers["ETag"]})
        other = await get(port, "/dashboard/app.js", {"If-None-Match": '"other"'})
        others = f'"other", W/{first.headers["ETag"]}'
        listed = await get(port, "/dashboard/app.js", {"If-None-Match": others})
        whatever = await get(port, "/dashboard/app.js", {"If-None-Match": "*"})

    assert first.headers["Cache-Control"] == "no-cache"
    assert [(each.status, each.body) for each in (again, listed, whatever)] == [(304, "")] * 3
    assert (other.status, other.body) == (200, first.body)


async def test_the_address_without_a_slash_leads_to_the_page() -> None:
    async with listening(View()) as port:
        found = await get(port, "/dashboard")

    assert (found.status, found.headers["Location"]) == (308, "/dashboard/")


async def test_a_browser_that_opens_the_listeners_address_lands_on_the_page() -> None:
    async with listening(View()) as port:
        found = await get(port, "/")

    assert (found.status, found.headers["Location"]) == (307, "dashboard/")


@pytest.mark.parametrize(
    "path", ["/dashboard/no.js", "/dashboard/../files.py", "/dashboard/%2e%2e/files.py", "/dashboard/screens/", "/dash"]
)
async def test_there_is_nothing_else(path: str) -> None:
    async with listening(View()) as port:
        assert (await get(port, path)).status == 404


async def test_a_listener_for_health_has_no_dashboard(unused_tcp_port: int) -> None:
    place = Place(f"127.0.0.1:{unused_tcp_port}", serves_api=False)

    async with listening(View(), place):
        assert (await get(unused_tcp_port, "/dashboard/")).status == 404
        assert (await get(unused_tcp_port, "/")).status == 404


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_no_file_has_inline_code_or_loads_from_elsewhere(path: Path) -> None:
    text = path.read_text()

    assert not re.search(
        r"\b(innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function|EventSource)", text
    )
    assert "localStorage" not in text
    names = {"www.w3.org", "127.0.0.1"}  # a namespace, and the example in a form
    assert {urlsplit(url).hostname for url in re.findall(r"https?://[\w.:/-]+", text)} <= names
    if path.suffix == ".html":
        assert not re.search(r"\son\w+=|style=|<style", text)
        assert re.findall(r"<script[^>]*>(?!</script>)", text) == []


async def get(port: int, path: str, headers: dict[str, str] | None = None) -> Answer:
    return await asyncio.to_thread(_get, port, path, headers)


def _get(port: int, path: str, headers: dict[str, str] | None) -> Answer:
    connection = HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        return send(connection, "GET", path, headers=headers)
    finally:
        connection.close()
