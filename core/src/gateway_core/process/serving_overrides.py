"""What overrides change where requests are served: which endpoints get some, and which bindings run."""

from __future__ import annotations

from collections.abc import Collection

from gateway_core.process import logs
from gateway_core.process.override_table import level_of
from gateway_core.reload.overrides import Overrides
from gateway_core.snapshot import Snapshot, SnapshotHolder
from gateway_core.upstreams.endpoint import EndpointStatus
from gateway_core.upstreams.runtime import UpstreamRuntime


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
        for binding in () if current is None else current.bindings():
            quarantine = binding.quarantine
            if quarantine is not None and quarantine.is_held is not (binding.path in self._released):
                if quarantine.is_held:
                    quarantine.is_held = False
                else:
                    quarantine.release()
                    binding.faults.forgive()  # only what fails from now on is a fault that lasts
