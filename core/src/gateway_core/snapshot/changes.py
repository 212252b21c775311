"""What a reload changed, in numbers that fit on one line."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from gateway_core.config import GatewayConfig
from gateway_core.snapshot.compile import Compiled
from gateway_core.snapshot.yielder import Yielder

K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Difference:
    """How many things of one kind are new, gone, different, or as they were."""

    added: int = 0
    removed: int = 0
    changed: int = 0
    kept: int = 0

    @property
    def is_empty(self) -> bool:
        """Whether nothing is different."""
        return not (self.added or self.removed or self.changed)


async def compare(old: Mapping[K, Any], new: Mapping[K, Any], yielder: Yielder) -> Difference:
    """Compare two tables entry by entry."""
    both = old.keys() & new.keys()
    kept = 0
    for key in both:
        kept += old[key] == new[key]
        await yielder.checkpoint()
    return Difference(len(new) - len(both), len(old) - len(both), len(both) - kept, kept)


@dataclass(frozen=True, slots=True)
class Changes:
    """What is different between two snapshots."""

    routes: Difference
    upstreams: Difference
    endpoints: Difference
    bindings_rebuilt: int
    bindings_kept: int
    settings: tuple[str, ...] = ()
    """Other keys of the document that are different: ``limits``."""

    def __str__(self) -> str:
        parts = [
            *_difference_parts(self.routes, "route"),
            *_difference_parts(self.upstreams, "upstream"),
            *_difference_parts(self.endpoints, "endpoint"),
            *([f"{' and '.join(self.settings)} changed"] if self.settings else []),
            f"{counted(self.bindings_rebuilt, 'binding')} rebuilt",
            f"{self.bindings_kept} kept",
        ]
        return ", ".join(parts)


def counted(number: int, noun: str) -> str:
    """Return ``1 route`` or ``2 routes``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _difference_parts(difference: Difference, noun: str) -> list[str]:
    if difference.is_empty:
        return []
    parts = [
        (difference.added, "added"),
        (difference.removed, "removed"),
        (difference.changed, "changed"),
    ]
    return [f"{counted(number, noun)} {verb}" for number, verb in parts if number]


async def changes_between(old: GatewayConfig | None, compiled: Compiled, yielder: Yielder) -> Changes:
    """Compare a new snapshot with the configuration in force."""
    new = compiled.snapshot.config
    settings = () if old is None else changed_settings(old, new)
    old = old or GatewayConfig()
    return Changes(
        routes=await compare(_routes(old), _routes(new), yielder),
        upstreams=await compare(_upstreams(old), _upstreams(new), yielder),
        endpoints=await compare(_endpoints(old), _endpoints(new), yielder),
        bindings_rebuilt=compiled.bindings_made,
        bindings_kept=compiled.bindings_kept,
        settings=settings,
    )


_COUNTED: Final = frozenset({"routes", "upstreams", "plugins"})


def changed_settings(old: GatewayConfig, new: GatewayConfig) -> tuple[str, ...]:
    """Return the keys whose values are different, short of those whose entries are counted."""
    return tuple(
        name for name in GatewayConfig.model_fields if name not in _COUNTED and getattr(old, name) != getattr(new, name)
    )


def _routes(config: GatewayConfig) -> dict[str, Any]:
    return {route.id: route for route in config.routes}


def _upstreams(config: GatewayConfig) -> dict[str, Any]:
    return {upstream.name: upstream for upstream in config.upstreams}


def _endpoints(config: GatewayConfig) -> dict[tuple[str, str], Any]:
    return {(upstream.name, end.id): end for upstream in config.upstreams for end in upstream.endpoints}
