"""The files that an edit passes: from the text of a file to the snapshot in force, in validator and worker."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from types import FrameType

import gateway_core
from gateway_core.config import LoadedConfig
from gateway_core.packages import PluginRegistry
from gateway_core.process import validator
from gateway_core.snapshot import Environment, Snapshot, SnapshotHolder, changes_between, compile_snapshot
from gateway_core.tasks import Yielder

ROOT = Path(gateway_core.__file__).parent
TEXT = """
listen: "127.0.0.1:0"
upstreams: [{name: users, endpoints: [{url: "http://127.0.0.1:1"}]}]
routes: [{id: users, path_prefix: %s, target: users}]
"""
MOST = {
    "config": 18,
    "hooks": 1,
    "memory.py": 1,
    "messages": 1,
    "metrics": 2,
    "packages": 1,
    "process": 1,
    "routing": 5,
    "snapshot": 8,
    "tasks.py": 1,
    "upstreams": 1,
}
"""How many files of each package an edit may pass at most: 40 together."""


async def edit(path: Path, environment: Environment, holder: SnapshotHolder) -> None:
    verdict = validator.judge((path,), (), PluginRegistry(dict))
    assert verdict.bundle is not None, verdict.problems
    pauses = Yielder(environment.clock)
    loaded = await LoadedConfig.from_lines(verdict.bundle.lines, pauses)
    compiled = await compile_snapshot(loaded, environment)
    previous: Snapshot | None = holder.current
    await changes_between(None if previous is None else previous.config, compiled, pauses)
    holder.swap(compiled.snapshot)


async def calls_of_an_edit(tmp_path: Path, environment: Environment) -> Counter[tuple[Path, str]]:
    """Return how often an edit of one route calls each function of ours, by its file and name."""
    path, holder = tmp_path / "gateway.yaml", SnapshotHolder()
    calls: Counter[tuple[Path, str]] = Counter()

    def trace(frame: FrameType, event: str, _argument: object) -> None:
        file = Path(frame.f_code.co_filename)
        if event == "call" and frame.f_code.co_name != "<module>" and file.is_relative_to(ROOT):
            calls[file.relative_to(ROOT), frame.f_code.co_qualname] += 1

    path.write_text(TEXT % "/before")
    await edit(path, environment, holder)
    path.write_text(TEXT % "/after")
    sys.setprofile(trace)
    try:
        await edit(path, environment, holder)
    finally:
        sys.setprofile(None)
        await holder.aclose()
    return calls


async def test_an_edit_passes_few_files(tmp_path: Path, environment: Environment) -> None:
    passed = {file for file, _ in await calls_of_an_edit(tmp_path, environment)}

    by_package = Counter(file.parts[0] for file in passed)
    exceeded = {package: number for package, number in by_package.items() if number > MOST.get(package, 0)}
    assert exceeded == {}, sorted(map(str, passed))


async def test_an_edit_reads_a_plain_route_once_in_the_validator_and_once_in_the_worker(
    tmp_path: Path, environment: Environment
) -> None:
    calls = await calls_of_an_edit(tmp_path, environment)

    assert calls[Path("snapshot/route.py"), "route_rules"] == 2
    assert calls[Path("routing/patterns.py"), "rule_pattern"] <= 3
