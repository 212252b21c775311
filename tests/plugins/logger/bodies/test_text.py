from __future__ import annotations

import gzip
import zlib
from typing import Any

import pytest
from gateway_plugin_logger.bodies.text import TRUNCATED, MediaType, body_text

JSON = MediaType("application/json")


def as_it_is(text: str, media_type: MediaType, is_cut: bool) -> str:
    return text


def text_of(data: bytes, **changes: Any) -> str:
    given: dict[str, Any] = {"is_cut": False, "media_type": JSON, "encoding": "", "most": 1000, "mask": as_it_is}
    return body_text(data, **{**given, **changes})


def test_a_whole_body_is_its_text() -> None:
    assert text_of('{"a":"ü"}'.encode()) == '{"a":"ü"}'


def test_a_body_that_was_cut_off_says_so_and_ends_with_a_whole_character() -> None:
    assert text_of("aü".encode()[:2], is_cut=True) == "a" + TRUNCATED


def test_bytes_that_are_no_text_are_shown_as_such() -> None:
    assert text_of(b"a\xffb") == "a\\xffb"


@pytest.mark.parametrize(
    ("encoding", "packed"),
    [
        ("gzip", gzip.compress(b"hello" * 20, mtime=0)),
        ("deflate", zlib.compress(b"hello" * 20)),
        ("deflate", zlib.compress(b"hello" * 20)[2:-4]),
        ("identity", b"hello" * 20),
    ],
    ids=["gzip", "zlib", "deflate", "identity"],
)
def test_what_was_packed_is_unpacked(encoding: str, packed: bytes) -> None:
    assert text_of(packed, encoding=encoding) == "hello" * 20


def test_a_bomb_is_unpacked_no_further_than_the_limit() -> None:
    bomb = gzip.compress(b"x" * 50_000_000)

    assert text_of(bomb, encoding="gzip", most=100) == "x" * 100 + TRUNCATED


def test_the_beginning_of_something_packed_is_unpacked() -> None:
    packed = gzip.compress(bytes(range(256)) * 100, compresslevel=1)

    assert text_of(packed[:60], encoding="gzip", is_cut=True, media_type=MediaType("text/plain", "latin1")).endswith(
        TRUNCATED
    )


@pytest.mark.parametrize(("encoding", "data"), [("br", b"abc"), ("gzip", b"no gzip"), ("gzip, gzip", b"abc")])
def test_what_cannot_be_unpacked_is_named_and_measured(encoding: str, data: bytes) -> None:
    assert text_of(data, encoding=encoding) == f"({encoding}, {len(data)} bytes)"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("application/json", MediaType("application/json")),
        ("Text/HTML; Charset=ISO-8859-1", MediaType("text/html", "iso-8859-1")),
        ('text/plain; x=1; charset="utf-8"', MediaType("text/plain", "utf-8")),
        ("", MediaType("")),
    ],
)
def test_a_content_type_has_a_name_and_perhaps_a_charset(value: str, expected: MediaType) -> None:
    assert MediaType.parse(value) == expected


@pytest.mark.parametrize(
    ("charset", "data", "expected"),
    [("iso-8859-1", b"\xfc", "ü"), ("utf-16", b"\xff\xfea\x00", "a"), ("punycode", b"a-b", "a-b"), ("zip", b"a", "a")],
)
def test_charsets_are_those_that_are_known_and_otherwise_utf_8(charset: str, data: bytes, expected: str) -> None:
    assert text_of(data, media_type=MediaType("text/plain", charset)) == expected
