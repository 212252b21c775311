"""What waits of a client's bytes, and when its socket is read."""

from __future__ import annotations

from typing import Any

from gateway_core.proxy.downstream.client_input import ClientInput
from gateway_core.proxy.request_body import HIGH_WATER
from hypothesis import given
from hypothesis import strategies as st


class Transport:
    """Records whether it is read."""

    def __init__(self) -> None:
        self.is_read = True

    def is_closing(self) -> bool:
        return False

    def pause_reading(self) -> None:
        self.is_read = False

    def resume_reading(self) -> None:
        self.is_read = True


def make_input() -> tuple[ClientInput, Any]:
    transport: Any = Transport()
    return ClientInput(transport), transport


@given(pieces=st.lists(st.tuples(st.binary(min_size=1, max_size=5), st.integers(0, 4)), max_size=6))
def test_everything_comes_back_in_order(pieces: list[tuple[bytes, int]]) -> None:
    waiting, _ = make_input()
    expected = b""

    for data, position in pieces:
        waiting.hold(data, min(position, len(data)))
        expected += data[position:]
        assert waiting.size == len(expected)
    data, position = waiting.take()

    assert data[position:] == expected
    assert waiting.take() == (b"", 0)


def test_a_socket_is_not_read_while_much_waits() -> None:
    waiting, transport = make_input()

    waiting.hold(bytes(HIGH_WATER))
    assert transport.is_read
    waiting.hold(b"x")
    assert not transport.is_read
    waiting.take()
    waiting.update()

    assert transport.is_read


def test_a_socket_is_not_read_while_the_receiver_of_a_body_does_not_keep_up() -> None:
    waiting, transport = make_input()

    waiting.pause_body(True)
    assert not transport.is_read
    assert not waiting.takes_body
    waiting.hold(bytes(HIGH_WATER + 1))
    waiting.pause_body(False)
    assert not transport.is_read

    waiting.drop()
    assert transport.is_read
