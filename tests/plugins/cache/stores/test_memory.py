from __future__ import annotations

import random

from gateway_plugin_cache.config import CacheConfig
from gateway_plugin_cache.entries import Entry, Resource
from gateway_plugin_cache.freshness import policy_of
from gateway_plugin_cache.stores.memory import MemoryStore, note_use
from gateway_plugin_sdk import Headers, Request
from hypothesis import given
from hypothesis import strategies as st

POLICY = policy_of(Headers([("Cache-Control", "max-age=60")]), 200, 0.0, CacheConfig())


def entry(url: str, size: int = 100, variant: tuple[object, ...] = (), vary: tuple[str, ...] = ()) -> Entry:
    return Entry(url, variant, vary, 200, Headers(), b"x" * size, POLICY, 0.0, frozenset(), False)


def find(store: MemoryStore, url: str) -> Entry | None:
    resource = store.resources.get(url)
    return None if resource is None else resource.find((), Request("GET", "/"))


def use(store: MemoryStore, url: str) -> bool:
    found = find(store, url)
    if found is None:
        store.put(entry(url))
        return False
    note_use(found)
    return True


def test_a_scan_does_not_empty_the_store() -> None:
    size = entry("/popular/00").size
    store = MemoryStore(100 * size + 1000, 8)
    popular = [f"/popular/{number:02}" for number in range(50)]
    for _ in range(3):
        for url in popular:
            use(store, url)
    # Enough others that what was used went on to the main queue.
    for number in range(100):
        use(store, f"/other/{number}")
    assert sum(find(store, url) is not None for url in popular) == 50

    for number in range(5000):
        use(store, f"/scan/{number}")

    assert sum(find(store, url) is not None for url in popular) == 50


def test_what_comes_back_soon_after_it_was_dropped_is_kept() -> None:
    store = MemoryStore(20 * entry("/a").size, 8)
    for number in range(40):
        use(store, f"/{number}")
    assert find(store, "/5") is None

    use(store, "/5")
    for number in range(100, 130):
        use(store, f"/{number}")

    assert find(store, "/5") is not None


def test_more_requests_are_hits_than_with_the_least_recently_used_one_evicted() -> None:
    # A Zipf-like load with a scan in between, as of a crawler.
    rnd = random.Random(1)
    requests = []
    for round_ in range(40):
        requests += [f"/{int(rnd.paretovariate(0.9))}" for _ in range(250)]
        requests += [f"/scan/{round_}/{number}" for number in range(150)]
    store, room = MemoryStore(100 * entry("/scan/10/100").size, 8), 100
    recent: dict[str, None] = {}
    hits = plain = 0
    for url in requests:
        hits += use(store, url)
        plain += url in recent
        recent.pop(url, None)
        recent[url] = None
        if len(recent) > room:
            del recent[next(iter(recent))]

    assert hits > plain


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 3000), st.sampled_from("pure")), max_size=200))
def test_bytes_are_counted_and_bounded_whatever_happens(steps: list[tuple[int, int, str]]) -> None:
    store = MemoryStore(20_000, 3)
    for number, size, step in steps:
        url, variant = f"/{number // 4}", (number % 4,)
        if step == "p":
            store.put(entry(url, size, variant))
        elif (resource := store.resources.get(url)) is not None and (found := resource.entries.get(variant)):
            if step == "u":
                note_use(found)
            else:
                store.remove(found)
        entries = list(store.entries())
        assert store.used == sum(each.size for each in entries) <= 20_000
        listed = [each for resource in store.resources.values() for each in resource.entries.values()]
        assert sorted(map(id, listed)) == sorted(map(id, entries))
        assert len(store) == len(entries)
        assert all(0 < len(resource.entries) <= 3 for resource in store.resources.values())


def test_what_is_larger_than_the_store_is_not_kept() -> None:
    store = MemoryStore(5000, 3)

    assert not store.put(entry("/a", 6000))
    assert (len(store), store.used) == (0, 0)


def test_what_was_kept_apart_by_other_fields_is_dropped() -> None:
    store = MemoryStore(100_000, 10)
    store.put(entry("/a", variant=("x",)))
    store.put(entry("/a", variant=("x", "gzip"), vary=("accept-encoding",)))

    assert len(store) == 1
    resource = store.resources["/a"]
    assert isinstance(resource, Resource)
    assert resource.find(("x",), Request("GET", "/", {"Accept-Encoding": "gzip"})) is not None
    assert resource.find(("x",), Request("GET", "/")) is None
