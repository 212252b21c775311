from __future__ import annotations

import contextlib
import os
from pathlib import Path

import pytest
from gateway_tokens.reading import LARGEST_FILE, decode_json, decode_text, read_file
from hypothesis import given
from hypothesis import strategies as st

texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))


@given(texts, st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32"]))
def test_a_byte_order_mark_tells_the_encoding_and_is_no_part_of_the_text(text: str, encoding: str) -> None:
    assert decode_text(("x" + text).encode(encoding)) == "x" + text


@given(st.binary())
def test_reading_a_text_gives_one_or_a_value_error(data: bytes) -> None:
    with contextlib.suppress(ValueError):
        assert "\0" not in decode_text(data)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"a\nb\n\xff", "line 3 is not valid UTF-8: write the text as UTF-8"),
        ("a:b".encode("utf-16-le"), "it has NUL characters"),
        (b"\xff\xfea", "is not valid UTF-16-LE"),
    ],
)
def test_a_text_in_no_known_encoding_is_refused(data: bytes, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        decode_text(data)


@given(st.binary() | st.text())
def test_reading_json_gives_a_value_or_a_value_error(data: bytes | str) -> None:
    with contextlib.suppress(ValueError):
        decode_json(data)


@pytest.mark.parametrize(
    "data",
    [b"[" * 100_000, b"9" * 100_000, b"\xff", b'{"a":hush', b'"hush', "\ufeffhush", b"\xff\xfe{"],
    ids=range(7),
)
def test_hostile_json_is_an_error_that_does_not_show_it(data: bytes | str) -> None:
    with pytest.raises(ValueError) as error:  # noqa: PT011 - every kind of text is one
        decode_json(data)
    assert "hush" not in str(error.value)


def test_only_regular_files_of_a_sane_size_are_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "good").write_bytes(b"content")
    (tmp_path / "link").symlink_to(tmp_path / "good")
    with (tmp_path / "large").open("wb") as file:
        file.truncate(LARGEST_FILE + 1)

    assert read_file(str(tmp_path / "link")) == b"content"
    for name in ("fifo", "large", "missing", ""):
        with pytest.raises(OSError, match=r"regular|MiB|No such|directory"):
            read_file(str(tmp_path / name))
    with pytest.raises(OSError, match="regular"):
        read_file("/dev/zero")
