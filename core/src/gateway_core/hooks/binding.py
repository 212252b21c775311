"""One plugin in one place: what a chain is made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from gateway_core.hooks.failure_log import Faults
from gateway_core.hooks.plugin import Plugin
from gateway_core.hooks.quarantine import Quarantine
from gateway_core.leases import Lease
from gateway_core.messages import Request


class BindingKey(NamedTuple):
    """What must be equal for an instance to be kept over a reload; line numbers are not in it."""

    plugin: str
    version: str
    config: str
    """A digest of the configuration as JSON with sorted keys: it may hold secrets, and keys are shown."""

    route: str | None
    binding: str
    upstream: str | None = None


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
    path: str = ""
    """What identifies it in the whole configuration, for operators and for its shared values (see `binding_path`)."""
    lease: Lease[Any] | None = field(default=None, repr=False)
    """Keeps the instance running; what outlives the snapshot of the binding shares it."""
    config: Mapping[str, Any] = field(default_factory=dict, repr=False)
    is_after: bool = False
    """Whether it runs behind the bindings of routes and targets (``order: after``)."""
    upstream: str | None = None
    """Name of the upstream, or of the target's one, that it belongs to."""
    when: Callable[[Request], bool] | None = None
    """Says whether it runs for a request; None if it does for each."""

    def is_failing(self, now: float) -> bool:
        """Whether a hook has failed of late, or the binding is in quarantine.

        :param now: monotonic seconds.
        """
        quarantine = self.quarantine
        return self.faults.is_recent(now) or (quarantine is not None and quarantine.state(now) != "closed")

    def describe(self, now: float) -> dict[str, Any]:
        """Return what status pages show of it; nothing of its configuration."""
        quarantine = self.quarantine
        return {
            "id": self.id,
            "path": self.path,
            "plugin": self.plugin,
            "version": self.version,
            "route": self.route,
            "place": self.place,
            "mode": "shadow" if self.is_shadow else "enforce",
            "on_error": self.on_error,
            "failures": self.faults.count,
            "quarantine": None if quarantine is None else quarantine.state(now),
            "quarantines": 0 if quarantine is None else quarantine.trips,
            "released": quarantine is not None and quarantine.is_held,
        }

    def __str__(self) -> str:
        where = "gateway-wide" if self.route is None else f"on route {self.route!r}"
        if self.upstream is not None:
            where = f"{f'{where}, ' if self.route is not None else 'of '}upstream {self.upstream!r}"
        return f"binding {self.id!r} of plugin {self.plugin!r} ({where})"


def binding_path(binding: str, *, route: str | None = None, upstream: str | None = None) -> str:
    """Return what identifies a binding: ``id``, ``route/id`` on a route, ``upstreams/name/id`` on an upstream."""
    if upstream is not None:
        return f"upstreams/{upstream}/{binding}"
    return binding if route is None else f"{route}/{binding}"
