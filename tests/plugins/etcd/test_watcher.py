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


async def test_all_prefixes_of_a_cluster_are_watched_on_one_connection(etcd: Etcd, watches: Any) -> None:
    for number in range(40):
        await etcd.put(f"/{number}/key", "one")
    async with watches(etcd.url) as watch:
        followers = [watch.watcher.follow(Scope.below(f"/{number % 40}")) for number in range(80)]
        for state in await asyncio.wait_for(asyncio.gather(*map(anext, followers)), PATIENCE):
            assert texts_of(state) == {"key": "one"}

        for number in range(40):
            await etcd.put(f"/{number}/key", "two")
        for follower in followers:
            assert texts_of(await asyncio.wait_for(anext(follower), PATIENCE)) == {"key": "two"}

        assert watch.begun == 1
        assert watch.most_requests <= 2
        for follower in followers:
            await follower.aclose()


async def test_a_prefix_that_comes_later_costs_the_others_nothing_that_happened(etcd: Etcd, watches: Any) -> None:
    await etcd.put("/a/key", "0")
    async with watches(etcd.url) as watch:
        first = watch.watcher.follow(Scope.below("/a"))
        assert texts_of(await asyncio.wait_for(anext(first), PATIENCE)) == {"key": "0"}

        seen = {"0"}
        for number in range(1, 6):
            later = watch.watcher.follow(Scope.below(f"/later{number}"))
            await asyncio.wait_for(anext(later), PATIENCE)
            await etcd.put(f"/a/{number}", str(number))
            while str(number) not in seen:
                seen |= set(texts_of(await asyncio.wait_for(anext(first), PATIENCE)).values())
            await later.aclose()

        assert len(texts_of(await anext(watch.watcher.follow(Scope.below("/a"))))) == 6
        await first.aclose()


async def test_a_prefix_that_is_refused_leaves_the_others_alone(tmp_path: Path, watches: Any) -> None:
    async with Etcd(tmp_path / "etcd") as etcd:
        await etcd.put("/a/1", "one")
        await etcd.require_authentication("gateway", "word", "/a/")
        async with watches(etcd.url, username="gateway", password="word") as watch:
            refused = watch.watcher.follow(Scope.below("/secret"))
            allowed = watch.watcher.follow(Scope.below("/a"))

            assert texts_of(await asyncio.wait_for(anext(allowed), PATIENCE)) == {"1": "one"}
            state = await asyncio.wait_for(anext(refused), PATIENCE)
            assert not state.is_listed
            assert "permission denied" in state.reason
            await etcd.put("/a/1", "two")
            changed = await asyncio.wait_for(anext(allowed), PATIENCE)

            assert texts_of(changed) == {"1": "two"}
            assert not changed.is_stale
            await refused.aclose()
            await allowed.aclose()


async def test_a_right_that_is_taken_away_makes_its_prefix_stale_alone(tmp_path: Path, watches: Any) -> None:
    async with Etcd(tmp_path / "etcd") as etcd:
        await etcd.put("/a/1", "one")
        await etcd.put("/b/1", "one")
        await etcd.require_authentication("gateway", "word", "/a/")
        other = {"permType": "READ", "key": b64("/b/"), "range_end": b64("/b0")}
        await etcd.call("/v3/auth/role/grant", {"name": "reader", "perm": other})
        async with watches(etcd.url, username="gateway", password="word") as watch:
            kept, lost = (watch.watcher.follow(Scope.below(prefix)) for prefix in ("/a", "/b"))
            for each in (kept, lost):
                assert texts_of(await asyncio.wait_for(anext(each), PATIENCE)) == {"1": "one"}

            revoked = {"role": "reader", "key": b64("/b/"), "range_end": b64("/b0")}
            await etcd.call("/v3/auth/role/revoke", revoked)
            third = watch.watcher.follow(Scope.below("/a/more"))  # has the watch begin again
            await asyncio.wait_for(anext(third), PATIENCE)
            state = await asyncio.wait_for(anext(lost), PATIENCE)
            assert (texts_of(state), state.is_stale) == ({"1": "one"}, True)
            await etcd.put("/a/1", "two")

            while texts_of(state := await asyncio.wait_for(anext(kept), PATIENCE)) != {"1": "two"}:
                pass
            assert not state.is_stale
            for each in (kept, lost, third):
                await each.aclose()


class Counted:
    """A watcher whose requests are counted."""

    def __init__(self, *urls: str, **access: Any) -> None:
        self.begun = self.requests = self.most_requests = 0
        self._access = Access(urls, **{"ping": 5.0, "timeout": 5.0, **access})

    async def __aenter__(self) -> Counted:
        trace = aiohttp.TraceConfig()
        trace.on_request_start.append(self._start)
        trace.on_request_end.append(self._end)
        connector = aiohttp.TCPConnector(limit=0, force_close=True)
        self.session = aiohttp.ClientSession(connector=connector, trace_configs=[trace])
        self.watcher = ClusterWatcher(EtcdClient(self._access, lambda: self.session, Random(1)), Random(1))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.watcher.aclose()
        await self.session.close()

    async def _start(self, _session: Any, _context: Any, request: Any) -> None:
        self.requests += 1
        self.most_requests = max(self.most_requests, self.requests)
        self.begun += request.url.path == "/v3/watch"

    async def _end(self, *_: Any) -> None:
        self.requests -= 1


@pytest.fixture
def watches() -> Any:
    return Counted
