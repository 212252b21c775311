"""Bindings: one plugin in one place, and which of them apply to a route, in which order.

A chain has the gateway-wide bindings with ``order: before``, the route's own, those of the target that was chosen, and
gateway-wide ones with ``order: after``. A route's binding replaces the gateway-wide one of its id, in that one's place,
or switches it off; a target's binding replaces none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Generic, Literal, Protocol, TypeVar

from pydantic import Field, model_validator

from gateway_core.config.models.base import Section
from gateway_core.config.models.conditions import AddressCondition, Condition, CookieName, Scheme
from gateway_core.config.values import (
    NOT_EMPTY,
    HeaderName,
    InconsistentError,
    Method,
    Name,
    PositiveCount,
    PositiveDuration,
    Switch,
)


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


class WhenConfig(Section):
    """The requests for which a binding runs: those that meet all conditions. It is decided once for each request, when
    the binding's turn first comes.
    """

    methods: tuple[Method, ...] = ()
    """Methods in capitals."""

    scheme: Scheme | None = None
    """The scheme as the client sees it."""

    headers: Mapping[HeaderName, Condition] = Field(default_factory=dict)
    """Headers that must match, as on routes."""

    query: Mapping[str, Condition] = Field(default_factory=dict)
    """Query parameters that must match, as on routes."""

    cookies: Mapping[CookieName, Condition] = Field(default_factory=dict)
    """Cookies that must match, as on routes."""

    params: Mapping[str, Condition] = Field(default_factory=dict)
    """Parameters of path and host that must match, as on routes; only for bindings of routes and their targets."""

    client_ip: AddressCondition | None = None
    """Networks of the client's address, as on routes."""

    @model_validator(mode="after")
    def _check(self) -> WhenConfig:
        if not any(getattr(self, name) for name in type(self).model_fields):
            raise InconsistentError("has no condition", remedy="give at least one, or leave when out")
        return self


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

    when: WhenConfig | None = None
    """The requests for which the binding runs; all unless given."""

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


class PluginSetConfig(Section):
    """Bindings that are listed together: ``{use: NAME}`` in a list of plugins stands for them.

    Each place has instances of its own. A binding behind ``use`` with the id of one from the set replaces it, in its
    place.
    """

    name: Name
    """Name of the set."""

    plugins: Annotated[tuple[BindingConfig, ...], NOT_EMPTY]
    """Its bindings, in order; a set uses no other sets."""


class HasId(Protocol):
    """What a chain needs to know about a binding."""

    @property
    def id(self) -> str:
        """Tells bindings apart."""

    @property
    def enabled(self) -> bool:
        """Whether the binding runs."""

    @property
    def order(self) -> str | None:
        """``after`` if a gateway-wide binding runs behind those of routes and targets."""


B = TypeVar("B", bound=HasId)


@dataclass(frozen=True, slots=True)
class ChainEntry(Generic[B]):
    """One binding of a route's chain, enabled or not."""

    binding: B
    is_own: bool
    """The route's own binding rather than a gateway-wide or a target's one."""
    index: int
    """Position in the list that it was written in."""
    replaces: int | None = None
    """Position of the gateway-wide binding in whose place it stands."""
    target: int | None = None
    """Position of the target that it belongs to."""
    is_after: bool = False
    """Whether it stands behind the bindings of routes and targets, or in the place of one that does."""

    def key_path(self, route_index: int | None) -> str:
        """Return where it is written: ``plugins[0]``, ``routes[3].plugins[0]``, ``routes[3].targets[1].plugins[0]``."""
        if self.target is not None:
            return f"routes[{route_index}].targets[{self.target}].plugins[{self.index}]"
        return f"routes[{route_index}].plugins[{self.index}]" if self.is_own else f"plugins[{self.index}]"


def resolve_chain(
    gateway_wide: Sequence[B], own: Sequence[B], target: int | None = None, of_target: Sequence[B] = ()
) -> list[ChainEntry[B]]:
    """Return all bindings in the order in which they run, those that are switched off included.

    :param own: the route's.
    :param target: position of the target whose bindings are ``of_target``.
    """
    own_by_id = {binding.id: index for index, binding in enumerate(own)}
    before: list[ChainEntry[B]] = []
    after: list[ChainEntry[B]] = []
    replaced = set()
    for index, binding in enumerate(gateway_wide):
        is_after = binding.order == "after"
        position = own_by_id.get(binding.id)
        if position is None:
            entry = ChainEntry(binding, is_own=False, index=index, is_after=is_after)
        else:
            replaced.add(position)
            entry = ChainEntry(own[position], is_own=True, index=position, replaces=index, is_after=is_after)
        (after if is_after else before).append(entry)
    rest = [ChainEntry(item, is_own=True, index=i) for i, item in enumerate(own) if i not in replaced]
    targets = [ChainEntry(item, is_own=False, index=i, target=target) for i, item in enumerate(of_target)]
    return [*before, *rest, *targets, *after]


def effective_chain(
    gateway_wide: Sequence[B], own: Sequence[B], target: int | None = None, of_target: Sequence[B] = ()
) -> list[ChainEntry[B]]:
    """Return the bindings that run, in order; arguments as for `resolve_chain`."""
    return [entry for entry in resolve_chain(gateway_wide, own, target, of_target) if entry.binding.enabled]
