from __future__ import annotations

import asyncio
import importlib
import shutil
import sys
from pathlib import Path

import pytest
from gateway_core.clock import SystemClock
from gateway_core.packages import EnvironmentChange, EnvironmentWatch, published_plugins
from gateway_core.packages.environment import PluginWatch, described, environment_stamp, is_complete
from gateway_core.tasks import Tasks


def install(site: Path, name: str, version: str, *, lacks: str = "") -> Path:
    """Write a distribution as pip does; ``lacks`` is a file of its RECORD that is not there yet."""
    metadata = site / f"{name}-{version}.dist-info"
    metadata.mkdir()
    (site / f"{name}.py").touch()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (metadata / "entry_points.txt").write_text(f"[gateway.plugins]\n{name} = {name}:Plugin\n")
    files = [f"{name}.py", f"{metadata.name}/METADATA", *([lacks] if lacks else [])]
    (metadata / "RECORD").write_text("".join(f"{file},,\n" for file in files))
    importlib.invalidate_caches()
    return metadata


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def test_nothing_is_reported_while_nothing_changes(site: Path) -> None:
    install(site, "zoo", "1")
    watch = EnvironmentWatch()

    assert [watch.look(now) for now in (1.0, 2.0, 3.0)] == [None, None, None]


def test_a_new_plugin_is_reported_once_after_two_equal_readings(site: Path) -> None:
    watch = EnvironmentWatch()
    install(site, "zoo", "1")

    assert watch.look(10.0) is None
    assert watch.look(10.4) is None
    assert watch.look(10.5) == EnvironmentChange(added=("zoo",), removed=(), changed=())
    assert watch.look(11.5) is None


def test_an_upgrade_and_a_removal_are_told_apart(site: Path) -> None:
    old, gone = install(site, "upgraded", "1"), install(site, "removed", "1")
    watch = EnvironmentWatch()
    shutil.rmtree(old)
    shutil.rmtree(gone)
    install(site, "upgraded", "2")

    watch.look(10.0)

    assert watch.look(11.0) == EnvironmentChange(added=(), removed=("removed",), changed=("upgraded",))


def test_a_first_reading_is_doubted_until_its_files_are_there(site: Path) -> None:
    install(site, "zoo", "1", lacks="zoo_data.json")
    watch = EnvironmentWatch()
    states = [watch.is_settled]

    assert watch.doubt(SystemClock().wall(), 10.0)

    assert [watch.look(now) for now in (10.1, 10.6)] == [None, None]
    states.append(watch.is_settled)
    (site / "zoo_data.json").touch()
    assert [watch.look(now) for now in (10.7, 11.3)] == [None, None]
    assert [*states, watch.is_settled] == [True, False, True]


@pytest.mark.parametrize(("ago", "is_doubted"), [(0.0, True), (60.0, False)])
def test_a_first_reading_is_doubted_after_an_installation_a_moment_ago(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ago: float, is_doubted: bool
) -> None:
    folder = tmp_path / "site-packages"
    folder.mkdir()
    monkeypatch.setattr(sys, "path", [str(folder)])
    install(folder, "zoo", "1")
    watch = EnvironmentWatch()

    assert watch.doubt(SystemClock().wall() + ago, 10.0) is is_doubted


def test_an_installer_at_work_starts_the_wait_anew(site: Path) -> None:
    watch = EnvironmentWatch()
    old = install(site, "zoo", "1")
    assert watch.look(10.0) is None

    shutil.rmtree(old)
    assert watch.look(10.5) is None
    install(site, "zoo", "2")
    assert watch.look(11.0) is None

    change = watch.look(11.5)
    assert change is not None
    assert change.added == ("zoo",)


def test_a_distribution_is_not_believed_before_all_its_files_are_there(site: Path) -> None:
    watch = EnvironmentWatch()
    install(site, "zoo", "1", lacks="zoo_late.py")
    assert [watch.look(now) for now in (10.0, 11.0, 12.0)] == [None, None, None]

    (site / "zoo_late.py").touch()

    assert watch.look(13.0) is not None


def test_files_that_never_come_do_not_keep_changes_from_being_seen_for_ever(site: Path) -> None:
    watch = EnvironmentWatch()
    install(site, "zoo", "1", lacks="zoo_removed_by_hand.py")
    assert [watch.look(now) for now in (10.0, 19.9)] == [None, None]

    change = watch.look(20.0)

    assert change is not None
    assert change.added == ("zoo",)
    assert watch.is_settled


def test_a_list_of_files_that_cannot_be_read_is_not_complete(site: Path) -> None:
    metadata = install(site, "zoo", "1")
    (published,) = published_plugins()["zoo"]
    assert is_complete(published)

    (metadata / "RECORD").write_bytes(b"\xff\xfe")

    assert not is_complete(published)


def test_a_change_that_is_undone_is_none(site: Path) -> None:
    metadata = install(site, "zoo", "1")
    watch = EnvironmentWatch()
    shutil.rmtree(metadata)
    watch.look(10.0)
    install(site, "zoo", "1")

    assert [watch.look(now) for now in (11.0, 12.0, 13.0)] == [None, None, None]


def test_folders_that_are_not_there_do_not_count(tmp_path: Path) -> None:
    ((path, _),) = environment_stamp([str(tmp_path), str(tmp_path / "gone")])

    assert path == str(tmp_path)


def watch_of(site: Path) -> PluginWatch:
    return PluginWatch(watch=lambda: EnvironmentWatch(settled_after=0.05), look_every=0.01)


async def test_an_installation_is_told_in_words_once_it_is_over(site: Path) -> None:
    watch, heard, tasks = watch_of(site), asyncio.Queue[str](), Tasks()
    await watch.start()
    tasks.spawn(watch.follow(heard.put_nowait), name="follow")

    install(site, "zoo", "1")

    async with asyncio.timeout(20):
        assert "plugin zoo installed" in await heard.get()
    await tasks.aclose()


async def test_a_reload_waits_for_an_installation_that_is_under_way(site: Path) -> None:
    watch = watch_of(site)
    await watch.start()
    install(site, "zoo", "1")

    reported: list[str] = []
    has_changed = await watch.settle(reported.append)

    assert has_changed
    assert reported == ["plugin zoo installed"]
    assert not await watch.settle(reported.append)


async def test_what_was_read_beside_an_installer_is_in_doubt_even_if_nothing_is_changed_in_the_end(site: Path) -> None:
    metadata = install(site, "zoo", "1")
    watch = watch_of(site)
    await watch.start()
    await watch.settle(print)
    assert not watch.is_installing()

    shutil.rmtree(metadata)
    install(site, "zoo", "1")

    assert watch.is_installing()
    assert not await watch.settle(print)
    assert not watch.is_installing()


async def test_without_a_start_nothing_is_waited_for(site: Path) -> None:
    install(site, "zoo", "1")

    assert not await watch_of(site).settle(print)
    assert not watch_of(site).is_installing()


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (EnvironmentChange(("a",), (), ()), "plugin a installed"),
        (EnvironmentChange((), ("a", "b"), ()), "plugins a, b removed"),
        (EnvironmentChange(("a",), ("b",), ("c",)), "plugin a installed; plugin c changed; plugin b removed"),
    ],
)
def test_a_change_is_told_in_words(change: EnvironmentChange, text: str) -> None:
    assert described(change) == text
