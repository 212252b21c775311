"""What outlives snapshots, and what they are made with."""

from __future__ import annotations

from dataclasses import dataclass, field

from gateway_core.clock import Clock
from gateway_core.hooks import PluginServices
from gateway_core.metrics import Metrics
from gateway_core.observe import Timings
from gateway_core.observe.tracing import Tracing
from gateway_core.packages import InstanceLeases, PluginRegistry
from gateway_core.upstreams.runtime import UpstreamRuntime


@dataclass(frozen=True, slots=True)
class Environment:
    """What outlives snapshots: plugins with their instances, upstreams with their endpoints."""

    registry: PluginRegistry
    instances: InstanceLeases
    upstreams: UpstreamRuntime
    clock: Clock
    metrics: Metrics
    timings: Timings | None = None
    """Measures or records every hook, whatever the configuration."""

    times: Timings = field(default_factory=Timings)
    """Measures every hook of configurations with ``server_timing: true``."""

    services: PluginServices = field(default_factory=PluginServices)
    """What plugins share values and reach other workers by."""

    tracing: Tracing | None = None
    """What exports the spans of requests; None exports nothing."""
