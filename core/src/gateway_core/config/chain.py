"""Which bindings apply to a route: the gateway-wide ones, replaced and switched off by id, then the route's own."""

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


B = TypeVar("B", bound=HasId)


@dataclass(frozen=True, slots=True)
class ChainEntry(Generic[B]):
    """One binding of a route's chain, enabled or not."""

    binding: B
    is_own: bool
    """The route's own binding rather than a gateway-wide one."""
    index: int
    """Position in the list that it was written in."""
    replaces: int | None = None
    """Position of the gateway-wide binding in whose place it stands."""

    def key_path(self, route_index: int | None) -> str:
        """Return where it is written: ``plugins[0]`` or ``routes[3].plugins[0]``."""
        return f"routes[{route_index}].plugins[{self.index}]" if self.is_own else f"plugins[{self.index}]"


def resolve_chain(gateway_wide: Sequence[B], own: Sequence[B]) -> list[ChainEntry[B]]:
    """Return all bindings in the order in which they run, those that are switched off included."""
    own_by_id = {binding.id: index for index, binding in enumerate(own)}
    chain = []
    replaced = set()
    for index, binding in enumerate(gateway_wide):
        position = own_by_id.get(binding.id)
        if position is None:
            chain.append(ChainEntry(binding, is_own=False, index=index))
        else:
            replaced.add(position)
            chain.append(ChainEntry(own[position], is_own=True, index=position, replaces=index))
    chain += [ChainEntry(item, is_own=True, index=i) for i, item in enumerate(own) if i not in replaced]
    return chain


def effective_chain(gateway_wide: Sequence[B], own: Sequence[B]) -> list[ChainEntry[B]]:
    """Return the bindings that run, in order."""
    return [entry for entry in resolve_chain(gateway_wide, own) if entry.binding.enabled]
