from __future__ import annotations

import asyncio
from collections.abc import Callable

from gateway_core.config import LoadedConfig
from gateway_core.snapshot import Environment, SnapshotHolder, compile_snapshot

Load = Callable[[str], LoadedConfig]


def text(tag: str) -> str:
    return f"plugins: [{{name: noted, config: {{tag: {tag}}}}}]\n"


async def test_the_old_snapshot_ends_at_once_if_nothing_is_under_way(
    load_text: Load, environment: Environment, noted: list[str]
) -> None:
    holder = SnapshotHolder()
    holder.swap((await compile_snapshot(load_text(text("one")), environment)).snapshot)

    holder.swap((await compile_snapshot(load_text(text("two")), environment)).snapshot)
    await holder.aclose()

    assert noted == ["start one", "start two", "stop one", "stop two"]


async def test_the_old_snapshot_ends_with_its_last_exchange(
    load_text: Load, environment: Environment, noted: list[str]
) -> None:
    holder = SnapshotHolder()
    old = (await compile_snapshot(load_text(text("one")), environment)).snapshot
    holder.swap(old)
    old.active += 2

    holder.swap((await compile_snapshot(load_text(text("two")), environment)).snapshot)
    old.release()
    for _ in range(20):
        await asyncio.sleep(0)
    assert len(holder.retirement) == 1
    assert "stop one" not in noted

    old.release()
    await holder.retirement.aclose()
    assert noted[-1] == "stop one"
    assert len(holder.retirement) == 0
    await holder.aclose()


async def test_closing_ends_snapshots_with_exchanges_under_way_too(
    load_text: Load, environment: Environment, noted: list[str]
) -> None:
    holder = SnapshotHolder()
    old = (await compile_snapshot(load_text(text("one")), environment)).snapshot
    holder.swap(old)
    old.active += 1
    holder.swap((await compile_snapshot(load_text(text("two")), environment)).snapshot)

    await holder.aclose()
    old.release()

    assert sorted(noted[2:]) == ["stop one", "stop two"]


async def test_every_configuration_in_a_row_is_retired(
    load_text: Load, environment: Environment, noted: list[str]
) -> None:
    holder = SnapshotHolder()
    for number in range(10):
        holder.swap((await compile_snapshot(load_text(text(f"t{number}")), environment)).snapshot)
    await holder.aclose()

    assert len(noted) == 20
    assert len(environment.instances) == 0
