from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest
from gateway_core.process import gc_control


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    yield
    gc.unfreeze()
    gc.enable()


def test_rests_while_a_snapshot_is_made_and_looks_at_it_no_more() -> None:
    gc_control.disable()
    assert not gc.isenabled()
    kept = [[number] for number in range(1000)]

    gc_control.freeze()

    assert gc.isenabled()
    assert not any(each is kept for each in gc.get_objects())


def test_goes_on_after_a_failure() -> None:
    gc_control.disable()

    gc_control.enable()

    assert gc.isenabled()


def test_what_starting_left_behind_is_let_go_of() -> None:
    class Left:
        pass

    left = Left()
    left.itself = left  # type: ignore[attr-defined]
    gone = weakref.ref(left)
    gc.disable()
    del left

    gc_control.tidy()

    assert gone() is None
