from __future__ import annotations

import base64
from datetime import UTC, datetime
from pathlib import Path

import pytest
from gateway_core.process.der import (
    NotARevocationListError,
    pem_blocks,
    read_element,
    revocation_lists,
    skip_elements,
)
from hypothesis import given
from hypothesis import strategies as st

from tests.core.process.certificates import Authority


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


@pytest.mark.parametrize("year", [2020, 2049, 2050, 2099])
def test_tells_until_when_each_list_is_valid(tmp_path: Path, year: int) -> None:
    authority = Authority(tmp_path / "authority")
    authority.publish(f"{year}0102030405Z")
    pem = authority.crl.read_bytes()
    end = datetime(year, 1, 2, 3, 4, 5, tzinfo=UTC)

    assert revocation_lists(pem) == [end]
    assert revocation_lists(pem + b"\n" + pem) == [end, end]


def test_a_text_without_a_list_is_refused() -> None:
    with pytest.raises(NotARevocationListError):
        revocation_lists(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")


@given(st.text("ABCDefgh0123+/= \n", max_size=80))
def test_a_broken_list_is_refused_whatever_is_in_it(text: str) -> None:
    pem = b"-----BEGIN X509 CRL-----" + text.encode() + b"-----END X509 CRL-----"

    try:
        revocation_lists(pem)
    except NotARevocationListError:
        return
