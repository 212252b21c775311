from __future__ import annotations

import asyncio
import sys

from gateway_plugin_cache.fetches import FetchEnd, Fetches
from gateway_plugin_sdk import spawn
from gateway_plugin_sdk.testing import ManualClock


def test_all_who_wait_get_the_end_and_none_cancels_it_for_the_others() -> None:
    async def run() -> list[FetchEnd | None]:
        fetches = Fetches(10.0, ManualClock().monotonic)
        fetch = fetches.begin("key", "/a", is_shared=True)
        waiting = [spawn(fetch.wait(5.0), name="a request", on_error=lambda _: None) for _ in range(3)]
        await asyncio.sleep(0)
        assert fetches.waiting == 3
        waiting[0].cancel()
        await asyncio.sleep(0)
        fetch.failed()
        fetch.not_stored()  # the first end counts
        ends = await asyncio.gather(*waiting[1:])
        assert (fetches.waiting, len(fetches), fetches.running("key")) == (0, 0, None)
        return list(ends)

    assert asyncio.run(run()) == [FetchEnd.FAILED, FetchEnd.FAILED]


def test_waiting_has_an_end() -> None:
    async def run() -> FetchEnd | None:
        fetches = Fetches(10.0, ManualClock().monotonic)
        return await fetches.begin("key", "/a", is_shared=True).wait(0.0)

    assert asyncio.run(run()) is None


def test_only_shared_fetches_have_others_pass() -> None:
    clock = ManualClock()
    fetches = Fetches(10.0, clock.monotonic)
    fetches.begin("alone", "/a", is_shared=False).not_stored()
    fetches.begin("failed", "/a", is_shared=True).failed()
    fetches.begin("not stored", "/a", is_shared=True).not_stored()

    assert [fetches.is_passed(key) for key in ("alone", "failed", "not stored")] == [False, False, True]
    clock.advance(10)
    assert not fetches.is_passed("not stored")


def test_what_is_passed_is_bounded() -> None:
    fetches = Fetches(10.0, ManualClock().monotonic)
    for number in range(20_000):
        fetches.begin(number, "/a", is_shared=True).not_stored()

    assert not fetches.is_passed(0)
    assert fetches.is_passed(19_999)


def test_a_key_that_is_passed_is_not_kept() -> None:
    fetches, key = Fetches(10.0, ManualClock().monotonic), ("/" + "x" * 100_000,)
    before = sys.getrefcount(key)

    fetches.begin(key, "/a", is_shared=True).not_stored()

    assert fetches.is_passed(key)
    assert sys.getrefcount(key) == before


def test_a_change_makes_what_is_under_way_invalid() -> None:
    fetches = Fetches(10.0, ManualClock().monotonic)
    one, other = fetches.begin("a", "/a", is_shared=True), fetches.begin("b", "/b", is_shared=False)

    fetches.invalidate("/a")
    assert (one.is_invalid, other.is_invalid) == (True, False)

    fetches.invalidate_all()
    assert other.is_invalid
