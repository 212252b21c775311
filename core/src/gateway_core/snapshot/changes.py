"""What a reload changed, by name, on one line."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from gateway_core.config import BindingConfig, GatewayConfig, RouteConfig
from gateway_core.snapshot.compile import Compiled
from gateway_core.tasks import Yielder

K = TypeVar("K", bound=Hashable)

_MOST_NAMES: Final = 5
"""Names of one kind that a line has; the others are counted."""


@dataclass(frozen=True, slots=True)
class Difference:
    """Which things of one kind are new, gone or different, by name, and how many are as they were."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    kept: int = 0

    @property
    def is_empty(self) -> bool:
        """Whether nothing is different."""
        return not (self.added or self.removed or self.changed)

    def parts(self, noun: str) -> Iterator[str]:
        """Yield ``routes removed: a, b`` and the like."""
        for names, verb in ((self.added, "added"), (self.removed, "removed"), (self.changed, "changed")):
            if names:
                yield f"{noun} {verb}: {_listed(names)}"


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _MOST_NAMES
    return ", ".join(names[:_MOST_NAMES]) + (f" and {more} more" if more > 0 else "")


async def compare(old: Mapping[str, Any], new: Mapping[str, Any], yielder: Yielder) -> Difference:
    """Compare two tables entry by entry; names are in the order of the tables."""
    added, changed, kept = list[str](), list[str](), 0
    for key, value in new.items():
        if key not in old:
            added.append(key)
        elif old[key] is value or old[key] == value:
            kept += 1
        else:
            changed.append(key)
        await yielder.checkpoint()
    removed: list[str] = []
    async for part in yielder.parts(list(old)):
        removed += [key for key in part if key not in new]
    return Difference(tuple(added), tuple(removed), tuple(changed), kept)


@dataclass(frozen=True, slots=True)
class Changes:
    """What is different between two snapshots."""

    routes: Difference
    upstreams: Difference
    endpoints: Difference
    bindings: Difference
    bindings_rebuilt: int
    bindings_kept: int
    settings: tuple[str, ...] = ()
    """Other keys of the document that are different: ``limits``."""

    def __str__(self) -> str:
        changed = [
            *self.bindings.parts("bindings"),
            *self.routes.parts("routes"),
            *self.upstreams.parts("upstreams"),
            *self.endpoints.parts("endpoints"),
            *([f"{' and '.join(self.settings)} changed"] if self.settings else []),
        ]
        rebuilt = f"{counted(self.bindings_rebuilt, 'binding')} rebuilt, {self.bindings_kept} kept"
        return "; ".join([*(changed or ["nothing changed"]), rebuilt])


def counted(number: int, noun: str) -> str:
    """Return ``1 route`` or ``2 routes``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


async def changes_between(old: GatewayConfig | None, compiled: Compiled, yielder: Yielder) -> Changes:
    """Compare a new snapshot with the configuration in force."""
    new = compiled.snapshot.config
    await yielder.checkpoint()
    settings = () if old is None else changed_settings(old, new)
    old = old or GatewayConfig()
    before, after = await _routes(old, yielder), await _routes(new, yielder)
    routes = await compare(before, after, yielder)
    upstreams = await compare(_upstreams(old), _upstreams(new), yielder)
    inside = frozenset(upstreams.changed)
    bound = await bindings_of(old, before, routes.changed, inside, yielder)
    now_bound = await bindings_of(new, after, routes.changed, inside, yielder)
    return Changes(
        routes=routes,
        upstreams=upstreams,
        endpoints=await compare(_endpoints(old), _endpoints(new), yielder),
        bindings=await compare(bound, now_bound, yielder),
        bindings_rebuilt=compiled.bindings_made,
        bindings_kept=compiled.bindings_kept,
        settings=settings,
    )


_NAMED: Final = frozenset({"routes", "upstreams", "plugins"})


def changed_settings(old: GatewayConfig, new: GatewayConfig) -> tuple[str, ...]:
    """Return the keys whose values are different, short of those whose entries are named."""
    return tuple(
        name for name in GatewayConfig.model_fields if name not in _NAMED and getattr(old, name) != getattr(new, name)
    )


async def _routes(config: GatewayConfig, yielder: Yielder) -> dict[str, RouteConfig]:
    found: dict[str, RouteConfig] = {}
    async for part in yielder.parts(config.routes):
        found.update((route.id, route) for route in part)
    return found


def _upstreams(config: GatewayConfig) -> dict[str, Any]:
    return {upstream.name: upstream for upstream in config.upstreams}


def _endpoints(config: GatewayConfig) -> dict[str, Any]:
    return {f"{upstream.name}/{end.id}": end for upstream in config.upstreams for end in upstream.endpoints}


async def bindings_of(
    config: GatewayConfig,
    routes: Mapping[str, RouteConfig],
    changed: Sequence[str],
    upstreams: Collection[str],
    yielder: Yielder,
) -> dict[str, BindingConfig]:
    """Return what is bound, by id and place: gateway-wide, and on some routes and upstreams of a configuration.

    Those of routes and upstreams that are new or gone come and go with them, and are not named.

    :param routes: those of the configuration, by id.
    :param changed: ids of the routes that count.
    :param upstreams: names of the upstreams that count.
    """
    found = {f"{binding.id} (gateway-wide)": binding for binding in config.plugins}
    for name in changed:
        route = routes[name]
        found |= {f"{binding.id} (route {route.id})": binding for binding in route.plugins}
        for target in route.targets:
            for binding in target.plugins:
                found[f"{binding.id} (target {target.target} of route {route.id})"] = binding
        await yielder.checkpoint()
    for upstream in config.upstreams:
        if upstream.name in upstreams:
            found |= {f"{binding.id} (upstream {upstream.name})": binding for binding in upstream.plugins}
    return found
