from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from gateway_core.cli.recording import LONGEST_LINE, RecordedRequest, RecordingError, RecordingReader, RecordingWriter
from hypothesis import given
from hypothesis import strategies as st

EVENT: dict[str, Any] = {
    "at": "2026-01-01T00:00:00.000Z", "status": 200, "client": "10.0.0.1", "method": "GET", "host": "a.test",
    "path": "/users/1", "query": "page=2", "route": "users", "request_id": "r1", "headers": {"accept": "a/b"},
}  # fmt: skip
HEAD = json.dumps({"type": "recording", "format": 1})


def written(path: Path, *lines: object, max_bytes: int = 10_000, replaces: bool = False) -> list[bool]:
    writer = RecordingWriter(path, {}, max_bytes=max_bytes, replaces=replaces)
    try:
        return [writer.add("request", line) for line in lines if isinstance(line, dict)]
    finally:
        writer.close()


def read(path: Path) -> list[RecordedRequest]:
    with RecordingReader(path) as reader:
        return list(reader)


def test_a_request_has_what_is_sent_again_and_no_address_of_a_client(tmp_path: Path) -> None:
    request = RecordedRequest.of_event(EVENT)

    assert request is not None
    assert "10.0.0.1" not in str(request.to_plain())
    written(tmp_path / "file", request.to_plain())
    assert read(tmp_path / "file") == [request]
    assert (request.target, request.route, request.status) == ("/users/1?page=2", "users", 200)


@pytest.mark.parametrize(
    "change", [{"path": "/" + "x" * 999}, {"query": "x" * 1000}, {"path": "*"}, {"status": 101}, {"method": "CONNECT"}]
)
def test_what_cannot_be_sent_again_as_it_was_is_no_request(change: dict[str, Any]) -> None:
    assert RecordedRequest.of_event({**EVENT, **change}) is None


def test_the_file_is_for_its_owner_alone_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        written(tmp_path / "open")
        os.umask(0o777)
        written(tmp_path / "closed")
    finally:
        os.umask(before)

    assert [(tmp_path / name).stat().st_mode & 0o777 for name in ("open", "closed")] == [0o600, 0o600]


def test_a_file_that_is_there_is_replaced_on_request_alone(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("mine")
    path.chmod(0o644)

    with pytest.raises(RecordingError, match="exists"):
        written(path)
    assert path.read_text() == "mine"
    written(path, replaces=True)
    assert (read(path), path.stat().st_mode & 0o777) == ([], 0o600)


def test_neither_links_nor_directories_are_replaced(tmp_path: Path) -> None:
    (tmp_path / "target").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "target")

    for path in (tmp_path / "link", tmp_path):
        with pytest.raises(RecordingError, match="no ordinary file"):
            written(path, replaces=True)
    assert (tmp_path / "target").read_text() == "mine"


def test_the_size_is_bounded_and_the_last_line_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "file"

    assert written(path, EVENT, {"long": "x" * 2000}, EVENT, max_bytes=1000) == [True, False, True]
    assert path.stat().st_size <= 1000
    assert len(read(path)) == 2


def test_half_a_line_is_cut_off_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "file"
    writer = RecordingWriter(path, {}, max_bytes=1000, replaces=False)
    with path.open("ab") as file:  # as a signal would leave it in the middle of a write
        file.write(b'{"type": "requ')
    writer.close()

    assert read(path) == []


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is empty"),
        ("{}\n", "line 1 .* is no recording"),
        ('{"type": "recording", "format": 2}\n', "line 1 .* another version"),
        (f"{HEAD}\nnonsense\n", "line 2 "),
        (f"{HEAD}\n[]\n", "line 2 .* no object"),
        (f"{HEAD}\n" + '{"type": "request", "method": "GET", "path": "none"}\n', "line 2 .* does not begin with /"),
        (f"{HEAD}\n" + '{"type": "request", "method": "A B", "path": "/"}\n', "line 2 .* no method"),
        (f"{HEAD}\n" + '{"type": "request", "method": "GET", "path": "/a b"}\n', "line 2 .* not sent"),
        (f"{HEAD}\n" + '{"type": "request", "method": "GET", "path": "/", "host": "a\\r\\nb: c"}\n', "no host"),
        (f"{HEAD}\n" + '{"type": "request", "method": "GET", "path": "/", "headers": {"a": "b\\r\\nc"}}\n', "headers"),
        (f"{HEAD}\n" + '{"type": "request", "method": "GET", "path": "/", "headers": {"Expect": "a"}}\n', "headers"),
        (f"{HEAD}\n" + '{"type": "request", "method": "GET", "path": "/", "headers": []}\n', "headers"),
        (f"{HEAD}\n" + '{"type": "request", "method": 1, "path": "/"}\n', "are texts"),
        (f"{HEAD}\n" + "[" * 100_000, "line 2 "),
        ("x" * (LONGEST_LINE + 1), "line 1 .* longer"),
    ],
)
def test_what_is_no_recording_is_refused_with_its_line(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / "file").write_text(text)

    with pytest.raises(RecordingError, match=reason):
        read(tmp_path / "file")


def test_lines_of_later_gateways_are_ignored(tmp_path: Path) -> None:
    (tmp_path / "file").write_text(
        f'{HEAD}\n{{"type": "other"}}\n{{"type": "request", "method": "GET", "path": "/", "more": 1}}\n'
    )

    assert [each.path for each in read(tmp_path / "file")] == ["/"]


@given(st.dictionaries(st.sampled_from(["method", "host", "path", "query", "headers", "status"]), st.text()))
def test_a_request_that_is_taken_is_one_line_of_a_head(members: dict[str, str]) -> None:
    try:
        request = RecordedRequest.from_plain(members)
    except ValueError:
        return

    assert not set("\r\n \0") & set(f"{request.method}{request.host}{request.target}")
