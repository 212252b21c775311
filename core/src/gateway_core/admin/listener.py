"""Open, move and close the admin listener."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from aiohttp import web

from gateway_core.config import parse_listen
from gateway_core.errors import GatewayError


class AdminView(Protocol):
    """What the admin listener shows."""

    async def status(self) -> Mapping[str, Any]:
        """Return version, upstreams and counts, ready for JSON, without secrets."""

    async def exposition(self) -> bytes:
        """Return the metrics in the text format of Prometheus."""


class AdminListenError(GatewayError):
    """The admin listener's address cannot be had."""


class AdminListener:
    """An HTTP server for operators: ``/healthz``, ``/ready``, ``/metrics``, ``/config`` and ``/upstreams``.

    It has no access control: whoever reaches the address may read.
    """

    def __init__(self) -> None:
        self.is_draining = False
        """Whether the gateway is about to end: ``/ready`` says so."""
        self._address: str | None = None
        self._runner: web.AppRunner | None = None
        self._view: AdminView | None = None

    async def open(self, address: str | None, view: AdminView) -> None:
        """Listen on this address, or on none; nothing happens if that is so already.

        :raises AdminListenError: the address is taken or not ours.
        """
        self._view = view
        if address == self._address:
            return
        await self.aclose()
        if address is None:
            return
        runner = web.AppRunner(self._application(), access_log=None, handle_signals=False)
        await runner.setup()
        try:
            await _site(runner, address).start()
        except OSError as error:
            await runner.cleanup()
            reason = os.strerror(error.errno).lower() if error.errno else str(error)
            raise AdminListenError(f"cannot listen on {address} for admin: {reason}") from error
        self._runner, self._address = runner, address

    async def aclose(self) -> None:
        """Stop listening."""
        runner, self._runner, self._address = self._runner, None, None
        if runner is not None:
            await runner.cleanup()

    def _application(self) -> web.Application:
        application = web.Application()
        application.add_routes(
            [
                web.get("/healthz", self._healthz),
                web.get("/ready", self._ready),
                web.get("/metrics", self._metrics),
                web.get("/config", self._config),
                web.get("/upstreams", self._upstreams),
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


def _site(runner: web.AppRunner, address: str) -> web.BaseSite:
    parsed = parse_listen(address)
    if not parsed.path:
        return web.TCPSite(runner, parsed.host or None, parsed.port, shutdown_timeout=1)
    path = Path(parsed.path)
    if path.exists() and stat.S_ISSOCK(path.stat().st_mode) and not _is_served(parsed.path):
        path.unlink()
    return web.UnixSite(runner, parsed.path)


def _is_served(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(path)
        except OSError:
            return False
    return True
