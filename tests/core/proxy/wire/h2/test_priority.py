"""The Priority field, and priorities of streams that are still to begin."""

from __future__ import annotations

from math import inf

import pytest
from gateway_core.proxy.wire.h2.errors import ErrorCode, Http2ConnectionError
from gateway_core.proxy.wire.h2.priority import EarlyPriorities, Priority, read_priority


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("", Priority(None, False)),
        ("u=0", Priority(0, False)),
        ("u=7, i", Priority(7, True)),
        ("i, u=3", Priority(3, True)),
        ("i=?1,u=1", Priority(1, True)),
        ("i=?0", Priority(None, False)),
        ("u=8", Priority(None, False)),
        ("u=-1", Priority(None, False)),
        ("u=12", Priority(None, False)),
        ("xu=1", Priority(None, False)),
        ("u=2;x=1, i;y", Priority(2, True)),
        ("nonsense \xff", Priority(None, False)),
    ],
)
def test_what_is_understood_counts_and_the_rest_says_nothing(value: str, expected: Priority) -> None:
    assert read_priority(value) == expected


def test_a_priority_is_kept_until_its_stream_begins_and_the_last_one_counts() -> None:
    early = EarlyPriorities()

    early.keep(5, Priority(1, False), 100)
    early.keep(5, Priority(0, True), 100)

    assert early.take(3) is None
    assert early.take(5) == Priority(0, True)
    assert early.take(5) is None


def test_priorities_of_streams_that_are_skipped_are_forgotten() -> None:
    early = EarlyPriorities()
    for stream in (1, 3, 9):
        early.keep(stream, Priority(1, False), 3)

    assert early.take(7) is None

    early.keep(11, Priority(1, False), 2)
    assert early.take(9) == Priority(1, False)


def test_no_more_streams_are_prioritized_than_may_be_begun() -> None:
    early = EarlyPriorities()
    early.keep(1, Priority(1, False), 1)
    early.keep(1, Priority(2, False), 0)

    with pytest.raises(Http2ConnectionError) as caught:
        early.keep(3, Priority(1, False), 1)

    assert caught.value.code is ErrorCode.PROTOCOL_ERROR


def test_without_a_limit_of_streams_no_more_than_a_bound_is_kept() -> None:
    early = EarlyPriorities()

    for stream in range(1, 2001, 2):
        early.keep(stream, Priority(1, False), inf)

    assert early.take(1) == Priority(1, False)
    assert early.take(1999) is None
