from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
from gateway_plugin_ratelimit.stores.locks import Stripes, claim


def test_a_stripe_is_held_by_one_at_a_time_and_others_are_free(tmp_path: Path) -> None:
    one, other = Stripes(tmp_path, "t"), Stripes(tmp_path, "t")

    assert one.lock(3)
    assert not other.lock(3)
    assert other.lock(4)
    one.unlock(3)
    assert other.lock(3)
    assert other.missed == 1

    one.close()
    other.close()


def test_whoever_waits_gets_the_lock_when_it_is_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway_plugin_ratelimit.stores.locks.PATIENCE", 30.0)
    one, other = Stripes(tmp_path, "t"), Stripes(tmp_path, "t")
    one.lock(0)
    threading.Timer(0.05, one.unlock, [0]).start()

    assert other.lock(0)
    assert other.missed == 0

    one.close()
    other.close()


def test_two_that_want_the_same_locks_never_wait_for_each_other(tmp_path: Path) -> None:
    stripes = Stripes(tmp_path, "t")

    assert stripes.lock_all([5, 1, 5, 3]) == [1, 3, 5]

    stripes.close()


def test_numbers_are_claimed_from_the_lowest_and_free_again_when_closed(tmp_path: Path) -> None:
    first, second = claim(tmp_path, "worker", 2), claim(tmp_path, "worker", 2)
    assert first is not None
    assert second is not None
    assert [first[0], second[0]] == [0, 1]
    assert claim(tmp_path, "worker", 2) is None

    os.close(first[1])

    again = claim(tmp_path, "worker", 2)
    assert again is not None
    assert again[0] == 0
    os.close(again[1])
    os.close(second[1])
