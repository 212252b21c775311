"""The admin listener's HTTP server: pages by path, and nothing that reveals which software it is."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Collection, Mapping
from http import HTTPStatus
from ipaddress import ip_address
from typing import Any, Final

from aiohttp import web
from aiohttp.web_protocol import RequestHandler


class Reply(web.Response):
    """A response without the Server field that aiohttp adds."""

    async def _prepare_headers(self) -> None:
        await super()._prepare_headers()
        self.headers.popall("Server", None)


Pages = Mapping[str, Callable[[web.BaseRequest], Awaitable[Reply]]]
"""What responds to a GET of each path."""


def text_reply(text: str, status: int = 200, headers: Mapping[str, str] | None = None) -> Reply:
    """Return a response of plain text."""
    return Reply(text=text, status=status, headers=headers)


def json_reply(data: object, status: int = 200) -> Reply:
    """Return data as JSON."""
    return Reply(text=json.dumps(data), status=status, content_type="application/json")


API: Final = "/api/v1/"
"""What the path of an operation begins with, and of a page that programs read."""
COMMANDS: Final = f"{API}bindings/"
"""What the path of a binding's command begins with."""


_HOST: Final = re.compile(r"(?:\[(?P<bracketed>[0-9a-f:.]+)\]|(?P<name>[^\[\]:]*))(?::[0-9]*)?")
"""A Host value with its port (RFC 9110 section 7.2); an IPv6 address without brackets is none."""


def names_us(host: str | None, names: Collection[str]) -> bool:
    """Whether a Host value is an address, ``localhost`` or one of some names; no browser leaves Host out."""
    if host is None:
        return True
    text = host.strip().lower()
    found = _HOST.fullmatch(text)
    name = text if found is None else (found["bracketed"] or found["name"]).removesuffix(".")
    return name == "localhost" or name in {each.lower() for each in names} or _is_address(name)


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


class AdminServer(web.Server):
    """Serves pages to those who ask for it by a name of its own."""

    def __init__(
        self,
        pages: Pages,
        names: Callable[[], Collection[str]] | None,
        operations: Callable[[web.BaseRequest], Awaitable[Reply]],
    ) -> None:
        """Serve some pages.

        :param names: further names of the listener; None responds whatever Host says.
        :param operations: serves what is under `API` and no page.
        """
        super().__init__(self._serve)
        self._pages = pages
        self._names = names
        self._operations = operations

    def __call__(self) -> RequestHandler:
        settings: dict[str, Any] = {"access_log": None}
        return _Handler(self, loop=asyncio.get_running_loop(), **settings)

    @staticmethod
    def _is_asked_for(request: web.BaseRequest, names: Collection[str]) -> bool:
        # A target in absolute form stands above Host (RFC 9112 section 3.2.2).
        is_absolute = not request.raw_path.startswith(("/", "*"))
        named = not is_absolute or names_us(request.url.raw_host or "", names)
        return named and names_us(request.headers.get("Host"), names)

    async def _serve(self, request: web.BaseRequest) -> Reply:
        if self._names is not None and not self._is_asked_for(request, self._names()):
            return text_reply("this host is not in admin.hosts\n", 421)
        page = self._pages.get(request.path)
        if page is None:
            is_operation = request.raw_path.startswith(API)
            return await self._operations(request) if is_operation else text_reply("not found\n", 404)
        if request.method not in {"GET", "HEAD"}:
            return text_reply("method not allowed\n", 405, {"Allow": "GET, HEAD"})
        return await page(request)


class _Handler(RequestHandler):
    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Respond to what could not be read or served, without a word of why."""
        if status >= 500:
            super().handle_error(request, status, exc, message)  # which logs it
        reply = text_reply(f"{HTTPStatus(status).phrase.lower()}\n", status)
        reply.force_close()
        return reply
