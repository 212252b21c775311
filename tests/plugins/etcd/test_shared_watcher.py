"""One watcher for all prefixes of a cluster: what one of them meets leaves the others alone."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

import aiohttp
from aiohttp import web
from aiohttp.test_utils import TestServer
from aiohttp.typedefs import Handler
from gateway_core.tasks import spawn
from gateway_plugin_etcd.client import Access, EtcdClient
from gateway_plugin_etcd.keyspace import Scope
from gateway_plugin_etcd.watcher import GATHER_SECONDS, ClusterWatcher, State

from tests.plugins.etcd.server import PATIENCE, Etcd, b64
from tests.plugins.etcd.test_watcher import texts_of


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


async def test_a_prefix_may_come_in_the_moment_in_which_the_watch_ends(etcd: Etcd, watches: Any) -> None:
    async with watches(etcd.url) as watch:
        first, second, third = (watch.watcher.follow(Scope.below(prefix)) for prefix in ("/a", "/b", "/c"))
        await asyncio.wait_for(anext(first), PATIENCE)
        ending = asyncio.Event()

        async def come() -> State:
            await ending.wait()
            return await anext(third)

        coming = [spawn(next_of(second), name="second"), spawn(come(), name="third")]
        await asyncio.sleep(0)  # the second has the watch end soon
        asyncio.get_running_loop().call_later(GATHER_SECONDS / 2, ending.set)
        time.sleep(2 * GATHER_SECONDS)  # noqa: ASYNC251 - the third comes in the turn of the loop in which that happens
        states = await asyncio.wait_for(asyncio.gather(*coming), PATIENCE)

        assert all(state.is_listed and not state.is_stale for state in states)
        for each in (first, second, third):
            await each.aclose()


async def test_a_prefix_that_cannot_be_listed_leaves_the_others_alone(watches: Any) -> None:
    header = {"revision": "5", "cluster_id": "1"}

    async def list_keys(request: web.Request) -> web.Response:
        key = json.loads(await request.read())["key"]
        if key == b64("/large/"):
            return web.json_response({"code": 14, "message": "it takes too long"}, status=503)
        return web.json_response({"header": header, "kvs": [{"key": key, "value": b64("one"), "mod_revision": "5"}]})

    async def watch_keys(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        created = {"result": {"header": header, "created": True, "watch_id": "1"}}
        await response.write(json.dumps(created).encode() + b"\n")
        await asyncio.Event().wait()
        return response

    async with served({"/v3/kv/range": list_keys, "/v3/watch": watch_keys}) as url, watches(url) as watch:
        large, small = (watch.watcher.follow(Scope.below(prefix)) for prefix in ("/large", "/small"))
        failing = spawn(next_of(large), name="large")
        await asyncio.sleep(0)

        while not (state := await asyncio.wait_for(anext(small), PATIENCE)).is_listed:
            pass
        assert [entry.value for entry in state.entries] == [b"one"]
        third = watch.watcher.follow(Scope.below("/third"))  # has the watch begin again
        while not (await asyncio.wait_for(anext(third), PATIENCE)).is_listed:
            pass

        assert "it takes too long" in (await failing).reason
        for each in (large, small, third):
            await each.aclose()


async def test_a_listing_whose_revision_is_compacted_between_its_pages_begins_again(watches: Any) -> None:
    header = {"revision": "5", "cluster_id": "1"}
    compacted = {"code": 11, "message": "etcdserver: mvcc: required revision has been compacted"}
    replies = [(200, True), (400, False), (200, False)]

    async def list_keys(_request: web.Request) -> web.Response:
        status, has_more = replies.pop(0)
        entry = {"key": b64("/a/1"), "value": b64("one"), "mod_revision": "5"}
        page = {"header": header, "kvs": [entry], "more": has_more}
        return web.json_response(page if status == 200 else compacted, status=status)

    async with served({"/v3/kv/range": list_keys}) as url, watches(url) as watch:
        states = watch.watcher.follow(Scope.below("/a"))

        state = await asyncio.wait_for(anext(states), PATIENCE)

        assert (state.is_listed, state.is_stale, len(state.entries)) == (True, False, 1)
        await states.aclose()


async def test_listings_that_are_out_of_date_at_once_come_with_pauses(session: aiohttp.ClientSession) -> None:
    pauses = listings = 0
    has_enough = asyncio.Event()

    class Counting(Random):
        def random(self) -> float:
            nonlocal pauses
            pauses += 1
            return super().random()

    async def list_keys(_request: web.Request) -> web.Response:
        nonlocal listings
        listings += 1
        if listings == 4:
            has_enough.set()
        return web.json_response({"header": {"revision": "5", "cluster_id": "1"}})

    async def watch_keys(request: web.Request) -> web.StreamResponse:
        # A member that lags behind the one that has listed.
        response = web.StreamResponse()
        await response.prepare(request)
        created = {"result": {"header": {"revision": "4", "cluster_id": "1"}, "created": True, "watch_id": "1"}}
        await response.write(json.dumps(created).encode() + b"\n")
        await asyncio.Event().wait()
        return response

    async with served({"/v3/kv/range": list_keys, "/v3/watch": watch_keys}) as url:
        watcher = ClusterWatcher(EtcdClient(Access((url,)), lambda: session, Random(1)), Counting(1))
        states = watcher.follow(Scope.below("/a"))
        await anext(states)

        await asyncio.wait_for(has_enough.wait(), PATIENCE)

        assert pauses == listings - 1
        await states.aclose()
        await watcher.aclose()


async def test_a_defect_is_the_reason_that_followers_get(watches: Any) -> None:
    async def authenticate(_request: web.Request) -> web.Response:
        return web.json_response([])

    async with (
        served({"/v3/auth/authenticate": authenticate}) as url,
        watches(url, username="gateway", password="word") as watch,
    ):
        states = watch.watcher.follow(Scope.below("/a"))

        state = await asyncio.wait_for(anext(states), PATIENCE)

        assert not state.is_listed
        assert "AttributeError" in state.reason
        await states.aclose()


@asynccontextmanager
async def served(posts: Mapping[str, Handler]) -> AsyncIterator[str]:
    """Serve what an etcd does that cannot be had of a real one."""
    app = web.Application()
    app.add_routes([web.post(path, handler) for path, handler in posts.items()])
    async with TestServer(app, handler_cancellation=True) as server:
        yield str(server.make_url("")).rstrip("/")


async def next_of(states: AsyncGenerator[State]) -> State:
    return await anext(states)
