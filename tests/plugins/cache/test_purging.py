from __future__ import annotations

import asyncio

import pytest
from gateway_plugin_cache.config import CacheConfig
from gateway_plugin_cache.entries import Entry
from gateway_plugin_cache.fetches import Fetches
from gateway_plugin_cache.freshness import policy_of
from gateway_plugin_cache.purging import AT_ONCE, Purger, PurgeSelector, invalidated_uris
from gateway_plugin_cache.stores.memory import MemoryStore
from gateway_plugin_sdk import Headers, Request, Response


@pytest.mark.parametrize(
    ("purged", "expected"),
    [
        (PurgeSelector(), True),
        (PurgeSelector(url="https://a.example/x?y=1"), True),
        (PurgeSelector(url="https://a.example/x"), False),
        (PurgeSelector(url="/x?y=1"), True),
        (PurgeSelector(url="/x"), False),
        (PurgeSelector(prefix="https://a.example/"), True),
        (PurgeSelector(prefix="https://b.example/"), False),
        (PurgeSelector(prefix="/x"), True),
        (PurgeSelector(prefix="/y"), False),
        (PurgeSelector(tag="t"), True),
        (PurgeSelector(tag="u"), False),
        (PurgeSelector(prefix="/x", tag="u"), False),
    ],
)
def test_responses_are_purged_by_url_prefix_and_tag(purged: PurgeSelector, expected: bool) -> None:
    policy = policy_of(Headers(), 200, 0.0, CacheConfig())
    url = "https://a.example/x?y=1"

    entry = Entry(url, (), (), 200, Headers(), b"", policy, 0.0, frozenset({"t"}), False)

    assert purged.has(entry) is expected


@pytest.mark.parametrize(
    ("status", "fields", "expected"),
    [
        (200, {}, ["http://a.example/x"]),
        (303, {"Location": "/y?z"}, ["http://a.example/x", "http://a.example/y?z"]),
        (201, {"Location": "http://A.EXAMPLE/y#top"}, ["http://a.example/x", "http://a.example/y"]),
        (200, {"Content-Location": "../y"}, ["http://a.example/x", "http://a.example/y"]),
        (200, {"Location": "http://b.example/y"}, ["http://a.example/x"]),
        (200, {"Location": "https://a.example/y"}, ["http://a.example/x"]),
        (200, {"Location": "http://[nonsense"}, ["http://a.example/x"]),
        (404, {"Location": "/y"}, []),
        (500, {}, []),
    ],
)
def test_what_an_unsafe_request_changed(status: int, fields: dict[str, str], expected: list[str]) -> None:
    request = Request("POST", "/x", host="a.example")

    assert list(invalidated_uris(request, Response(status, headers=fields))) == expected


async def test_a_fetch_that_begins_while_a_purge_runs_makes_nothing_fresh_again() -> None:
    policy = policy_of(Headers(), 200, 0.0, CacheConfig())
    store, fetches = MemoryStore(1 << 30, 1), Fetches(0.0, lambda: 0.0)
    for number in range(2 * AT_ONCE):
        store.put(Entry(f"http://a/{number}", (), (), 200, Headers(), b"", policy, 0.0, frozenset(), False))
    purging = asyncio.create_task(Purger(store, fetches, lambda: 0.0).purge(PurgeSelector(), soft=False))  # noqa: TID251

    await asyncio.sleep(0)
    last = f"http://a/{2 * AT_ONCE - 1}"
    assert store.of_url(last)
    validation = fetches.begin(last, last, is_shared=True)

    assert await purging == 2 * AT_ONCE
    assert validation.is_invalid
