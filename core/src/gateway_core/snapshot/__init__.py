"""Snapshots: one configuration compiled to what serves requests, put in force, and retired when it has had its day.

What serves requests is imported when it is asked for: a process that only checks a configuration does without.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from gateway_core.snapshot.load import load

if TYPE_CHECKING:
    from gateway_core.snapshot.changes import Changes, Difference, changes_between
    from gateway_core.snapshot.compile import Compiled, compile_snapshot
    from gateway_core.snapshot.environment import Environment
    from gateway_core.snapshot.listeners import Trust
    from gateway_core.snapshot.route import CompiledRoute, OwnResponse, RouteTarget
    from gateway_core.snapshot.snapshot import ChainLease, Snapshot, SnapshotHolder

__all__ = [
    "ChainLease",
    "Changes",
    "Compiled",
    "CompiledRoute",
    "Difference",
    "Environment",
    "OwnResponse",
    "RouteTarget",
    "Snapshot",
    "SnapshotHolder",
    "Trust",
    "changes_between",
    "compile_snapshot",
    "load",
]

_MODULES: Final = {
    **dict.fromkeys(("Changes", "Difference", "changes_between"), "changes"),
    **dict.fromkeys(("Compiled", "compile_snapshot"), "compile"),
    "Environment": "environment",
    **dict.fromkeys(("CompiledRoute", "OwnResponse", "RouteTarget"), "route"),
    **dict.fromkeys(("ChainLease", "Snapshot", "SnapshotHolder"), "snapshot"),
    "Trust": "listeners",
}


def __getattr__(name: str) -> Any:
    """Import what serves requests."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
