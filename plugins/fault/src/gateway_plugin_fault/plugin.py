"""The plugin: delays requests, and responds with failures, by share."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from random import random

from gateway_plugin_sdk import Plugin, PluginContext, Request, Response, hookimpl

from gateway_plugin_fault.config import AbortConfig, DelayConfig, FaultConfig


class Fault(Plugin[FaultConfig]):
    """Makes faults on purpose."""

    name = "fault"
    config_model = FaultConfig

    def __init__(self, config: FaultConfig, context: PluginContext) -> None:
        super().__init__(config, context)
        self._active = 0
        self._made = self.metrics.counter(
            "gateway_fault_made", "Faults that were made on purpose.", ("route", "binding", "kind")
        )

    @hookimpl
    def gateway_pre_proxy(self, request: Request) -> Response | Awaitable[Response | None] | None:
        """Delay a request, respond in the upstream's place, or let it pass."""
        config = self.config
        if config.header is not None and config.header not in request.headers:
            return None
        delay, abort = config.delay, config.abort
        if delay is not None and _is_chosen(delay.percent) and self._active < config.max_active:
            return self._delayed(request, delay)
        if abort is not None and _is_chosen(abort.percent):
            return self._aborted(request, abort)
        return None

    async def _delayed(self, request: Request, delay: DelayConfig) -> Response | None:
        self._count("delay")
        longest = delay.duration if delay.to is None else delay.to
        self._active += 1
        try:
            await asyncio.sleep(delay.duration + (longest - delay.duration) * random())  # noqa: S311 - guards nothing
        finally:
            self._active -= 1
        abort = self.config.abort
        return self._aborted(request, abort) if abort is not None and _is_chosen(abort.percent) else None

    def _aborted(self, request: Request, abort: AbortConfig) -> Response | None:
        self._count("abort")
        if abort.status == "reset":
            request.abort("fault")
            return None
        return Response.problem(abort.status, abort.message)

    def _count(self, kind: str) -> None:
        self._made.labels(self.context.route or "", self.context.binding, kind).inc()


def _is_chosen(percent: float) -> bool:
    return random() * 100 < percent  # noqa: S311 - guards nothing
