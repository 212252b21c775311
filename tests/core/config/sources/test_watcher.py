from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import pytest
from gateway_core.config.sources import FileWatcher, WatchSet


@asynccontextmanager
async def watching(
    *files: Path, directories: tuple[Path, ...] = (), poll_interval: float = 30.0
) -> AsyncIterator[AsyncGenerator[tuple[Path, ...], None]]:
    watcher = FileWatcher(poll_interval=poll_interval)
    watched = WatchSet.of(files, directories)
    await watcher.watch(watched, await watcher.take(watched))
    async with aclosing(watcher.changes()) as changes:
        yield changes


async def next_change(changes: AsyncGenerator[tuple[Path, ...], None], act: object) -> tuple[Path, ...]:
    """Start waiting, then do something again and again until it is noticed: arming has no visible moment."""
    waiting = asyncio.ensure_future(anext(changes))  # noqa: TID251
    assert callable(act)
    for number in range(200):
        act(number)
        done, _ = await asyncio.wait({waiting}, timeout=0.2)
        if done:
            break
    return await asyncio.wait_for(waiting, 30)


async def test_a_rewritten_file_is_a_change(tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text("a")

    async with watching(file) as changes:
        assert await next_change(changes, lambda n: file.write_text(f"b{n}")) == (file,)


async def test_a_file_renamed_over_is_seen_every_time(tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text("a")

    def save(text: str) -> None:
        fresh = tmp_path / "gateway.yaml.new"
        fresh.write_text(text)
        fresh.replace(file)

    async with watching(file) as changes:
        for name in ("b", "c", "d"):
            assert await next_change(changes, lambda n, name=name: save(f"{name}{n}")) == (file,)


@pytest.mark.parametrize("document", ["current/gateway.yaml", "current/routes/a.yaml", "gateway.yaml"])
async def test_a_swap_of_a_link_on_the_way_to_a_file_is_a_change_at_once(document: str, tmp_path: Path) -> None:
    # Polling would take longer than the test may.
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "gateway.yaml").symlink_to("../current/gateway.yaml")

    def publish(number: int) -> None:
        release = tmp_path / "releases" / str(number)
        (release / "routes").mkdir(parents=True)
        for name in ("gateway.yaml", "routes/a.yaml"):
            (release / name).write_text(f"version {number}")
        (tmp_path / "next").symlink_to(f"releases/{number}")
        (tmp_path / "next").replace(tmp_path / "current")

    publish(0)
    file = tmp_path / ("etc" if document == "gateway.yaml" else "") / document

    async with watching(file, poll_interval=300.0) as changes:
        for first in (1000, 2000, 3000):
            assert await next_change(changes, lambda n, first=first: publish(first + n)) == (file,)


async def test_a_config_map_swap_is_a_change(tmp_path: Path) -> None:
    def publish(number: int) -> None:
        version = tmp_path / f"..2026_{number}"
        version.mkdir()
        (version / "gateway.yaml").write_text(f"version {number}")
        link = tmp_path / "..data_tmp"
        link.symlink_to(version.name)
        link.replace(tmp_path / "..data")

    publish(1000)
    file = tmp_path / "gateway.yaml"
    file.symlink_to("..data/gateway.yaml")

    async with watching(file) as changes:
        assert await next_change(changes, publish) == (file,)
        assert await next_change(changes, lambda n: publish(2000 + n)) == (file,)


async def test_a_deleted_file_is_a_change_and_its_return_another(tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text("a")

    def delete(number: int) -> None:
        file.unlink(missing_ok=True)
        (tmp_path / f"beside-{number}").touch()

    async with watching(file) as changes:
        assert await next_change(changes, delete) == (file,)
        assert await next_change(changes, lambda n: file.write_text("a")) == (file,)


async def test_a_directory_is_a_change_where_nothing_was(tmp_path: Path) -> None:
    directory = tmp_path / "gateway.d"

    async with watching(directory) as changes:
        assert await next_change(changes, lambda _: directory.mkdir(exist_ok=True)) == (directory,)


async def test_a_directory_that_was_named_as_a_file_is_no_change_once_it_is_listed(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("a")
    watcher = FileWatcher(poll_interval=30.0)

    await watcher.watch(WatchSet.of([file], [tmp_path]), await watcher.take(WatchSet.of([tmp_path])))

    async with aclosing(watcher.changes()) as changes:
        assert await next_change(changes, lambda n: file.write_text(f"b{n}")) == (file,)


async def test_a_new_file_in_a_listed_directory_is_a_change(tmp_path: Path) -> None:
    async with watching(directories=(tmp_path,)) as changes:
        assert await next_change(changes, lambda n: (tmp_path / f"{n}.yaml").write_text("a")) == (tmp_path,)


@pytest.mark.parametrize("name", ["n" * 300, "n" * 300 + "/a.yaml", "a\0b"])
async def test_a_name_that_no_file_can_have_keeps_no_other_from_being_watched(tmp_path: Path, name: str) -> None:
    file = tmp_path / "g.yaml"

    async with watching(file, tmp_path / name) as changes:
        assert await next_change(changes, lambda number: file.write_text(f"{number}")) == (file,)


async def test_a_touched_file_is_no_change(tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"
    other = tmp_path / "other.yaml"
    file.write_text("a")
    other.write_text("a")

    def touch_then_change(number: int) -> None:
        os.utime(file)
        file.write_text("a")
        other.write_text(f"b{number}")

    async with watching(file, other) as changes:
        assert await next_change(changes, touch_then_change) == (other,)


async def test_polling_notices_what_notifications_miss(tmp_path: Path) -> None:
    file = tmp_path / "gone" / "gateway.yaml"
    file.parent.mkdir()
    file.write_text("a")

    async with watching(file, poll_interval=0.05) as changes:
        file.unlink()
        file.parent.rmdir()
        assert await asyncio.wait_for(anext(changes), 30) == (file,)


async def test_a_change_before_notifications_begin_waits_for_no_poll(tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text("a")

    async with watching(file, poll_interval=600) as changes:
        file.write_text("b")
        assert await asyncio.wait_for(anext(changes), 30) == (file,)


async def test_a_change_while_loading_is_reported_afterwards(tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text("a")
    watcher = FileWatcher(poll_interval=0.05)
    before = await watcher.take(WatchSet.of([file]))

    file.write_text("b")
    await watcher.watch(WatchSet.of([file]), before)

    async with aclosing(watcher.changes()) as changes:
        assert await asyncio.wait_for(anext(changes), 30) == (file,)


async def test_a_change_of_a_file_that_loading_has_only_found_is_reported_afterwards(tmp_path: Path) -> None:
    root, included = tmp_path / "gateway.yaml", tmp_path / "routes.yaml"
    root.write_text("a")
    watcher = FileWatcher(poll_interval=0.05)
    before = await watcher.take(WatchSet.of([root]))

    included.write_text("written while it was loaded, perhaps behind what was read of it")
    await watcher.watch(WatchSet.of([root, included]), before)

    async with aclosing(watcher.changes()) as changes:
        assert await asyncio.wait_for(anext(changes), 30) == (included,)
        assert await next_change(changes, lambda n: root.write_text(f"b{n}")) == (root,)


async def test_a_change_after_the_last_look_is_reported_whatever_is_watched_next(tmp_path: Path) -> None:
    root, included = tmp_path / "gateway.yaml", tmp_path / "routes.yaml"
    for file in (root, included):
        file.write_text("a")
        os.utime(file, (0, 0))
    watcher = FileWatcher(poll_interval=0.05)
    before = await watcher.take(WatchSet.of([root]))
    await watcher.watch(WatchSet.of([root, included]), before)

    included.write_text("b")
    await watcher.watch(WatchSet.of([root, included, tmp_path / "cert.pem"]))

    async with aclosing(watcher.changes()) as changes:
        assert await asyncio.wait_for(anext(changes), 30) == (included,)


async def test_watching_other_files_takes_effect_at_once(tmp_path: Path) -> None:
    first, second = tmp_path / "a" / "gateway.yaml", tmp_path / "b" / "gateway.yaml"
    for file in (first, second):
        file.parent.mkdir()
        file.write_text("a")
    watcher = FileWatcher(poll_interval=30)
    await watcher.watch(WatchSet.of([first]), await watcher.take(WatchSet.of([first])))

    async with aclosing(watcher.changes()) as changes:
        assert await next_change(changes, lambda n: first.write_text(f"b{n}")) == (first,)
        await watcher.watch(WatchSet.of([second]), await watcher.take(WatchSet.of([second])))
        assert await next_change(changes, lambda n: second.write_text(f"b{n}")) == (second,)


async def test_an_unreadable_watch_falls_back_to_looking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text("a")
    monkeypatch.setenv("WATCHFILES_FORCE_POLLING", "true")

    async with watching(file, poll_interval=0.05) as changes:
        assert await next_change(changes, lambda n: file.write_text(f"b{n}")) == (file,)
