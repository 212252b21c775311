"""One plugin in one place: what a chain is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from gateway_core.plugins.base import Plugin
from gateway_core.plugins.faults import Faults
from gateway_core.plugins.quarantine import Quarantine


class BindingKey(NamedTuple):
    """What must be equal for an instance to be kept over a reload; line numbers are not in it."""

    plugin: str
    version: str
    config: str
    """The configuration as JSON with sorted keys."""

    route: str | None
    binding: str


@dataclass(slots=True, eq=False)
class Binding:
    """One plugin in one place, with its policy and its running instance."""

    id: str
    plugin: str
    version: str
    route: str | None
    """Id of the route that it belongs to; None if it is gateway-wide."""

    on_error: str
    """``deny`` or ``continue``: what a failing hook means."""

    on_timeout: str
    """The same for a hook that took too long."""

    timeout: float | None
    """Seconds that a hook may take."""

    is_shadow: bool
    """Whether hooks run on copies and nothing that they decide is done."""

    instance: Plugin[Any]
    faults: Faults
    quarantine: Quarantine | None = None
    place: str = ""
    config: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def __str__(self) -> str:
        where = "gateway-wide" if self.route is None else f"on route {self.route!r}"
        return f"binding {self.id!r} of plugin {self.plugin!r} ({where})"


class BindingLike(Protocol):
    """What the rule of inheritance needs to know of a binding in the configuration."""

    @property
    def id(self) -> str | None:
        """The binding's id, unique in its list; None stands for the plugin's name."""
        ...

    @property
    def name(self) -> str:
        """The plugin's name."""
        ...

    @property
    def enabled(self) -> bool:
        """Whether it runs."""
        ...


BindingT = TypeVar("BindingT", bound=BindingLike)


@dataclass(frozen=True, slots=True)
class Effective(Generic[BindingT]):
    """One place in a route's list of bindings, as inheritance left it."""

    binding: BindingT
    is_own: bool
    """Whether the route itself lists it."""

    replaced: BindingT | None = None
    """The gateway-wide binding whose place it took."""

    @property
    def is_on(self) -> bool:
        return self.binding.enabled

    @property
    def why_off(self) -> str:
        """Say why it does not run; empty if it does."""
        if self.is_on:
            return ""
        if self.replaced is not None:
            return "switched off on this route"
        return "switched off where it is listed"


def binding_id(binding: BindingLike) -> str:
    """Return a binding's id."""
    return binding.id or binding.name


def explain_bindings(gateway_wide: Sequence[BindingT], route: Sequence[BindingT]) -> list[Effective[BindingT]]:
    """Return every binding that concerns a route, in chain order, those that are off included.

    A route's binding replaces the gateway-wide one of the same id, in the gateway-wide one's place; the route's other
    bindings follow in their order.
    """
    own = {binding_id(binding): binding for binding in route}
    result = []
    for inherited in gateway_wide:
        replacing = own.pop(binding_id(inherited), None)
        if replacing is None:
            result.append(Effective(inherited, is_own=False))
        else:
            result.append(Effective(replacing, is_own=True, replaced=inherited))
    result.extend(Effective(binding, is_own=True) for binding in own.values())
    return result


def effective_bindings(gateway_wide: Sequence[BindingT], route: Sequence[BindingT]) -> list[Effective[BindingT]]:
    """Return the bindings that run for a route, in chain order (see `explain_bindings`)."""
    return [each for each in explain_bindings(gateway_wide, route) if each.is_on]
