"""Which bindings apply to a route, and in which order.

Gateway-wide bindings with ``order: before``, the route's own, those of the target that was chosen, gateway-wide ones
with ``order: after``. A route's binding replaces the gateway-wide one of its id, in that one's place, or switches it
off; a target's binding replaces none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar


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
