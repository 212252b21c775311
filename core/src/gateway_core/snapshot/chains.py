"""The chains of a configuration that binds plugins, or has hooks of the core: error pages, times in responses."""

from __future__ import annotations

from gateway_core.config import LoadedConfig
from gateway_core.hooks import Chain, server_timing_binding
from gateway_core.hooks.error_pages import ErrorPageHooks
from gateway_core.observe import HookObserver
from gateway_core.observe.tracing import OpenTracing
from gateway_core.observe.tracing.hook_spans import HookSpans
from gateway_core.packages import Bindings, ChainBuilder
from gateway_core.snapshot.environment import Environment
from gateway_core.snapshot.route import targets_of
from gateway_core.tasks import Yielder


async def build_chains(
    loaded: LoadedConfig,
    environment: Environment,
    bindings: Bindings,
    tracing: OpenTracing | None,
    yielder: Yielder,
    *,
    has_pages: bool,
) -> tuple[ChainBuilder, dict[str, Chain]]:
    """Bind what a configuration lists; the bindings are to be started then.

    :param has_pages: whether there are error pages anywhere.
    :returns: the chains by the ids of the routes that are enabled, and what made them.
    :raises ConfigError: a binding cannot be made.
    """
    config, server_timing = loaded.config, None
    timings: HookObserver | None = environment.timings
    if config.server_timing:
        timings = timings or environment.times
        server_timing = server_timing_binding(environment.clock, environment.metrics)
    if tracing is not None:
        async for part in yielder.parts(config.routes):
            tracing.shows_hooks |= any(route.tracing and route.tracing.detail == "hooks" for route in part)
        timings = HookSpans(timings) if tracing.shows_hooks else timings
    pages = None
    if has_pages:
        pages = ErrorPageHooks(config.error_pages, environment.services.fetch, environment.clock, environment.metrics)
        async for part in yielder.parts(config.routes):
            pages.targets.update((route.id, targets_of(route)[0]) for route in part if targets_of(route))
    chains = ChainBuilder(bindings, config.plugins, loaded.place_of, timings, server_timing, pages)
    chain_of: dict[str, Chain] = {}
    for index, route in enumerate(config.routes):
        if route.enabled:
            chain_of[route.id] = chains.chain_of(route, index)
            await yielder.checkpoint()
    return chains, chain_of
