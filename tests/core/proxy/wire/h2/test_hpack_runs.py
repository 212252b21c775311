"""Runs of indices are known again where the table has moved, and never where it has other entries."""

from __future__ import annotations

import pytest
from gateway_core.proxy.wire.h2.hpack import STATIC, TABLE_SIZE, Decoder, Field, HpackError, field
from gateway_core.proxy.wire.h2.hpack_runs import FIRST_DYNAMIC, LONGEST_RUN, Runs
from hypothesis import given
from hypothesis import strategies as st

_indices = st.integers(1, 0x7E)
_runs = st.lists(_indices, min_size=1, max_size=5).map(lambda indices: bytes([0x80 | index for index in indices]))
_Step = tuple[str, int | bytes]
_steps = st.one_of(
    st.tuples(st.just("add"), st.integers(1, 70)), st.tuples(st.just("evict"), st.integers(1, 70)),
    st.tuples(st.just("read"), _runs), st.tuples(st.just("again"), st.integers(0, 70)),
)  # fmt: skip


@given(st.lists(_steps, max_size=40), st.integers(0, 3))
def test_a_run_has_the_fields_of_the_table_whatever_was_read_before(
    steps: list[tuple[str, int | bytes]], before: int
) -> None:
    table: list[Field] = [*STATIC]
    runs, inserted, last = Runs(table), 0, b"\x82"
    for step, what in steps:
        if step == "add":
            for _ in range(int.from_bytes(what) if isinstance(what, bytes) else what):
                inserted += 1
                table.insert(FIRST_DYNAMIC, field(b"x", b"%d" % inserted))
        elif step == "evict" and isinstance(what, int):
            del table[max(FIRST_DYNAMIC, len(table) - what) :]
        else:
            # Read something else, or the last run where it may be now.
            moved = what if isinstance(what, int) else 0
            encoded = what if isinstance(what, bytes) else bytes([min(byte + moved, 0xFE) for byte in last])
            last = encoded
            expected = [table[byte & 0x7F] for byte in encoded if byte & 0x7F < len(table)]
            if len(expected) < len(encoded):
                with pytest.raises(IndexError):
                    runs.read(encoded, before, inserted)
            else:
                found = runs.read(encoded, before, inserted)
                assert all(one is other for one, other in zip(found.fields, expected, strict=True))
                assert found.size == sum(each[3] for each in expected)
                assert found.deepest == max(byte & 0x7F for byte in encoded)


def test_a_run_is_the_same_object_while_entries_are_added_and_another_once_it_means_something_else() -> None:
    decoder = Decoder()
    decoder.decode(b"\x40\x01a\x01b\x40\x01c\x01d")
    decoder.decode(b"\x82\xbe\xbf")
    first = decoder.parts[0]

    decoder.decode(b"\x82\xbe\xbf\x40\x01e\x01f")
    assert decoder.parts[0] is first

    decoder.decode(b"\x82\xbf\xc0")
    assert decoder.parts[0] is first, "an entry was added"

    assert decoder.decode(b"\x82\xbe\xbf")[1][:2] == (b"e", b"f")
    assert decoder.parts[0] is not first


def test_what_runs_keep_of_a_connection_has_a_bound() -> None:
    decoder = Decoder(1 << 20)
    decoder.decode(b"\x40\x01a\x7f\x80\x1e" + b"v" * (TABLE_SIZE - 129))
    for length in range(1, 200):
        decoder.decode(b"\x82" * length)
        assert max(len(run.fields) for run in decoder._runs._known.values()) <= LONGEST_RUN
        assert len(decoder._runs._known) <= 8
    decoder.forget()
    assert not decoder._runs._known


def test_a_run_is_not_known_once_one_of_its_entries_left_the_table() -> None:
    decoder = Decoder()
    decoder.decode(b"\x40\x01a\x01b")
    decoder.decode(b"\x82\xbe")
    decoder.decode(b"\x40\x01c\x7f\xd0\x1e" + b"v" * (0x7F + 0x50 + (0x1E << 7)))

    with pytest.raises(HpackError, match="in none of the tables"):
        decoder.decode(b"\x82\xbf")
