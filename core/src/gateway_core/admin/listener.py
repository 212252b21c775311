"""Open, move and close the admin listener."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

from aiohttp import web

OpenSite = Callable[[web.BaseRunner, str], Awaitable[Callable[[], None]]]
"""Listens on an address for a runner; returns what gives it up; raises `GatewayError` if it cannot."""


class AdminView(Protocol):
    """What the admin listener shows."""

    async def status(self) -> Mapping[str, Any]:
        """Return version, upstreams and counts, ready for JSON, without secrets."""

    async def plugins(self) -> Mapping[str, Any]:
        """Return plugins, bindings and times of each worker, ready for JSON, without configurations."""

    async def exposition(self) -> bytes:
        """Return the metrics in the text format of Prometheus."""


class AdminListener:
    """An HTTP server for operators: ``/healthz``, ``/ready``, ``/metrics``, ``/config``, ``/upstreams``, ``/plugins``.

    It has no access control: whoever reaches the address may read.
    """

    def __init__(self, open_site: OpenSite) -> None:
        self.is_draining = False
        """Whether the gateway is about to end: ``/ready`` says so."""
        self._open_site = open_site
        self._address: str | None = None
        self._give_up: Callable[[], None] | None = None
        self._runner: web.AppRunner | None = None
        self._view: AdminView | None = None

    async def open(self, address: str | None, view: AdminView) -> None:
        """Listen on this address, or on none; nothing happens if that is so already.

        :raises GatewayError: the address cannot be had.
        """
        self._view = view
        if address == self._address:
            return
        await self.aclose()
        if address is None:
            return
        runner = web.AppRunner(self._application(), access_log=None, handle_signals=False, shutdown_timeout=1)
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

    def _application(self) -> web.Application:
        application = web.Application()
        application.add_routes(
            [
                web.get("/healthz", self._healthz),
                web.get("/ready", self._ready),
                web.get("/metrics", self._metrics),
                web.get("/config", self._config),
                web.get("/upstreams", self._upstreams),
                web.get("/plugins", self._plugins),
            ]
        )
        return application

    @property
    def _shown(self) -> AdminView:
        assert self._view is not None
        return self._view

    async def _healthz(self, _request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _ready(self, _request: web.Request) -> web.Response:
        if self.is_draining:
            return web.Response(status=503, text="draining\n")
        status = await self._shown.status()
        if status.get("version") is None:
            return web.Response(status=503, text="no configuration is in force\n")
        return web.Response(text="ready\n")

    async def _metrics(self, _request: web.Request) -> web.Response:
        body = await self._shown.exposition()
        return web.Response(body=body, headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})

    async def _config(self, _request: web.Request) -> web.Response:
        status = dict(await self._shown.status())
        status.pop("upstreams", None)
        return web.json_response(status)

    async def _upstreams(self, _request: web.Request) -> web.Response:
        status = await self._shown.status()
        return web.json_response(status.get("upstreams", []))

    async def _plugins(self, _request: web.Request) -> web.Response:
        return web.json_response(await self._shown.plugins())
