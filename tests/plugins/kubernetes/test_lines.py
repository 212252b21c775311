from __future__ import annotations

from itertools import pairwise

import pytest
from gateway_plugin_kubernetes import lines
from gateway_plugin_kubernetes.lines import Lines, LineTooLongError
from hypothesis import given
from hypothesis import strategies as st


@given(st.binary(max_size=60), st.lists(st.integers(0, 60), max_size=8))
def test_lines_do_not_depend_on_where_the_parts_fall(stream: bytes, cuts: list[int]) -> None:
    cutter, found = Lines(), []
    places = sorted({0, *(min(cut, len(stream)) for cut in cuts), len(stream)})
    for start, end in pairwise(places):
        found += cutter.feed(stream[start:end])

    whole, _, _ = stream.rpartition(b"\n")
    assert found == [line for line in whole.split(b"\n") if line.strip()]


def test_a_line_without_an_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "LARGEST_LINE", 100)
    cutter = Lines()

    assert cutter.feed(b"x" * 60 + b"\n" + b"y" * 60) == [b"x" * 60]
    with pytest.raises(LineTooLongError, match="100 bytes"):
        cutter.feed(b"y" * 60)
