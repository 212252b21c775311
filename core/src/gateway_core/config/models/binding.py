"""Bindings: a plugin in one place, with its config and its failure policy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from gateway_core.config.models.base import Section
from gateway_core.config.values import Name, PositiveCount, PositiveDuration, Switch


class QuarantineConfig(Section):
    """When to stop calling a binding that keeps failing."""

    failures: PositiveCount = 5
    """Failures within ``window`` that quarantine the binding. Those that a client causes do not count: a body that is
    too large or does not come in time, a client that leaves, a header field that its data make invalid."""

    clients: PositiveCount = 3
    """Different clients that the failures must come from, so that one client cannot switch the binding off for the
    others; no more than its share of ``failures`` counts of one client. An IPv6 network of 64 bits is one client. Give
    1 where all requests come from one address."""

    window: PositiveDuration = 60.0
    """How long a failure counts."""

    open_for: PositiveDuration = 30.0
    """How long the binding is quarantined before one request probes it."""


def _own_name(data: dict[str, Any]) -> str:
    return str(data.get("name", ""))


class BindingConfig(Section):
    """One plugin in one place: gateway-wide, on a route, a target or an upstream."""

    name: Name
    """Name of the plugin, as ``gateway plugins list`` shows it."""

    id: Name = Field(default_factory=_own_name)
    """Distinguishes two bindings of one plugin; by default the plugin's name. A route's binding replaces the
    gateway-wide binding of the same id, in its place in the order."""

    config: Mapping[str, Any] = Field(default_factory=dict, repr=False)
    """The plugin's own configuration (``gateway plugins show NAME``)."""

    enabled: Switch = True
    """``false`` switches an inherited binding off on this route."""

    order: Literal["before", "after"] | None = None
    """Whether a gateway-wide binding runs before the bindings of routes and targets, which is the default, or after
    them. A route's binding that replaces it takes its place."""

    on_error: Literal["deny", "continue"] | None = None
    """What happens to a request on which the plugin fails; by default what the plugin declares."""

    timeout: PositiveDuration | None = None
    """Longest time for one call of an asynchronous hook; none unless given."""

    on_timeout: Literal["deny", "continue"] | None = None
    """What happens to a request on which the plugin takes longer; as ``on_error`` unless given."""

    mode: Literal["enforce", "shadow"] = "enforce"
    """In ``shadow`` the plugin runs and its decision is counted and logged, but nothing is enforced."""

    quarantine: QuarantineConfig | None = None
    """When to stop calling the plugin for a while; never unless given."""
