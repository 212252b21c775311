"""A gateway with a cache in front of a scripted upstream, and a clock to move."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from gateway_plugin_auth import Auth
from gateway_plugin_cache import Cache
from gateway_plugin_compress import Compress
from gateway_plugin_cors import Cors
from gateway_plugin_headers import HeaderRules
from gateway_plugin_logger import Logger
from gateway_plugin_ratelimit import RateLimit
from gateway_plugin_sdk.testing import Answer, ManualClock, RunningGateway, ScriptedUpstream, StartGateway, one_route

PLUGINS = [Cache, Auth, Compress, Cors, HeaderRules, Logger, RateLimit]
Fields = dict[str, str] | Sequence[tuple[str, str]]


class Cached:
    """A route with a cache."""

    def __init__(self, running: RunningGateway, upstream: ScriptedUpstream, clock: ManualClock) -> None:
        self.running = running
        self.upstream = upstream
        self.clock = clock

    def get(self, target: str = "/", headers: Fields = (), method: str = "GET") -> Answer:
        """Send a request."""
        return self.running.request(method, target, headers=headers)

    def pass_time(self, seconds: float) -> None:
        """Let time pass for the cache."""
        self.clock.advance(seconds)

    def reaches_upstream(self, target: str = "/", headers: Fields = (), method: str = "GET") -> bool:
        """Send a request; return whether the upstream got one."""
        before = len(self.upstream.requests)
        self.get(target, headers, method)
        return len(self.upstream.requests) > before


CachedRoute = Callable[..., Cached]


@pytest.fixture
def cached(gateway: StartGateway, upstream: ScriptedUpstream) -> CachedRoute:
    """Return a function that starts a gateway: options of the cache, and bindings around it."""

    def start(before: Sequence[Any] = (), behind: Sequence[Any] = (), **config: Any) -> Cached:
        clock = ManualClock()
        binding = {"name": "cache", "config": config}
        running = gateway(one_route(upstream.url, *before, binding, *behind), plugins=PLUGINS, clock=clock)
        return Cached(running, upstream, clock)

    return start
