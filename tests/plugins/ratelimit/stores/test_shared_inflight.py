from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from gateway_plugin_ratelimit.stores.locks import claim
from gateway_plugin_ratelimit.stores.shared_inflight import MOST_WORKERS, SharedInflight, TooManyWorkersError

DYING = """
import os, sys
from pathlib import Path
from gateway_plugin_ratelimit.stores.shared_inflight import SharedInflight

inflight = SharedInflight(Path(sys.argv[1]))
print([inflight.acquire("a", 5) for _ in range(3)], flush=True)
sys.stdin.readline()
os._exit(1)
"""


def test_workers_count_together(tmp_path: Path) -> None:
    one, other = SharedInflight(tmp_path), SharedInflight(tmp_path)

    assert [one.acquire("a", 3), other.acquire("a", 3), one.acquire("a", 3), other.acquire("a", 3)] == [1, 2, 3, 0]
    one.release("a")
    assert [other.acquire("a", 3), other.acquire("b", 3)] == [3, 1]

    one.close()
    other.close()


def test_a_worker_that_ends_takes_its_requests_with_it(tmp_path: Path) -> None:
    one, other = SharedInflight(tmp_path), SharedInflight(tmp_path)
    one.acquire("a", 2)
    other.acquire("a", 2)

    one.close()

    assert other.acquire("a", 2) == 2
    assert other.acquire("a", 2) == 0
    other.close()


def test_what_a_dead_worker_had_in_progress_ends_with_its_successor(tmp_path: Path) -> None:
    command = [sys.executable, "-c", DYING, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as worker:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "[1, 2, 3]\n"
        survivor = SharedInflight(tmp_path)
        assert survivor.acquire("a", 5) == 4
        worker.communicate("die\n")

    successor = SharedInflight(tmp_path)

    assert successor.acquire("a", 5) == 2
    survivor.close()
    successor.close()


def test_slots_of_finished_requests_are_taken_again(tmp_path: Path) -> None:
    inflight = SharedInflight(tmp_path)

    for number in range(50_000):
        assert inflight.acquire(f"key {number}", 1) == 1
        inflight.release(f"key {number}")

    assert inflight.acquire("key 7", 1) == 1
    assert inflight.acquire("key 7", 1) == 0
    inflight.close()


def test_releasing_what_was_never_counted_changes_nothing(tmp_path: Path) -> None:
    inflight = SharedInflight(tmp_path)

    inflight.release("a")
    inflight.acquire("a", 2)
    inflight.release("a")
    inflight.release("a")

    assert inflight.acquire("a", 1) == 1
    inflight.close()


def test_as_many_workers_as_there_are_columns_count_together_and_one_more_is_refused(tmp_path: Path) -> None:
    few = [SharedInflight(tmp_path) for _ in range(3)]
    taken = [claim(tmp_path, "ratelimit-worker", MOST_WORKERS) for _ in range(MOST_WORKERS - 4)]
    last = SharedInflight(tmp_path)

    assert [each.acquire("a", 4) for each in (*few, last)] == [1, 2, 3, 4]
    assert last.acquire("a", 4) == 0
    with pytest.raises(TooManyWorkersError, match="more than 256 workers cannot count together: lower workers"):
        SharedInflight(tmp_path)

    for each in (*few, last):
        each.close()
    for number_and_file in taken:
        assert number_and_file is not None
        os.close(number_and_file[1])
