from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from gateway_core.packages import EnvironmentChange, EnvironmentWatch
from gateway_core.reload.plugin_watch import PluginWatch, told
from gateway_core.tasks import Tasks

from tests.core.packages.test_environment import install


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


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

    has_changed = await watch.settle()

    assert has_changed
    assert not await watch.settle()


async def test_without_a_start_nothing_is_waited_for(site: Path) -> None:
    install(site, "zoo", "1")

    assert not await watch_of(site).settle()


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (EnvironmentChange(("a",), (), ()), "plugin a installed"),
        (EnvironmentChange((), ("a", "b"), ()), "plugins a, b removed"),
        (EnvironmentChange(("a",), ("b",), ("c",)), "plugin a installed; plugin c changed; plugin b removed"),
    ],
)
def test_a_change_is_told_in_words(change: EnvironmentChange, text: str) -> None:
    assert told(change) == text
