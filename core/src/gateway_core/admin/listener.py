"""Open, move and close the admin listener."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any, Protocol

from aiohttp import web

from gateway_core.admin.server import AdminServer, Reply, json_reply, text_reply

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

    It has no access control: every client that reaches the address may read. Only requests that name it by an address,
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
        self._view: AdminView | None = None

    async def open(self, address: str | None, view: AdminView, hosts: Collection[str] = ()) -> None:
        """Listen on this address, or on none; nothing happens if that is so already.

        :param hosts: names by which it may be asked for, beside addresses and ``localhost``.
        :raises GatewayError: the address cannot be had.
        """
        self._view, self._hosts = view, hosts
        if address == self._address:
            return
        await self.aclose()
        if address is None:
            return
        # A client of a unix socket is no browser, and may send any name.
        checks_host = not address.startswith("unix:")
        server = AdminServer(self._pages(), (lambda: self._hosts) if checks_host else None)
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

    def _pages(self) -> Mapping[str, Callable[[], Awaitable[Reply]]]:
        return {
            "/healthz": self._healthz,
            "/ready": self._ready,
            "/metrics": self._metrics,
            "/config": self._config,
            "/upstreams": self._upstreams,
            "/plugins": self._plugins,
        }

    @property
    def _shown(self) -> AdminView:
        assert self._view is not None
        return self._view

    async def _healthz(self) -> Reply:
        return text_reply("ok\n")

    async def _ready(self) -> Reply:
        if self.is_draining:
            return text_reply("draining\n", 503)
        status = await self._shown.status()
        if status.get("version") is None:
            return text_reply("no configuration is in force\n", 503)
        return text_reply("ready\n")

    async def _metrics(self) -> Reply:
        body = await self._shown.exposition()
        return Reply(body=body, headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})

    async def _config(self) -> Reply:
        status = dict(await self._shown.status())
        status.pop("upstreams", None)
        return json_reply(status)

    async def _upstreams(self) -> Reply:
        status = await self._shown.status()
        return json_reply(status.get("upstreams", []))

    async def _plugins(self) -> Reply:
        return json_reply(await self._shown.plugins())
