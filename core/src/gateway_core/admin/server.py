"""The HTTP server of an admin listener: pages by path, and the API beside them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Collection, Mapping
from ipaddress import ip_address
from typing import Final

from aiohttp import web

from gateway_core.admin.connections import ConnectionServer
from gateway_core.admin.operation import API
from gateway_core.admin.replies import EventStream, Reply, text_reply

_END_WAIT: Final = 1.0
"""Seconds for responses at the end."""

Page = Callable[[web.BaseRequest], Awaitable[Reply | EventStream]]

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


class AdminServer(ConnectionServer):
    """Serves pages to those who ask for it by a name of its own."""

    def __init__(
        self,
        pages: Mapping[str, Page],
        names: Callable[[], Collection[str]] | None,
        api: Page | None = None,
        close: Callable[[], None] | None = None,
    ) -> None:
        """Serve some pages.

        :param pages: what responds to a GET of each path.
        :param names: further names of the listener; None responds whatever Host says.
        :param api: serves what is below `API`; None has nothing there.
        :param close: has responses end that would not end by themselves.
        """
        super().__init__(self._serve)
        self._pages = pages
        self._names = names
        self._api = api
        self._close = close

    async def end(self) -> None:
        """Close all connections, after responses have ended or a second; nothing is accepted any more."""
        await asyncio.sleep(0)  # what came before begins to be served
        self.pre_shutdown()
        await self.shutdown(_END_WAIT)

    async def shutdown(self, timeout: float | None = None) -> None:  # noqa: ASYNC109 - of aiohttp's own
        """Close all connections, after responses have ended or so many seconds."""
        if self._close is not None:
            self._close()
        await super().shutdown(timeout)

    @staticmethod
    def _is_asked_for(request: web.BaseRequest, names: Collection[str]) -> bool:
        # A target in absolute form stands above Host (RFC 9112 section 3.2.2).
        is_absolute = not request.raw_path.startswith(("/", "*"))
        named = not is_absolute or names_us(request.url.raw_host or "", names)
        return named and names_us(request.headers.get("Host"), names)

    async def _serve(self, request: web.BaseRequest) -> Reply | EventStream:
        if self._names is not None and not self._is_asked_for(request, self._names()):
            return text_reply("this host is not in admin.hosts\n", 421)
        if self._api is not None and request.raw_path.startswith(API):
            return await self._api(request)
        page = self._pages.get(request.path)
        if page is None:
            return text_reply("not found\n", 404)
        if request.method not in {"GET", "HEAD"}:
            return text_reply("method not allowed\n", 405, {"Allow": "GET, HEAD"})
        return await page(request)
