from __future__ import annotations

from typing import Any

from gateway_plugin_ratelimit.algorithms import FixedWindow, Rule, SlidingWindow, TokenBucket
from gateway_plugin_ratelimit.stores.memory import MemoryInflight, MemoryTable
from hypothesis import given
from hypothesis import strategies as st

BUCKET = TokenBucket(1, 10)


def test_a_million_keys_stay_within_the_table() -> None:
    table = MemoryTable(1000)

    for number in range(20_000):
        table.charge(((BUCKET, f"key {number}", 1),), 1000.0)

    assert len(table) == 1000
    assert table.evictions == 19_000


def test_a_client_at_its_limit_is_not_forgotten_for_clients_that_called_once() -> None:
    table = MemoryTable(100)
    table.charge(((BUCKET, "greedy", 10),), 1000.0)

    for number in range(10_000):
        table.charge(((BUCKET, f"key {number}", 1),), 1000.0)

    assert not table.charge(((BUCKET, "greedy", 1),), 1000.0)[0].allowed


def test_idle_keys_make_room_before_any_other() -> None:
    table = MemoryTable(100)
    for number in range(50):
        table.charge(((BUCKET, f"idle {number}", 1),), 1000.0)
    for number in range(100):
        table.charge(((BUCKET, f"busy {number}", 5),), 1002.0)

    assert table.evictions == 0
    assert len(table) == 100


def test_the_quick_way_leaves_it_to_the_general_one_when_the_clock_went_back() -> None:
    table, now = MemoryTable(100), 1000.0
    take = table.compiled(BUCKET, 1, lambda: now, 0.0)
    assert take("key") == (9, 1.0)

    now = 900.0

    assert take("key") is None
    assert table.charge(((BUCKET, "key", 1),), now)[0].remaining == 0
    assert take("other") == (9, 1.0)


def test_a_full_table_makes_room_in_the_general_way() -> None:
    table = MemoryTable(64)
    takes = [table.compiled(rule, 1, lambda: 1000.0, 0.0) for rule in (BUCKET, FixedWindow(5, 10.0))]
    for number in range(64):
        assert takes[0](f"key {number}") is not None

    assert [take("one more") for take in takes] == [None, None]
    assert len(table) == 64


def test_sweeping_forgets_idle_keys_and_no_other() -> None:
    table = MemoryTable(10_000)
    for number in range(2000):
        table.charge(((BUCKET, f"key {number}", 1 if number % 2 else 9),), 1000.0)

    for _ in range(table.sweep_steps):
        table.sweep(1005.0)

    assert len(table) == 1000
    assert table.charge(((BUCKET, "key 0", 6),), 1005.0)[0].allowed
    assert not table.charge(((BUCKET, "key 2", 7),), 1005.0)[0].allowed


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), max_size=60), st.integers(1, 4))
def test_never_more_requests_in_progress_than_allowed(history: Any, most: Any) -> None:
    inflight, running = MemoryInflight(), dict.fromkeys("abc", 0)

    for key, is_start in history:
        if is_start:
            count = inflight.acquire(key, most)
            assert count == (running[key] + 1 if running[key] < most else 0)
            running[key] += bool(count)
        elif running[key]:
            inflight.release(key)
            running[key] -= 1
    for key, count in running.items():
        for _ in range(count):
            inflight.release(key)

    assert len(inflight) == 0


def test_a_flood_of_new_keys_gives_no_client_a_new_quota() -> None:
    rules: list[Rule] = [FixedWindow(100, 60.0), SlidingWindow(100, 60.0), TokenBucket(1.0, 100)]
    for rule in rules:
        table = MemoryTable(64)
        for _ in range(100):
            table.charge([(rule, "greedy", 1)], 1000.0)

        for number in range(10_000):
            table.charge([(rule, f"fresh{number}", 1)], 1000.0)

        assert not table.charge([(rule, "greedy", 1)], 1000.0)[0].allowed
        assert len(table) <= 64
