from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from gateway_plugin_static.listing import Entry, as_html, as_json, entry_of, in_order, prefers_json


def test_names_are_escaped_as_text_and_as_references() -> None:
    entries = [
        Entry('<b>&"x', False, 3, 0.0),
        Entry("javascript:alert(1)", False, 3, 0.0),
        Entry("a;b?c#d", True, 0, 0.0),
    ]

    page = as_html("/<script>/", entries, has_parent=True).decode()

    assert "<b>" not in page
    assert "<script>" not in page
    assert 'href="./%3Cb%3E&amp;%22x"' in page
    assert 'href="./javascript:alert(1)"' in page
    assert 'href="./a%3Bb%3Fc%23d/"' in page
    assert 'href="../"' in page
    assert 'href="../"' not in as_html("/", [], has_parent=False).decode()


def test_names_that_are_no_utf_8_and_times_that_are_none_are_listed() -> None:
    entries = [Entry("\udcff", False, 1, 1e20)]

    assert "%FF" in as_html("/", entries, has_parent=False).decode()
    assert json.loads(as_json(entries)) == [{"name": "\ufffd", "href": "./%FF", "type": "file", "size": 1}]


def test_directories_come_first() -> None:
    entries = [Entry("a", False, 1, 0.0), Entry("z", True, 0, 0.0), Entry("b", False, 1, 0.0)]

    assert [entry.name for entry in in_order(entries)] == ["z", "a", "b"]


def test_only_files_and_directories_are_entries(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link").symlink_to("x")
    (tmp_path / "file").write_bytes(b"abc")

    found = {name: entry_of(name, (tmp_path / name).lstat()) for name in ("fifo", "link", "file")}

    assert found["fifo"] is None
    assert found["link"] is None
    assert found["file"] is not None
    assert found["file"].size == 3


@pytest.mark.parametrize(
    ("accept", "expected"),
    [(None, False), ("*/*", False), ("application/json", True), ("text/html,application/json", False)],
)
def test_json_is_sent_where_it_is_preferred(accept: str | None, expected: bool) -> None:
    assert prefers_json(accept) is expected
