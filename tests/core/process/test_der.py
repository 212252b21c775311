from __future__ import annotations

import base64

import pytest
from gateway_core.process.der import pem_blocks, read_element, skip_elements
from hypothesis import given
from hypothesis import strategies as st


def element(tag: int, content: bytes) -> bytes:
    size = len(content)
    if size < 0x80:
        return bytes([tag, size]) + content
    length = size.to_bytes((size.bit_length() + 7) // 8)
    return bytes([tag, 0x80 | len(length)]) + length + content


@given(st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=70_000)), min_size=1, max_size=3), st.binary())
def test_elements_are_read_one_after_the_other(elements: list[tuple[int, bytes]], rest: bytes) -> None:
    data = b"".join(element(tag, content) for tag, content in elements) + rest

    first = read_element(data)

    assert (first.tag, first.content) == elements[0]
    assert skip_elements(data, len(elements)) == rest


@given(st.binary(min_size=1, max_size=300), st.data())
def test_what_is_cut_off_is_refused(content: bytes, data: st.DataObject) -> None:
    whole = element(0x30, content)

    with pytest.raises(ValueError, match="cut off"):
        read_element(whole[: data.draw(st.integers(0, len(whole) - 1))])


def test_blocks_are_found_by_their_label() -> None:
    def block(label: str, content: bytes) -> bytes:
        return f"-----BEGIN {label}-----\n{base64.encodebytes(content).decode()}-----END {label}-----\n".encode()

    pem = b"text\n" + block("A KEY", b"1") + block("B", b"2") + block("A KEY", b"3" * 100)

    assert list(pem_blocks(pem, "A KEY")) == [b"1", b"3" * 100]
