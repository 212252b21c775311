"""One plugin in one place: what a chain is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

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
