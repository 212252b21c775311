from __future__ import annotations

import json

import pytest
from gateway_plugin_auth.key_file import read_entries
from hypothesis import given
from hypothesis import strategies as st

A = {"subject": "a", "sha256": "a" * 64, "id": "gw_a"}
B = {"subject": "b", "key": "hush", "claims": {"groups": ["staff"]}}


def lines(*entries: object) -> str:
    return "".join(json.dumps(entry) + "\n" for entry in entries)


@pytest.mark.parametrize(
    "text",
    [
        lines(A, B),
        lines(A, B).rstrip(),
        f"# ours\n\n{lines(A)}  # more\n{lines(B)}\n",
        lines(A, B).replace("\n", "\r\n"),
        "\ufeff" + lines(A, B),
        json.dumps([A, B], indent=2),
        f"\n {json.dumps([A, B])}",
    ],
)
def test_lines_and_lists_are_the_same_keys(text: str) -> None:
    first, second = read_entries(text.encode())

    assert (first.id, first.subject, first.sha256) == ("gw_a", "a", "a" * 64)
    assert (second.id, second.subject, second.claims) == (None, "b", {"groups": ["staff"]})


def test_a_file_without_keys_has_a_comment() -> None:
    assert read_entries(b"# none yet\n") == read_entries(b"[]") == ()
    for text in (b"", b"\n \n"):
        with pytest.raises(ValueError, match="it is empty: write a key, or a comment"):
            read_entries(text)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (lines(A) + '{"subject": "b", "key": "hush"', r"line 2: not a JSON object on one line: column \d+: Expecting"),
        ('{\n"subject": "b", "key": "hush"}', "line 1: not a JSON object on one line"),
        (f"# one\n\n{lines(A, {'subject': 'b'})}", "line 4: .*exactly one of key and sha256"),
        (lines({**B, "color": "hush"}), r"line 1: \['color'\]: Extra inputs are not permitted"),
        (lines({**B, "expires": "soon"}), "line 1: .*'soon' is not a time"),
        (lines({**B, "sha256": "hush", "key": None}), r"line 1: \['sha256'\]: "),
        (lines({**B, "id": "h u s h"}), r"line 1: \['id'\]: "),
        (lines(B, {**B, "subject": "c"}), "line 2: 'b' and 'c' have the same key"),
        (lines(A, {**B, "id": "gw_a"}), "line 2: two keys have the id 'gw_a'"),
        (lines("hush"), "line 1: "),
        (lines(5), "line 1: "),
        ("hush", "line 1: not a JSON object on one line"),
        (json.dumps([A, {"subject": "b"}]), r"\[1\]: .*exactly one of key and sha256"),
        (json.dumps([B, {**B, "subject": "c"}]), "'b' and 'c' have the same key"),
        ("[hush]", "this is not a JSON list of keys: line 1 column 2"),
        (lines(A) + "\0", "NUL"),
    ],
)
def test_what_is_no_key_is_refused_with_line_and_reason_and_shows_no_key(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem) as raised:
        read_entries(text.encode())

    assert "hush" not in str(raised.value).lower()


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        read_entries(data)
    except ValueError as error:
        assert str(error)  # noqa: PT017 - either is right
