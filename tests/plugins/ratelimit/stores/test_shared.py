from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from gateway_plugin_ratelimit.algorithms import FixedWindow, SlidingWindow, TokenBucket
from gateway_plugin_ratelimit.stores.memory import MemoryTable
from gateway_plugin_ratelimit.stores.shared import WAYS, SharedTable
from hypothesis import given
from hypothesis import strategies as st

BUCKET = TokenBucket(1, 10)

WORKER = """
import sys
from pathlib import Path
from gateway_plugin_ratelimit.algorithms import TokenBucket
from gateway_plugin_ratelimit.stores import locks
from gateway_plugin_ratelimit.stores.shared import SharedTable

locks.PATIENCE = 60  # a holder that the machine's load stops for 20 ms would be passed over
table = SharedTable(Path(sys.argv[1]), 1000, phase=0.0)
bucket = TokenBucket(1, 5000)
print("ready", flush=True)
sys.stdin.readline()
print(sum(table.charge(((bucket, "everybody", 1),), 1000.0)[0].allowed for _ in range(4000)))
"""


@pytest.fixture
def table(tmp_path: Path) -> Iterator[Any]:
    with_file = SharedTable(tmp_path, 1000, phase=0.0)
    yield with_file
    with_file.close()


def test_four_workers_together_pass_what_the_limit_allows_and_no_more(tmp_path: Path) -> None:
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(4)
    ]
    for worker in workers:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "ready\n"
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("go\n")
        worker.stdin.flush()
    passed = [int(worker.communicate()[0]) for worker in workers]

    assert sum(passed) == 5000


def test_two_openings_see_the_same_counters_and_the_same_phase(tmp_path: Path, table: Any) -> None:
    other = SharedTable(tmp_path, 1000, phase=77.0)

    table.charge(((BUCKET, "a", 7),), 1000.0)

    assert other.charge(((BUCKET, "a", 1),), 1000.0)[0].remaining == 2
    assert other.phase == 0.0
    other.close()


def test_counters_outlive_the_worker(tmp_path: Path) -> None:
    first = SharedTable(tmp_path, 1000, phase=0.0)
    first.charge(((BUCKET, "a", 10),), 1000.0)
    first.close()

    second = SharedTable(tmp_path, 1000, phase=0.0)

    assert not second.charge(((BUCKET, "a", 1),), 1000.0)[0].allowed
    second.close()


def test_the_table_never_grows_and_gives_up_what_would_be_forgotten_first(tmp_path: Path) -> None:
    table = SharedTable(tmp_path, 64, phase=0.0)
    size = sum(file.stat().st_size for file in tmp_path.iterdir())
    table.charge(((BUCKET, "greedy", 10),), 1000.0)

    for number in range(10_000):
        table.charge(((BUCKET, f"key {number}", 1),), 1000.0)

    assert sum(file.stat().st_size for file in tmp_path.iterdir()) == size
    assert len(table) == 64
    assert table.evictions == 10_001 - 64
    assert not table.charge(((BUCKET, "greedy", 1),), 1000.0)[0].allowed
    table.close()


def test_half_full_tables_evict_next_to_nothing(table: Any) -> None:
    for number in range(500):
        table.charge(((BUCKET, f"key {number}", 1),), 1000.0)

    assert table.evictions <= 500 / WAYS


def test_a_lock_that_is_never_freed_holds_nobody_up_for_long(tmp_path: Path, table: Any) -> None:
    stuck = [os.open(lock, os.O_RDWR) for lock in tmp_path.glob("*.lock")]
    for file in stuck:
        fcntl.flock(file, fcntl.LOCK_EX)

    assert table.charge(((BUCKET, "a", 1),), 1000.0)[0].remaining == 9
    assert table._locks.missed == 1
    for file in stuck:
        os.close(file)
    assert table.charge(((BUCKET, "a", 1), (BUCKET, "b", 1)), 1000.0)[0].remaining == 8
    assert table._locks.missed == 1


def test_a_file_of_another_layout_is_refused_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "ratelimit-1000.table").write_bytes(b"something else" * 100)

    with pytest.raises(OSError, match=r"ratelimit-1000\.table is not a table of \d+ bytes: remove it"):
        SharedTable(tmp_path, 1000, phase=0.0)


RULES = (TokenBucket(5, 3), TokenBucket(2, 4, counts_refused=True), FixedWindow(4, 3), SlidingWindow(5, 3))
STEPS = st.lists(
    st.tuples(
        st.floats(0, 2),
        st.lists(
            st.tuples(st.sampled_from(range(len(RULES))), st.sampled_from("ab"), st.integers(0, 3)),
            min_size=1,
            max_size=3,
            unique_by=lambda charge: charge[:2],
        ),
        st.booleans(),
    ),
    max_size=30,
)


@given(STEPS)
def test_shared_counters_decide_as_those_of_one_process_do(steps: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        shared, memory, now = SharedTable(Path(folder), 1000, phase=0.0), MemoryTable(1000), 1000.0
        for pause, picked, is_debit in steps:
            now += pause
            hits = [(RULES[rule], f"{rule}{key}", cost) for rule, key, cost in picked]
            if is_debit:
                shared.debit(hits, now)
                memory.debit(hits, now)
            else:
                assert [repr(each) for each in shared.charge(hits, now)] == [
                    repr(each) for each in memory.charge(hits, now)
                ]
        shared.close()


PATIENT = TokenBucket(2, 2, patience=1.0)


QUICK_STEPS = st.lists(st.tuples(st.floats(0, 2), st.sampled_from("ab")), max_size=30)


def check_quick_way(table: Any, rule: Any, cost: int, steps: Any) -> None:
    reference, now = MemoryTable(64), 1000.0
    take = table.compiled(rule, cost, lambda: now, 0.0)
    for pause, key in steps:
        now += pause
        left = take(key)
        [expected] = reference.charge(((rule, key, cost),), now)
        if left is None:
            [decision] = table.charge(((rule, key, cost),), now)
            assert repr(decision) == repr(expected)
        else:
            assert expected.allowed
            assert not expected.wait
            assert (left[0], round(left[1], 6)) == (expected.remaining, round(expected.reset, 6))


@pytest.mark.parametrize("rule", [*RULES, PATIENT])
@given(QUICK_STEPS, st.integers(0, 3))
def test_the_quick_way_decides_as_the_general_one(rule: Any, steps: Any, cost: Any) -> None:
    check_quick_way(MemoryTable(64), rule, cost, steps)


@given(st.sampled_from([*RULES, PATIENT]), QUICK_STEPS, st.integers(0, 3))
def test_the_quick_way_to_shared_counters_decides_as_the_general_one(rule: Any, steps: Any, cost: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        table = SharedTable(Path(folder), 64, phase=0.0)
        check_quick_way(table, rule, cost, steps)
        table.close()


def test_a_flood_of_new_keys_gives_no_client_a_new_quota(tmp_path: Path) -> None:
    table = SharedTable(tmp_path, 64, phase=0.0)
    rule = FixedWindow(100, 60.0)
    for _ in range(100):
        table.charge([(rule, "greedy", 1)], 1000.0)

    for number in range(5_000):
        table.charge([(rule, f"fresh{number}", 1)], 1000.0)

    assert not table.charge([(rule, "greedy", 1)], 1000.0)[0].allowed
    table.close()
