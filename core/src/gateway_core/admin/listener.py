"""Open, move and close the admin listeners."""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from typing import Protocol

from aiohttp import web

from gateway_core.admin.api import Api
from gateway_core.admin.dashboard import dashboard_pages
from gateway_core.admin.gate import Gate
from gateway_core.admin.operation import Routes
from gateway_core.admin.pages import Pages
from gateway_core.admin.resources import OPERATIONS
from gateway_core.admin.server import AdminServer
from gateway_core.admin.view import AdminView
from gateway_core.tasks import Tasks


class OpenSite(Protocol):
    """Listens on an address for a server; returns what gives it up; raises `GatewayError` if it cannot."""

    def __call__(
        self, server: web.Server, address: str, context: ssl.SSLContext | None = None
    ) -> Awaitable[Callable[[], None]]: ...


@dataclass(frozen=True, slots=True)
class Place:
    """Where and how an admin listener listens."""

    address: str
    context: ssl.SSLContext | None = None
    """With TLS; another object makes a new listener."""
    serves_api: bool = True
    """Whether it has more than ``/healthz``, ``/ready`` and ``/metrics``."""


class AdminListener:
    """An HTTP server for operators: ``/healthz``, ``/ready``, ``/metrics``, ``/config``, ``/upstreams``, ``/plugins``,
    the API below ``/api/v1/`` and the dashboard at ``/dashboard/``.

    Only requests that name it by an address, as ``localhost`` or by a configured name get a response, so that no page
    in an operator's browser reads it under a name of its own (DNS rebinding). `gateway_core.admin.access` decides on
    the rest.
    """

    def __init__(self, open_site: OpenSite) -> None:
        self.is_draining = False
        """Whether the gateway is about to end: ``/ready`` is 503 then."""
        self._open_site = open_site
        self._place: Place | None = None
        self._give_up: Callable[[], None] | None = None
        self._server: AdminServer | None = None
        self._hosts: Collection[str] = ()
        self._tasks = Tasks()

    async def open(self, place: Place | None, view: AdminView, hosts: Collection[str] = ()) -> None:
        """Listen there, or nowhere; nothing happens if that is so already.

        Requests that came before are finished: one of them may have put in force what moves the listener.

        :param hosts: names by which it may be asked for, beside addresses and ``localhost``.
        :raises GatewayError: the address cannot be had.
        """
        self._hosts = hosts
        if place == self._place:
            return
        before = self._stop_accepting()
        if before is not None:
            self._tasks.spawn(before.end(), name="end an admin listener that moved")
        if place is None:
            return
        # A client of a unix socket is no browser, and may send any name.
        is_private = place.address.startswith("unix:")
        server = admin_server(
            view,
            is_draining=lambda: self.is_draining,
            is_private=is_private,
            hosts=None if is_private else lambda: self._hosts,
            serves_api=place.serves_api,
        )
        self._give_up = await self._open_site(server, place.address, place.context)
        self._server, self._place = server, place

    async def aclose(self) -> None:
        """Stop listening."""
        server = self._stop_accepting()
        if server is not None:
            await server.end()
        await self._tasks.wait()

    def _stop_accepting(self) -> AdminServer | None:
        """Give up the address; return what has the connections."""
        server, self._server, self._place = self._server, None, None
        give_up, self._give_up = self._give_up, None
        if give_up is not None:
            give_up()
        return server


def admin_server(
    view: AdminView,
    *,
    is_draining: Callable[[], bool],
    is_private: bool,
    hosts: Callable[[], Collection[str]] | None = None,
    serves_api: bool = True,
) -> AdminServer:
    """Return the server of a view.

    :param is_private: whether the address is a unix socket.
    :param hosts: names by which it may be asked for; None responds whatever Host says.
    :param serves_api: whether it has more than health and metrics.
    """
    pages = Pages(view, is_draining)
    if not serves_api:
        return AdminServer(pages.of_health(), hosts)
    gate = Gate(view.access, is_private=is_private)
    api = Api(Routes(OPERATIONS), view, gate)
    pages_of = {**pages.of_health(), **pages.of_state(gate), **dashboard_pages()}
    return AdminServer(pages_of, hosts, api.serve, gate.close)
