from __future__ import annotations

from typing import Any

import pytest
from gateway_core.proxy.wire import request_head
from gateway_core.proxy.wire.known_blocks import MOST, MOST_SEEN, TRACE_PLACE, TRACE_SIZE, TRACE_STARTS, KnownBlocks
from gateway_core.proxy.wire.request_fields import RequestFacts, read_fields
from gateway_core.proxy.wire.request_head import HeadProblem, RequestHead, read_head
from hypothesis import example, given
from hypothesis import strategies as st

MOST_FIELDS = 100
TRACE = b"00-%032x-00f067aa0ba902b7-01"
NAMES = (
    b"Accept", b"Authorization", b"authorization", b"baggage", b"Connection", b"Content-Length", b"Cookie", b"Expect",
    b"Host", b"host", b"Max-Forwards", b"TE", b"traceparent", b"Traceparent", b"tracestate", b"Transfer-Encoding",
    b"Upgrade", b"X-Client-Id", b"X-Forwarded-For", b"X_Forwarded_For", b"X-Real-IP", b"X_Odd", b"bad name", b"",
)  # fmt: skip
VALUES = (
    b"", b"0", b"5", b"chunked", b"close", b"keep-alive", b"keep-alive, traceparent", b"Bearer abc", b"NTLM abc",
    b"shop.example.com", b"shop.example.com:8080", b"a b", b"trailers", b"websocket", b"100-continue", b"10.0.0.1",
    b"\x00", TRACE % 7,
)  # fmt: skip
LINES = st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(VALUES)), max_size=4)
TRACE_NAMES = st.sampled_from([b"traceparent", b"Traceparent"])
GOOD = [TRACE % n for n in range(4)]
ODD = [start.ljust(55, b"c") for start in (b"00-x: y\r\nA: ", b"00-\r\nHost: b", b"00-", b"00-\0", b"00-\r\n b")]
TRACES = st.one_of(
    st.integers(0, 2**128 - 1).map(lambda number: TRACE % number),
    st.binary(max_size=52).map(lambda end: (b"00-" + end).ljust(55, b"a")),
    st.sampled_from([*ODD, b"00-" + (TRACE % 1)[3:].upper()]),
)
HOST = (b"Host", b"a")
Lines = list[tuple[bytes, bytes]]


def block_of(lines: Lines, trace: bytes, name: bytes = b"traceparent") -> bytes:
    return b"".join(b"\r\n%b: %b" % line for line in (*lines, (name, trace)))


def all_of(facts: RequestFacts | None) -> dict[str, Any] | None:
    if facts is None:
        return None
    slots = {name: getattr(facts, name) for name in RequestFacts.__slots__ if name not in {"__dict__", "_lowered"}}
    return {**slots, **facts.__dict__, "lowered": facts.lowered}


def directly(block: bytes) -> RequestFacts | None:
    return read_fields(block, block[2:] + b"\r\n", MOST_FIELDS, is_trusted=False)


def read(blocks: KnownBlocks, block: bytes, most: int = MOST_FIELDS) -> RequestFacts | None:
    assert block[TRACE_PLACE] in TRACE_STARTS
    return blocks.read(block, most)


@given(LINES, TRACE_NAMES, st.lists(TRACES, min_size=4, max_size=4))
@example([HOST, (b"Authorization", b"Bearer b")], b"traceparent", GOOD)
@example([(b"Accept", b"a"), HOST, (b"X-Forwarded-For", b"10.0.0.1")], b"Traceparent", GOOD)
@example([HOST, (b"traceparent", TRACE % 9)], b"traceparent", GOOD)
@example([HOST, (b"Connection", b"keep-alive, traceparent")], b"traceparent", GOOD)
@example([HOST, (b"Connection", b"close")], b"traceparent", GOOD)
@example([HOST, (b"Content-Length", b"5")], b"traceparent", GOOD)
@example([HOST, (b"Max-Forwards", b"")], b"traceparent", GOOD)
@example([HOST], b"traceparent", [*GOOD, *ODD])
def test_a_block_means_the_same_however_often_it_came(lines: Lines, name: bytes, traces: list[bytes]) -> None:
    blocks = KnownBlocks(TRACE_SIZE)
    for trace in traces:
        block = block_of(lines, trace, name)
        assert all_of(read(blocks, block)) == all_of(directly(block))


@given(LINES)
@example([HOST, (b"Connection", b"close")])
@example([(b"Accept", b"a"), HOST, (b"Authorization", b"Bearer b"), (b"X-Forwarded-For", b"10.0.0.1")])
@example([HOST, (b"X-Real-IP", b"10.0.0.1"), (b"X_Odd", b"1")])
@example([HOST, (b"traceparent", TRACE % 1)])
def test_the_first_block_of_connections_means_the_same_however_often_it_came(lines: Lines) -> None:
    blocks = KnownBlocks(0)
    block = b"".join(b"\r\n%b: %b" % line for line in lines)
    expected = all_of(directly(block))
    for _ in range(4):
        assert all_of(blocks.read(block, MOST_FIELDS)) == expected


def test_the_first_block_of_a_connection_is_remembered_for_all_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    # That of the process may be at rest, if other tests have read many blocks that came once.
    monkeypatch.setattr(request_head, "_first_blocks", KnownBlocks(0))
    head = b"GET / HTTP/1.1\r\nHost: first.example.com\r\nAuthorization: Bearer abc\r\nConnection: close\r\n\r\n"
    found = [read_head(head, 0, 65536, MOST_FIELDS, is_trusted=False) for _ in range(4)]

    facts = [each.facts for each in found if isinstance(each, RequestHead)]
    assert [each.keep_alive for each in facts] == [False] * 4
    assert facts[2] is not facts[3]  # a listener that believes less may change its own
    assert facts[2].authorization is facts[3].authorization is not facts[0].authorization


def test_a_block_is_remembered_once_it_came_a_second_time() -> None:
    blocks = KnownBlocks(TRACE_SIZE)
    found = [read(blocks, block_of([HOST, (b"Authorization", b"Bearer abc")], trace)) for trace in GOOD]

    values = [facts.authorization for facts in found if facts is not None]
    assert values == [b" Bearer abc"] * 4
    assert values[0] is not values[1]
    assert values[2] is values[3]


def test_a_block_that_is_remembered_has_too_many_fields_for_a_smaller_limit() -> None:
    blocks = KnownBlocks(TRACE_SIZE)
    lines = [HOST, (b"Accept", b"*/*")]
    for trace in GOOD:
        assert read(blocks, block_of(lines, trace), 3) is not None

    assert read(blocks, block_of(lines, TRACE % 4), 2) is None


@pytest.mark.parametrize(("size", "most"), [(10, MOST), (5000, 0)])
def test_blocks_of_clients_take_bounded_memory(size: int, most: int) -> None:
    blocks = KnownBlocks(TRACE_SIZE)
    largest = 0
    for number in range(2 * MOST_SEEN):
        block = block_of([HOST, (b"Accept", b"%d" % number + b"x" * size)], TRACE % number)
        for _ in range(6):  # as often as it takes to be looked up again and again
            read(blocks, block)
        known, seen = blocks.size
        largest = max(largest, known)
        assert seen <= MOST_SEEN

    assert largest == most


def test_most_blocks_that_never_come_again_are_not_looked_up() -> None:
    blocks = KnownBlocks(TRACE_SIZE)
    for number in range(11_000):
        read(blocks, block_of([HOST, (b"Accept", b"%d" % number)], TRACE % number))

    known, seen = blocks.size
    assert known == 0
    assert seen < 1100


def test_a_head_from_a_trusted_peer_keeps_what_only_proxies_send() -> None:
    head = b"GET / HTTP/1.1" + block_of([HOST, (b"X-Forwarded-For", b"10.0.0.1")], TRACE % 1) + b"\r\n\r\n"

    for _ in range(3):
        untrusted = read_head(head, 0, 65536, MOST_FIELDS, is_trusted=False)
        trusted = read_head(head, 0, 65536, MOST_FIELDS, is_trusted=True)
        assert isinstance(untrusted, RequestHead)
        assert isinstance(trusted, RequestHead)
        assert b"10.0.0.1" not in untrusted.facts.block
        assert trusted.facts.forwarding == {b"x-forwarded-for": b"10.0.0.1"}


@pytest.mark.parametrize("start", [b"xyt", b"\r\nx-t", b" \r\nt", b"\n\nt", b": t", b"\r\n\xff"])
def test_what_only_ends_like_a_trace_belongs_to_the_line_before(start: bytes) -> None:
    rest = b"\r\nAccept: */*\r\nHost: like.example.com"
    for trace in GOOD:
        known = read_head(
            b"GET / HTTP/1.1" + rest + b"\r\ntraceparent: " + trace + b"\r\n\r\n", 0, 65536, 9, is_trusted=False
        )
        assert isinstance(known, RequestHead)
    block = rest + start + b"raceparent: " + GOOD[0]

    head = read_head(b"GET / HTTP/1.1" + block + b"\r\n\r\n", 0, 65536, 9, is_trusted=False)

    expected = directly(block)
    assert isinstance(head, RequestHead if expected is not None else HeadProblem)
    if isinstance(head, RequestHead):
        assert all_of(head.facts) == all_of(expected)
