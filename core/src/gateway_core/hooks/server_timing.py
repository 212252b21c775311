"""Tell trusted clients on demand what a request's plugins took (W3C Server Timing).

It takes part in a chain as if it were the outermost binding, so that nothing of it exists where it is switched off.
"""

from __future__ import annotations

import logging
from time import perf_counter
from typing import Any, Final

from gateway_core.clock import Clock
from gateway_core.hooks.binding import Binding
from gateway_core.hooks.chain import Chain, Hook
from gateway_core.hooks.failure_log import Faults
from gateway_core.hooks.plugin import Plugin, PluginContext
from gateway_core.hookspecs import hookimpl
from gateway_core.messages import Request, Response
from gateway_core.metrics import Metrics
from gateway_core.observe.hook_times import is_watched, server_timing, watch

ASK: Final = "X-Gateway-Timing"
"""The request's field that asks for times; ``1`` is yes."""

_NAME: Final = "server-timing"
_SENT_KEY: Final = "gateway.timings.sent"
_RESPONDED_KEY: Final = "gateway.timings.responded"


class TimingAnswers(Plugin[None]):
    """Watches the requests of trusted peers that ask for it, and writes their times into the response."""

    name = _NAME
    default_on_error = "continue"

    @hookimpl
    def gateway_request(self, request: Request) -> None:
        """Begin to watch."""
        arrival = request._arrival  # noqa: SLF001 - nothing for plugins
        if arrival is not None and arrival.is_trusted and request.headers.get(ASK) == "1":
            watch(request)

    @hookimpl
    def gateway_pre_proxy(self, request: Request) -> None:
        """Note when the last plugin before the upstream was done."""
        if is_watched(request):
            request.state[_SENT_KEY] = perf_counter()

    def responded(self, request: Request, _response: Response) -> None:
        """Note when the response's head came, before the first response hook."""
        if is_watched(request):
            request.state[_RESPONDED_KEY] = perf_counter()

    @hookimpl
    def gateway_response(self, request: Request, response: Response) -> None:
        """Write the times, after the last response hook."""
        if not is_watched(request):
            return
        metrics = [server_timing(request)]
        sent, responded = request.state.get(_SENT_KEY), request.state.get(_RESPONDED_KEY)
        if sent is not None and responded is not None:
            metrics.append(f"upstream;dur={(responded - sent) * 1000:.3f}")
        metrics.append(f"gateway;dur={(self.clock.monotonic() - request.started) * 1000:.3f}")
        response.headers.add("Server-Timing", ", ".join(filter(None, metrics)))


def server_timing_binding(clock: Clock, metrics: Metrics) -> Binding:
    """Return the binding to give to `with_server_timing`."""
    log = logging.getLogger("gateway.plugins.server-timing")
    instance = TimingAnswers(None, PluginContext(_NAME, None, clock, log, metrics))
    return Binding(_NAME, _NAME, "", None, "continue", "continue", None, False, instance, Faults())


def with_server_timing(chain: Chain, binding: Binding) -> Chain:
    """Put the binding around a chain; the chain is changed and returned."""
    instance: Any = binding.instance
    if chain.bindings[:1] == (binding,):
        return chain
    first = Hook(instance.responded, binding, "gateway_response")
    last = Hook(instance.gateway_response, binding, "gateway_response")
    sent = Hook(instance.gateway_pre_proxy, binding, "gateway_pre_proxy")
    chain.request = (Hook(instance.gateway_request, binding, "gateway_request"), *chain.request)
    for each in chain.variants:
        each.bindings = (binding, *each.bindings)
        each.pre_proxy = (*each.pre_proxy, sent)
        each.response = (first, *each.response, last)
    return chain
