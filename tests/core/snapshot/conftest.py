"""A configuration compiled with real plugins, upstreams and leases; only the plugins are made up."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from gateway_core.clock import SystemClock
from gateway_core.config import LoadedConfig
from gateway_core.hooks import Plugin
from gateway_core.hookspecs import hookimpl
from gateway_core.messages import Request, Response
from gateway_core.metrics import Metrics
from gateway_core.packages import InstanceLeases, PluginRegistry
from gateway_core.snapshot import Environment, load
from gateway_core.upstreams.runtime import UpstreamRuntime

events: list[str] = []
"""What the plugins of a test did."""


class Noted(Plugin[dict[str, object]]):
    """Notes down when it starts and stops."""

    name = "noted"
    config_schema = {"type": "object", "properties": {"tag": {"type": "string"}, "fail": {"type": "boolean"}}}

    @hookimpl
    def gateway_pre_proxy(self, request: Request) -> Response | None:
        return None

    async def start(self) -> None:
        if self.config.get("fail"):
            raise RuntimeError("no luck today")
        events.append(f"start {self.config.get('tag')}")

    async def stop(self) -> None:
        events.append(f"stop {self.config.get('tag')}")


class Responding(Plugin[dict[str, object]]):
    """Responds in the place of an upstream."""

    name = "responding"
    config_schema = {"type": "object"}
    provides = frozenset({"response"})

    @hookimpl
    def gateway_pre_proxy(self, request: Request) -> Response | None:
        return None


@pytest.fixture
def noted() -> list[str]:
    events.clear()
    return events


@pytest.fixture
def registry() -> PluginRegistry:
    made = PluginRegistry(dict)
    made.register(Noted, version="1.0")
    made.register(Responding, version="1.0")
    return made


@pytest.fixture
async def environment(registry: PluginRegistry) -> AsyncIterator[Environment]:
    clock = SystemClock()
    upstreams = UpstreamRuntime(clock)
    instances: InstanceLeases = InstanceLeases()
    yield Environment(registry, instances, upstreams, clock, Metrics())
    await upstreams.aclose()


@pytest.fixture
def load_text(tmp_path: Path, registry: PluginRegistry) -> Callable[[str], LoadedConfig]:
    def load_config(text: str) -> LoadedConfig:
        path = tmp_path / "gateway.yaml"
        path.write_text(text)
        return load([path], registry=registry, environ={})

    return load_config
