"""Open, move and close the admin listener."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Awaitable, Callable, Collection, Mapping
from functools import partial
from typing import Any, Final, Protocol

from aiohttp import web

from gateway_core.admin.health import health_of
from gateway_core.admin.operations import OperationView, refuse_operation, serve_operation
from gateway_core.admin.server import API, AdminServer, Pages, Reply, json_reply, text_reply
from gateway_core.clock import SystemClock
from gateway_core.metrics.render import content_type_for, takes_gzip

OpenSite = Callable[[web.BaseRunner, str], Awaitable[Callable[[], None]]]
"""Listens on an address for a runner; returns what gives it up; raises `GatewayError` if it cannot."""


STATUS_TIMEOUT: Final = 5.0
_GZIP_LEVEL: Final = 1
"""A tenth of the size in a few milliseconds; more takes longer and gains little."""
READY_TIMEOUT: Final = 0.7
"""Seconds that ``/ready`` waits for workers: less than the second after which probes give up."""


OVERVIEW: Final = f"{API}overview"


class AdminView(OperationView, Protocol):
    """What the admin listener shows, and what carries out operations."""

    async def status(self, timeout: float = STATUS_TIMEOUT) -> Mapping[str, Any]:  # noqa: ASYNC109 - the workers'
        """Return version, upstreams and counts, ready for JSON, without secrets.

        :param timeout: seconds that workers may take to report theirs.
        """

    async def plugins(self) -> Mapping[str, Any]:
        """Return plugins, bindings and times of each worker, ready for JSON, without configurations."""

    async def exposition(self, content_type: str) -> bytes:
        """Return the metrics in a format of `gateway_core.metrics.render`."""


class AdminListener:
    """An HTTP server for operators: ``/healthz``, ``/ready``, ``/metrics``, ``/config``, ``/upstreams``, ``/plugins``
    and ``/api/v1/overview``, which has all but the plugins.

    It has no access control: every client that reaches the address may read, and operations are refused unless the
    address is a unix socket, which the system protects. Only requests that name it by an address,
    as ``localhost`` or by a configured name get a response, so that no page in an operator's browser reads it under a
    name of its own (DNS rebinding).
    """

    def __init__(self, open_site: OpenSite) -> None:
        self.is_draining = False
        """Whether the gateway is about to end: ``/ready`` says so."""
        self._open_site = open_site
        self._address: str | None = None
        self._give_up: Callable[[], None] | None = None
        self._runner: web.BaseRunner | None = None
        self._hosts: Collection[str] = ()

    async def open(self, address: str | None, view: AdminView, hosts: Collection[str] = ()) -> None:
        """Listen on this address, or on none; nothing happens if that is so already.

        :param hosts: names by which it may be asked for, beside addresses and ``localhost``.
        :raises GatewayError: the address cannot be had.
        """
        self._hosts = hosts
        if address == self._address:
            return
        await self.aclose()
        if address is None:
            return
        # A client of a unix socket is no browser, and may send any name.
        is_private = address.startswith("unix:")
        server = admin_server(
            view,
            is_draining=lambda: self.is_draining,
            takes_operations=is_private,
            hosts=None if is_private else lambda: self._hosts,
        )
        runner = web.ServerRunner(server, handle_signals=False, shutdown_timeout=1)
        await runner.setup()
        try:
            self._give_up = await self._open_site(runner, address)
        except BaseException:
            await runner.cleanup()
            raise
        self._runner, self._address = runner, address

    async def aclose(self) -> None:
        """Stop listening."""
        runner, self._runner, self._address = self._runner, None, None
        if runner is not None:
            await runner.cleanup()
        give_up, self._give_up = self._give_up, None
        if give_up is not None:
            give_up()


def admin_server(
    view: AdminView,
    *,
    is_draining: Callable[[], bool],
    takes_operations: bool,
    hosts: Callable[[], Collection[str]] | None = None,
) -> AdminServer:
    """Return the server of the pages of a view.

    :param takes_operations: whether operations (`gateway_core.admin.operations`) are carried out, or refused.
    :param hosts: names by which it may be asked for; None responds whatever Host says.
    """
    operations = partial(serve_operation, view=view) if takes_operations else refuse_operation
    return AdminServer(_Pages(view, is_draining).by_path(), hosts, operations)


class _Pages:
    """The pages of a view."""

    def __init__(self, view: AdminView, is_draining: Callable[[], bool]) -> None:
        self._view = view
        self._is_draining = is_draining

    def by_path(self) -> Pages:
        return {
            "/healthz": self._healthz,
            "/ready": self._ready,
            "/metrics": self._metrics,
            "/config": self._config,
            "/upstreams": self._upstreams,
            "/plugins": self._plugins,
            OVERVIEW: self._overview,
        }

    async def _healthz(self, _request: web.BaseRequest) -> Reply:
        return text_reply("ok\n")

    async def _ready(self, _request: web.BaseRequest) -> Reply:
        is_draining = self._is_draining()
        status = {} if is_draining else await self._view.status(READY_TIMEOUT)
        health = health_of(status, SystemClock().wall(), is_draining=is_draining)
        if health.unready:
            return text_reply(f"{health.unready}\n", 503)
        if health.degraded:
            return text_reply("".join(f"{line}\n" for line in ("degraded", *health.degraded)))
        return text_reply("ready\n")

    async def _metrics(self, request: web.BaseRequest) -> Reply:
        content_type = content_type_for(request.headers.get("Accept", ""))
        body = await self._view.exposition(content_type)
        headers = {"Content-Type": content_type, "Vary": "Accept, Accept-Encoding"}
        if takes_gzip(request.headers.get("Accept-Encoding", "")):
            body = await asyncio.to_thread(gzip.compress, body, _GZIP_LEVEL)
            headers["Content-Encoding"] = "gzip"
        return Reply(body=body, headers=headers)

    async def _config(self, _request: web.BaseRequest) -> Reply:
        status = await self._view.status()
        shown = {name: value for name, value in status.items() if name != "upstreams"}
        return json_reply({**shown, "degraded": health_of(status, SystemClock().wall(), is_draining=False).degraded})

    async def _overview(self, _request: web.BaseRequest) -> Reply:
        status = await self._view.status()
        health = health_of(status, SystemClock().wall(), is_draining=self._is_draining())
        state = "unready" if health.unready else "degraded" if health.degraded else "ready"
        return json_reply({"state": state, "unready": health.unready, "degraded": health.degraded, **status})

    async def _upstreams(self, _request: web.BaseRequest) -> Reply:
        status = await self._view.status()
        return json_reply(status.get("upstreams", []))

    async def _plugins(self, _request: web.BaseRequest) -> Reply:
        return json_reply(await self._view.plugins())
