"""Fields that plugins announce before the upstream responds, appended without a call of their response hooks."""

from __future__ import annotations

from typing import Any

import pytest
from gateway_core.hooks import Plugin
from gateway_core.hookspecs import hookimpl
from gateway_core.messages import FieldBlock, FieldNames, Record, Request, Response

from tests.core.proxy.kit import Proxied, field, fields

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
LEFT = FieldBlock({"X-Left": "7"})
USED = FieldBlock({"X-Used": "3"})
called: list[str] = []
logged: list[list[tuple[str, str]]] = []


class Announcing(Plugin[Any]):
    """Appends X-Left, unless there is one."""

    name = "announcing"

    @hookimpl
    def gateway_pre_proxy(self, request: Request) -> Response | None:
        request.announced[self] = LEFT, FieldNames(["X-Left"])
        return Response(429) if request.path == "/own" else None

    @hookimpl
    def gateway_response(self, request: Request, response: Response) -> None:
        called.append(self.name)
        response.add_fields(*request.announced[self])


class AnnouncingToo(Plugin[Any]):
    """Appends X-Used."""

    name = "announcing_too"

    @hookimpl
    def gateway_pre_proxy(self, request: Request) -> None:
        request.announced[self] = USED, None

    @hookimpl
    def gateway_response(self, request: Request, response: Response) -> None:
        called.append(self.name)
        response.add_fields(USED)


class Silent(Plugin[Any]):
    """Appends X-Silent, which it announces never."""

    name = "silent"

    @hookimpl
    def gateway_response(self, request: Request, response: Response) -> None:
        called.append(self.name)
        response.headers["X-Silent"] = "1"


class Logging(Plugin[Any]):
    """Keeps what log hooks see of the response's fields."""

    name = "logging"

    @hookimpl
    def gateway_log(self, request: Request, response: Response, record: Record) -> None:
        logged.append(list(response.headers.items()))


PLUGINS = [Announcing, AnnouncingToo, Silent, Logging]


@pytest.fixture(autouse=True)
def nothing_seen() -> None:
    called.clear()
    logged.clear()


def bound(*names: str) -> str:
    return f"plugins: [{', '.join(f'{{name: {name}}}' for name in names)}]"


def target(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()


async def test_announced_fields_are_appended_without_a_call(proxied: Proxied) -> None:
    gateway, _ = await proxied(OK, bound("announcing", "announcing_too"), "", PLUGINS)

    status, head, body = await gateway.ask(target("/"))

    assert (status, body) == (200, b"hello")
    assert (field(head, b"x-left"), field(head, b"x-used")) == (b"7", b"3")
    assert called == []


async def test_log_hooks_see_announced_fields(proxied: Proxied) -> None:
    gateway, _ = await proxied(OK, bound("announcing", "logging"), "", PLUGINS)

    await gateway.ask(target("/"))

    assert ("X-Left", "7") in logged[0]


async def test_all_hooks_are_called_if_one_is_not_announced(proxied: Proxied) -> None:
    gateway, _ = await proxied(OK, bound("announcing", "silent"), "", PLUGINS)

    _, head, _ = await gateway.ask(target("/"))

    assert (fields(head, b"x-left"), fields(head, b"x-silent")) == ([b"7"], [b"1"])
    assert called == ["silent", "announcing"]


@pytest.mark.parametrize("name", ["X-Left", "x_left"])
async def test_the_hook_is_called_for_a_response_that_has_one_of_its_names(proxied: Proxied, name: str) -> None:
    response = OK.replace(b"\r\n\r\n", f"\r\n{name}: 1\r\n\r\n".encode())
    gateway, _ = await proxied(response, bound("announcing"), "", PLUGINS)

    _, head, _ = await gateway.ask(target("/"))

    assert b"7" not in fields(head, b"x-left")
    assert called == ["announcing"]


async def test_the_hook_is_called_for_a_response_that_was_made_here(proxied: Proxied) -> None:
    gateway, _ = await proxied(OK, bound("announcing"), "", PLUGINS)

    status, head, _ = await gateway.ask(target("/own"))

    assert (status, fields(head, b"x-left")) == (429, [b"7"])
    assert called == ["announcing"]


@pytest.mark.parametrize("fields", [FieldBlock({"Connection": "X-Left"}), FieldBlock({"Content-Length": "1"})])
async def test_the_hook_is_called_if_it_announced_what_only_the_gateway_writes(
    proxied: Proxied, monkeypatch: pytest.MonkeyPatch, fields: FieldBlock
) -> None:
    monkeypatch.setattr("tests.core.proxy.test_announced_fields.LEFT", fields)
    gateway, _ = await proxied(OK, bound("announcing"), "", PLUGINS)

    status, _, body = await gateway.ask(target("/"))

    assert (status, body) == (200, b"hello")
    assert called == ["announcing"]


async def test_a_hook_of_a_binding_with_a_timeout_is_called(proxied: Proxied) -> None:
    gateway, _ = await proxied(OK, "plugins: [{name: announcing, timeout: 5s}]", "", PLUGINS)

    _, head, _ = await gateway.ask(target("/"))

    assert fields(head, b"x-left") == [b"7"]
    assert called == ["announcing"]


async def test_a_binding_in_shadow_mode_announces_nothing(proxied: Proxied) -> None:
    gateway, _ = await proxied(OK, "plugins: [{name: announcing, mode: shadow}]", "", PLUGINS)

    _, head, _ = await gateway.ask(target("/"))

    assert fields(head, b"x-left") == []
