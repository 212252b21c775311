"""How overrides reach every process: the program has them in an `OverrideTable`, which passes them on to its children.

Each child gets them when it starts, before it prepares a configuration, and whenever they change. The log follows them
in every process. Where requests are served, `ServingOverrides` changes which endpoints get some and which bindings run.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final, cast

from gateway_core.config import LogLevel
from gateway_core.process import logs
from gateway_core.process.child import Child
from gateway_core.reload.overrides import Override, Overrides
from gateway_core.upstreams.endpoint import EndpointStatus

if TYPE_CHECKING:
    from gateway_core.snapshot import Snapshot, SnapshotHolder
    from gateway_core.upstreams.runtime import UpstreamRuntime

OVERRIDES: Final = "overrides"
"""Kind of the message that has all overrides for a child."""
TIMEOUT: Final = 5.0
"""Seconds in which a child takes them in; one that takes longer does so later."""


class OverrideTable:
    """What is overridden, and the children that have to know."""

    def __init__(self) -> None:
        self.current: Overrides = ()
        self._children: dict[Child, int | None] = {}

    async def begin(self, child: Child, number: int | None = None) -> None:
        """Pass on to a new child what is overridden, now and whenever that changes.

        :param number: of a worker.
        :raises ChannelClosedError: it is gone.
        """
        self.adopt(child, number)
        if self.current:
            await child.channel.send(OVERRIDES, overrides=plain_of(self.current))

    def adopt(self, child: Child, number: int | None = None) -> None:
        """Pass on changes to a child that knows what is overridden already."""
        self._children = {each: place for each, place in self._children.items() if not each.gone.is_set()}
        self._children[child] = number

    async def put(self, overrides: Overrides) -> list[int]:
        """Have other overrides, and return the numbers of the workers that have not taken them in in time."""
        self.current = overrides
        logs.override_level(level_of(overrides))
        plain, there = plain_of(overrides), list(self._children.items())
        calls = (child.call(OVERRIDES, timeout=TIMEOUT, overrides=plain) for child, _ in there)
        replies = await asyncio.gather(*calls, return_exceptions=True)
        # A child that is gone is replaced by one that begins with them.
        late = zip(there, replies, strict=True)
        return sorted({number for (_, number), reply in late if number is not None and isinstance(reply, TimeoutError)})


def plain_of(overrides: Overrides) -> list[dict[str, Any]]:
    """Return overrides ready for JSON."""
    return [asdict(each) for each in overrides]


def from_plain(plain: Iterable[dict[str, Any]]) -> Overrides:
    """Undo `plain_of`."""
    return tuple(map(Override.from_plain, plain))


def level_of(overrides: Overrides) -> LogLevel | None:
    """Return the level of the log; None if the configuration decides."""
    return next((cast("LogLevel", each.name) for each in overrides if each.kind == "log-level"), None)


class ServingOverrides:
    """Overrides in a process that serves."""

    def __init__(self, upstreams: UpstreamRuntime, holder: SnapshotHolder) -> None:
        self._upstreams = upstreams
        self._holder = holder
        self._released: Collection[str] = ()

    def put(self, overrides: Overrides) -> None:
        """Have these overrides in force, and no others."""
        logs.override_level(level_of(overrides))
        endpoints = (each for each in overrides if each.kind in {"drain", "up"})
        self._upstreams.override({(each.upstream, each.name): EndpointStatus(each.kind) for each in endpoints})
        self._released = frozenset(each.name for each in overrides if each.kind == "release")
        self.hold()

    def hold(self) -> None:
        """Hold the bindings of the configuration in force out of quarantine that are released, and no others."""
        current: Snapshot | None = self._holder.current
        for binding in () if current is None else current.bindings:
            quarantine = binding.quarantine
            if quarantine is not None and quarantine.is_held is not (binding.path in self._released):
                if quarantine.is_held:
                    quarantine.is_held = False
                else:
                    quarantine.release()
                    binding.faults.forgive()  # only what fails from now on is a fault that lasts
