"""Upstreams: groups of endpoints, and every decision about which of them gets a request and what if it fails.

Everything but ``checker``, ``discovery`` and ``runtime`` is pure: values and the time in, values out.
"""

from __future__ import annotations

from gateway_core.upstreams.admission import Admission, Decision, Load
from gateway_core.upstreams.affinity import KeyFunction, StickyCookie, compile_hash_key
from gateway_core.upstreams.breaker import BreakerState, CircuitBreaker
from gateway_core.upstreams.discovery import Discovered, Discovery, DiscoveryContext, DiscoveryFactory
from gateway_core.upstreams.endpoint import Endpoint, EndpointKey, EndpointSpec, EndpointStatus
from gateway_core.upstreams.outcome import Outcome
from gateway_core.upstreams.resolver import AddressInfo, NameLookupError, Resolver
from gateway_core.upstreams.retry import Retry, RetryBudget, RetryPolicy, Stop, StopReason
from gateway_core.upstreams.runtime import LiveUpstream, UpstreamRuntime
from gateway_core.upstreams.selection import Candidates, Selection
from gateway_core.upstreams.status import describe_upstream
from gateway_core.upstreams.strategies import Strategy, StrategyFactory, make_strategy
from gateway_core.upstreams.upstream import Refusal, RefusalReason, Upstream

__all__ = [
    "AddressInfo",
    "Admission",
    "BreakerState",
    "Candidates",
    "CircuitBreaker",
    "Decision",
    "Discovered",
    "Discovery",
    "DiscoveryContext",
    "DiscoveryFactory",
    "Endpoint",
    "EndpointKey",
    "EndpointSpec",
    "EndpointStatus",
    "KeyFunction",
    "LiveUpstream",
    "Load",
    "NameLookupError",
    "Outcome",
    "Refusal",
    "RefusalReason",
    "Resolver",
    "Retry",
    "RetryBudget",
    "RetryPolicy",
    "Selection",
    "StickyCookie",
    "Stop",
    "StopReason",
    "Strategy",
    "StrategyFactory",
    "Upstream",
    "UpstreamRuntime",
    "compile_hash_key",
    "describe_upstream",
    "make_strategy",
]
