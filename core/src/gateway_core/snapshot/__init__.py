"""Snapshots: one configuration compiled to what serves requests, put in force, and retired when it has had its day."""

from gateway_core.snapshot.chain_lease import ChainLease
from gateway_core.snapshot.changes import Changes, Difference, changes_between
from gateway_core.snapshot.compile import Compiled, Environment, compile_snapshot
from gateway_core.snapshot.holder import SnapshotHolder
from gateway_core.snapshot.load import load
from gateway_core.snapshot.route import CompiledRoute, Redirect, RouteTarget
from gateway_core.snapshot.snapshot import Snapshot
from gateway_core.snapshot.transfer import from_lines, to_lines
from gateway_core.snapshot.trust import Trust

__all__ = [
    "ChainLease",
    "Changes",
    "Compiled",
    "CompiledRoute",
    "Difference",
    "Environment",
    "Redirect",
    "Rewrite",
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
