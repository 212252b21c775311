"""Snapshots: one configuration compiled to what serves requests, put in force, and retired when it has had its day.

What serves requests is imported when it is asked for: a process that only checks a configuration does without.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from gateway_core.snapshot.load import load
from gateway_core.snapshot.transfer import from_lines, to_lines

if TYPE_CHECKING:
    from gateway_core.snapshot.changes import Changes, Difference, changes_between
    from gateway_core.snapshot.compile import Compiled, compile_snapshot
    from gateway_core.snapshot.environment import Environment
    from gateway_core.snapshot.holder import ChainLease, SnapshotHolder
    from gateway_core.snapshot.route import CompiledRoute, OwnResponse, RouteTarget
    from gateway_core.snapshot.snapshot import Snapshot
    from gateway_core.snapshot.trust import Trust

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
    "from_lines",
    "load",
    "to_lines",
]

_MODULES: Final = {
    **dict.fromkeys(("Changes", "Difference", "changes_between"), "changes"),
    **dict.fromkeys(("Compiled", "compile_snapshot"), "compile"),
    "Environment": "environment",
    **dict.fromkeys(("CompiledRoute", "OwnResponse", "RouteTarget"), "route"),
    "ChainLease": "holder",
    "Snapshot": "snapshot",
    "SnapshotHolder": "holder",
    "Trust": "trust",
}


def __getattr__(name: str) -> Any:
    """Import what serves requests."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
