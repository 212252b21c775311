from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path
from random import Random
from typing import Any

import aiohttp
import pytest
from gateway_plugin_etcd.client import Access, EtcdClient
from gateway_plugin_etcd.keyspace import Scope
from gateway_plugin_etcd.watcher import ClusterWatcher, State

from tests.plugins.etcd.server import PATIENCE, Etcd, b64


class Ear:
    """Follows a prefix and waits for what the test expects."""

    def __init__(self, session: aiohttp.ClientSession, *urls: str, prefix: str = "/a", **access: Any) -> None:
        self.client = EtcdClient(Access(urls, **{"ping": 0.5, "timeout": 2.0, **access}), lambda: session, Random(1))
        self.watcher = ClusterWatcher(self.client, Random(1))
        self.states: AsyncGenerator[State] = self.watcher.follow(Scope.below(prefix))
        self.all: list[State] = []

    async def next(self) -> State:
        self.all.append(await asyncio.wait_for(anext(self.states), PATIENCE))
        return self.all[-1]

    async def until(self, *, stale: bool = False, **texts: str) -> State:
        """Listen until exactly these keys are known."""
        while True:
            state = await self.next()
            if state.is_stale == stale and (stale or texts_of(state) == texts):
                return state


def texts_of(state: State) -> dict[str, str]:
    return {entry.key.decode().rpartition("/")[2]: entry.value.decode() for entry in state.entries}


@pytest.fixture
async def ears(session: aiohttp.ClientSession) -> AsyncIterator[Any]:
    made: list[Ear] = []

    def make(*urls: str, **more: Any) -> Ear:
        made.append(Ear(session, *urls, **more))
        return made[-1]

    yield make
    for ear in made:
        await ear.states.aclose()
        await ear.watcher.aclose()


async def test_keys_are_listed_then_watched(etcd: Etcd, ears: Any) -> None:
    await etcd.put("/a/1", "one")
    await etcd.put("/ab/2", "not below the prefix")
    ear = ears(etcd.url)

    assert texts_of(await ear.next()) == {"1": "one"}
    await etcd.put("/ab/3", "nor this")
    await etcd.put("/a/2", "two")
    assert texts_of(await ear.next()) == {"1": "one", "2": "two"}
    await etcd.put("/a/1", "")
    assert texts_of(await ear.next()) == {"1": "", "2": "two"}
    await etcd.delete("/a/2")
    assert texts_of(await ear.next()) == {"1": ""}


async def test_unchanged_entries_stay_the_same_objects(etcd: Etcd, ears: Any) -> None:
    await etcd.put("/a/1", "one")
    ear = ears(etcd.url)
    first = await ear.next()

    await etcd.put("/a/2", "two")

    assert (await ear.next()).entries[0] is first.entries[0]


async def test_an_empty_prefix_is_an_answer(etcd: Etcd, ears: Any) -> None:
    ear = ears(etcd.url)

    assert texts_of(await ear.next()) == {}


async def test_large_values_and_many_keys_come_whole(etcd: Etcd, ears: Any) -> None:
    for part in range(12):
        keys = [f"/a/{part:02}-{number:03}" for number in range(120)]
        requests = [{"request_put": {"key": b64(key), "value": b64("x")}} for key in keys]
        await etcd.call("/v3/kv/txn", {"success": requests})
    ear = ears(etcd.url)
    assert len((await ear.next()).entries) == 1440

    big = "ä" * 600_000
    await etcd.put("/a/big", big)

    state = await ear.next()
    assert state.entries[-1].value.decode() == big


async def test_what_happened_while_the_watch_was_broken_is_not_missed(etcd: Etcd, ears: Any) -> None:
    await etcd.put("/a/1", "one")
    ear = ears(etcd.url)
    await ear.until(**{"1": "one"})

    await etcd.kill()
    stale = await ear.until(stale=True)
    assert texts_of(stale) == {"1": "one"}
    assert stale.reason
    await etcd.start()
    await etcd.delete("/a/1")
    await etcd.put("/a/2", "two")

    await ear.until(**{"2": "two"})
    assert not ear.all[-1].is_stale


async def test_a_return_without_changes_ends_the_staleness(etcd: Etcd, ears: Any) -> None:
    await etcd.put("/a/1", "one")
    ear = ears(etcd.url)
    await ear.until(**{"1": "one"})
    await etcd.kill()
    await ear.until(stale=True)

    await etcd.start()

    await ear.until(**{"1": "one"})


async def test_everything_is_listed_again_after_a_compaction(etcd: Etcd, ears: Any) -> None:
    await etcd.put("/a/1", "one")
    ear = ears(etcd.url)
    await ear.until(**{"1": "one"})
    await etcd.kill()
    await ear.until(stale=True)

    other = Etcd(etcd.directory)
    async with other:  # the same data, where nobody watches
        await other.delete("/a/1")
        revision = await other.put("/a/2", "two")
        await other.put("/a/3", "three")
        await other.compact(revision)
    await etcd.start()

    await ear.until(**{"2": "two", "3": "three"})


async def test_a_cluster_that_starts_over_is_noticed(etcd: Etcd, ears: Any, tmp_path: Path) -> None:
    for _ in range(20):
        await etcd.put("/a/1", "one")
    ear = ears(etcd.url)
    await ear.until(**{"1": "one"})

    await etcd.kill()
    etcd.directory = tmp_path / "fresh"
    await etcd.start()
    await etcd.put("/a/2", "two")

    await ear.until(**{"2": "two"})


async def test_an_endpoint_goes_with_its_lease(etcd: Etcd, ears: Any) -> None:
    lease = await etcd.lease(1)
    await etcd.put("/a/1", "one", lease=lease)
    await etcd.put("/a/2", "two")
    ear = ears(etcd.url)
    await ear.until(**{"1": "one", "2": "two"})

    await ear.until(**{"2": "two"})


async def test_an_etcd_that_never_answered_is_an_error(etcd: Etcd, ears: Any) -> None:
    await etcd.kill()

    state = await ears(etcd.url).next()

    assert not state.is_listed
    assert etcd.host in state.reason


async def test_another_member_takes_over(tmp_path: Path, ears: Any) -> None:
    members = [Etcd(tmp_path / str(number)) for number in range(3)]
    for member in members:
        member.peers = ",".join(each.peer for each in members)
        await member.start(ready=False)
    try:
        for member in members:
            await member.is_ready()
        await members[0].put("/a/1", "one")
        ear = ears(*(member.url for member in members))
        await ear.until(**{"1": "one"})

        watched = next(member for member in members if member.url == ear.client.members.current)
        await watched.kill()
        left = [member for member in members if member is not watched]
        await left[0].is_ready()
        await left[0].put("/a/2", "two")

        await ear.until(**{"1": "one", "2": "two"})
        assert ear.client.members.current != watched.url
        assert not any(state.is_stale for state in ear.all)
    finally:
        for member in members:
            await member.__aexit__(None, None, None)


async def test_a_member_without_a_quorum_is_stale_not_silent(tmp_path: Path, ears: Any) -> None:
    members = [Etcd(tmp_path / str(number)) for number in range(2)]
    for member in members:
        member.peers = ",".join(each.peer for each in members)
        await member.start(ready=False)
    try:
        await members[0].is_ready()
        await members[0].put("/a/1", "one")
        ear = ears(members[0].url)
        await ear.until(**{"1": "one"})

        await members[1].kill()

        await ear.until(stale=True)
    finally:
        for member in members:
            await member.__aexit__(None, None, None)


async def test_authentication_and_a_token_that_ends(tmp_path: Path, ears: Any) -> None:
    async with Etcd(tmp_path / "etcd") as etcd:
        await etcd.put("/a/1", "one")
        await etcd.require_authentication("gateway", "word", "/a/")

        assert "user name is empty" in (await ears(etcd.url).next()).reason
        assert "authentication failed" in (await ears(etcd.url, username="gateway", password="other").next()).reason
        ear = ears(etcd.url, username="gateway", password="word")
        await ear.until(**{"1": "one"})
        await etcd.kill()  # tokens are kept in memory only
        await ear.until(stale=True)
        await etcd.start()
        await etcd.log_in()
        await etcd.put("/a/2", "two")

        await ear.until(**{"1": "one", "2": "two"})
