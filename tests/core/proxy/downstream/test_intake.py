"""What waits of a client's bytes, when its socket is read, and how bodies are taken from it."""

from __future__ import annotations

from typing import Any, cast

import pytest
from gateway_core.proxy.downstream.client import Client
from gateway_core.proxy.downstream.http1_writer import Http1ResponseWriter
from gateway_core.proxy.downstream.intake import MALFORMED, BodyIntake, ClientInput
from gateway_core.proxy.request_body import HIGH_WATER, RequestBody
from gateway_core.proxy.wire.bodies import BadChunkError
from gateway_core.proxy.wire.request_fields import RequestFacts, read_request_block
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


CHUNKED = b"\r\nTransfer-Encoding: chunked"
NEXT = b"GET / HTTP/1.1"


class Flow:
    """What an intake uses of its connection: the writer's flow, and the client's say on trailers."""

    def __init__(self) -> None:
        self.continue_sent = False
        self.is_paused = False

    def pause_request(self) -> None:
        self.is_paused = True

    def resume_request(self) -> None:
        self.is_paused = False

    def trailers(self, block: bytes) -> bytes:
        return block


class Owner:
    """What a body tells its exchange."""

    def __init__(self) -> None:
        self.events: list[object] = []

    def body_progress(self) -> None:
        self.events.append("progress")

    def body_ended(self) -> None:
        self.events.append("ended")

    def body_failed(self, status: int, reason: str, detail: str) -> None:
        self.events.append((status, reason, detail))


def make() -> tuple[BodyIntake, Flow, Owner]:
    flow = Flow()
    return BodyIntake(cast("Client", flow), cast("Http1ResponseWriter", flow)), flow, Owner()


def facts_of(framing: bytes) -> RequestFacts:
    facts = read_request_block(b"\r\nHost: a" + framing)
    assert facts is not None
    return facts


def begin(intake: BodyIntake, owner: Owner, framing: bytes, data: bytes) -> tuple[RequestBody, int]:
    return intake.begin(owner, facts_of(framing), data, 0)


@pytest.mark.parametrize(
    ("framing", "sent", "trailers"),
    [
        (b"\r\nContent-Length: 5", b"hello", b""),
        (CHUNKED, b"5\r\nhello\r\n0\r\n\r\n", b""),
        (CHUNKED, b"2\r\nhe\r\n3\r\nllo\r\n0\r\nX-Sum: 1\r\n\r\n", b"\r\nX-Sum: 1"),
    ],
)
def test_a_body_that_came_with_its_head_is_complete_and_what_follows_is_left(
    framing: bytes, sent: bytes, trailers: bytes
) -> None:
    intake, _, owner = make()

    body, position = begin(intake, owner, framing, sent + NEXT)

    assert (body.is_complete, body.take(), body.trailers) == (True, b"hello", trailers)
    assert position == len(sent)
    assert intake.body is None
    assert owner.events == []


@given(st.lists(st.integers(0, 60), max_size=4), st.booleans())
def test_it_makes_no_difference_how_a_body_is_cut(places: list[int], is_chunked: bool) -> None:
    framing = CHUNKED if is_chunked else b"\r\nContent-Length: 11"
    sent = b"6\r\nhello \r\n5;x=y\r\nworld\r\n0\r\nX-A: 1\r\n\r\n" if is_chunked else b"hello world"
    intake, _, owner = make()
    bounds = sorted({min(place, len(sent)) for place in places} | {len(sent)})
    parts = [sent[start:end] for start, end in zip([0, *bounds], bounds, strict=False)]
    parts[-1] += NEXT

    body, position = begin(intake, owner, framing, parts[0])
    left = parts[0][position:]
    for part in parts[1:]:
        position = 0
        while intake.body is not None and position < len(part):
            position = intake.read(part, position)
        left = part[position:]

    assert (body.take(), body.is_complete, left) == (b"hello world", True, NEXT)
    assert body.trailers == (b"\r\nX-A: 1" if is_chunked else b"")


def test_pieces_that_come_later_are_passed_on_until_the_end_is_told_once() -> None:
    intake, _, owner = make()
    body, _ = begin(intake, owner, b"\r\nContent-Length: 6", b"ab")
    assert intake.body is body

    assert intake.read(b"cd", 0) == 2
    assert intake.read(b"ef" + NEXT, 0) == 2

    assert (body.take(), body.is_complete) == (b"abcdef", True)
    assert intake.body is not body
    assert owner.events == ["progress", "progress", "ended"]


def test_a_malformed_body_raises_with_its_head_and_fails_its_exchange_later() -> None:
    intake, _, owner = make()
    with pytest.raises(BadChunkError):
        begin(intake, owner, CHUNKED, b"0x3\r\nabc")

    intake, _, owner = make()
    begin(intake, owner, CHUNKED, b"3\r\nabc\r\n")
    data = b"zz\r\n" + NEXT
    assert intake.read(data, 0) == len(data), "where another request could begin is unknown"

    assert owner.events == [MALFORMED]
    assert intake.body is None


def test_a_large_beginning_pauses_the_client() -> None:
    intake, flow, owner = make()

    begin(intake, owner, b"\r\nContent-Length: %d" % (HIGH_WATER + 1), b"x" * HIGH_WATER)

    assert flow.is_paused
    assert not intake.waits_for_client


def test_a_client_is_waited_for_unless_it_waits_for_a_100_itself() -> None:
    intake, flow, owner = make()
    assert not intake.waits_for_client, "there is no body"

    begin(intake, owner, b"\r\nContent-Length: 5\r\nExpect: 100-continue", b"")

    assert not intake.waits_for_client
    flow.continue_sent = True
    assert intake.waits_for_client


def test_nothing_is_fed_to_a_body_that_was_stopped() -> None:
    intake, _, owner = make()
    body, _ = begin(intake, owner, b"\r\nContent-Length: 5", b"he")

    intake.stop()

    assert (intake.body, intake.waits_for_client, intake.is_large) == (None, False, False)
    assert not body.is_complete
