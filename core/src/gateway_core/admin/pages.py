"""Pages of the admin listener beside the API: health, metrics, and the state, at the paths of 0.1."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from aiohttp import web

from gateway_core.admin.gate import Gate
from gateway_core.admin.health import health_of
from gateway_core.admin.replies import EventStream, Reply, json_reply, refusal_reply, text_reply
from gateway_core.admin.server import Page
from gateway_core.admin.view import AdminView
from gateway_core.clock import SystemClock
from gateway_core.errors import RefusedError
from gateway_core.metrics.render import content_type_for, takes_gzip

_GZIP_LEVEL: Final = 1
"""A tenth of the size in a few milliseconds; more takes longer and gains little."""
READY_TIMEOUT: Final = 0.7
"""Seconds that ``/ready`` waits for workers: less than the second after which probes give up."""


class Pages:
    """The pages of a view."""

    def __init__(self, view: AdminView, is_draining: Callable[[], bool]) -> None:
        self._view = view
        self._is_draining = is_draining

    def of_health(self) -> Mapping[str, Page]:
        """Return those that probes and scrapers ask for, who need no login."""
        return {"/healthz": self._healthz, "/ready": self._ready, "/metrics": self._metrics}

    def of_state(self, gate: Gate) -> Mapping[str, Page]:
        """Return those that show the state, to those whom a gate lets in."""
        pages = {"/config": self._config, "/upstreams": self._upstreams, "/plugins": self._plugins}
        return {path: partial(_guarded, gate, page) for path, page in pages.items()}

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

    async def _upstreams(self, _request: web.BaseRequest) -> Reply:
        status = await self._view.status()
        return json_reply(status.get("upstreams", []))

    async def _plugins(self, _request: web.BaseRequest) -> Reply:
        return json_reply(await self._view.plugins())


async def _guarded(gate: Gate, page: Page, request: web.BaseRequest) -> Reply | EventStream:
    try:
        await gate.admit(request)
    except RefusedError as error:
        return refusal_reply(error)
    return await page(request)
