from __future__ import annotations

import pytest
from gateway_plugin_etcd.errors import EtcdError
from gateway_plugin_etcd.lines import LineSplitter
from hypothesis import given
from hypothesis import strategies as st


@given(st.lists(st.binary(max_size=8).filter(lambda line: b"\n" not in line)), st.data())
def test_cuts_do_not_matter(lines: list[bytes], data: st.DataObject) -> None:
    whole = b"".join(line + b"\n" for line in lines)
    splitter, found = LineSplitter(), []

    while whole:
        size = data.draw(st.integers(1, len(whole)))
        found += splitter.feed(whole[:size])
        whole = whole[size:]

    assert found == [line for line in lines if line.strip()]


def test_a_line_has_a_limit() -> None:
    splitter = LineSplitter(10)
    assert splitter.feed(b"0123456789\n01234567") == [b"0123456789"]
    splitter.feed(b"89")

    with pytest.raises(EtcdError, match="longer than 10 bytes"):
        splitter.feed(b"x")
