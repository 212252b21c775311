"""Windows of flow control."""

from __future__ import annotations

import pytest
from gateway_core.proxy.wire.h2.frames import MAX_WINDOW
from gateway_core.proxy.wire.h2.windows import ReceiveWindow, opened
from hypothesis import given
from hypothesis import strategies as st


def test_a_window_is_opened_up_to_the_largest() -> None:
    assert opened(-10, 15) == 5
    assert opened(MAX_WINDOW - 1, 1) == MAX_WINDOW


@pytest.mark.parametrize(("window", "size"), [(5, 0), (MAX_WINDOW, 1), (1, MAX_WINDOW)])
def test_opening_by_nothing_or_too_much_is_an_error(window: int, size: int) -> None:
    with pytest.raises(ValueError, match="window"):
        opened(window, size)


def test_a_peer_may_send_its_window_and_no_byte_more() -> None:
    window = ReceiveWindow(100)
    assert window.take(100)
    assert not window.take(1)


def test_what_is_passed_on_is_announced_by_halves() -> None:
    window = ReceiveWindow(100)
    window.take(80)
    assert window.give(49) == 0
    assert window.give(1) == 50
    assert window.outstanding == 30


@given(st.lists(st.integers(0, 40)))
def test_credit_is_conserved(sizes: list[int]) -> None:
    window, allowed, held = ReceiveWindow(64), 64, 0
    for size in sizes:
        sent = min(size, allowed)
        allowed -= sent
        assert window.take(sent)
        held += sent
        passed = held // 2
        held -= passed
        allowed += window.give(passed)
    allowed += window.give(held) + window.settle()
    assert allowed == 64
    assert window.outstanding == 0


@given(st.lists(st.integers(0, 40)))
def test_passing_on_at_once_is_taking_and_giving(sizes: list[int]) -> None:
    window, other = ReceiveWindow(64), ReceiveWindow(64)
    for size in sizes:
        assert window.pass_on(size) == (other.give(size) if other.take(size) else -1)
        assert window.outstanding == other.outstanding
        if window.outstanding > 64:
            break
