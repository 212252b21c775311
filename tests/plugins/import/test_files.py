"""Only what is below the folder of the first file is read, and only so much."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest
from gateway_import import files
from gateway_import.failures import CannotImportError, Origin
from gateway_import.files import Files, SourceText

BY = Origin("main.conf", 3)


def include(folder: Path, pattern: str) -> list[tuple[str, str]]:
    (folder / "main.conf").touch()
    reader = Files(str(folder / "main.conf"))
    return [(Path(each.name).name, each.text) for each in reader.include(pattern, BY, reader.first())]


def test_a_pattern_names_files_in_the_order_of_their_names(tmp_path: Path) -> None:
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "conf.d" / "b.conf").write_text("b")
    (tmp_path / "conf.d" / "a.conf").write_text("a")

    assert include(tmp_path, "conf.d/*.conf") == [("a.conf", "a"), ("b.conf", "b")]
    assert include(tmp_path, "none/*.conf") == []
    assert include(tmp_path, str(tmp_path / "conf.d" / "a.conf")) == [("a.conf", "a")]


@pytest.mark.parametrize("pattern", ["../secret", "/etc/passwd", "conf.d/../../secret", "../*", "link", "links/secret"])
def test_what_is_not_below_the_folder_is_a_failure(tmp_path: Path, pattern: str) -> None:
    folder = tmp_path / "gateway"
    folder.mkdir()
    (tmp_path / "secret").write_text("secret")
    (folder / "link").symlink_to(tmp_path / "secret")
    (folder / "links").symlink_to(tmp_path)

    with pytest.raises(CannotImportError, match=r"^main\.conf:3: includes "):
        include(folder, pattern)


def test_a_file_that_is_not_there_and_one_that_is_no_file_are_failures(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()

    for name in ("missing", "pipe", "folder"):
        with pytest.raises(CannotImportError, match="cannot be read"):
            include(tmp_path, name)
    with pytest.raises(OSError, match="no regular file"):
        Files(str(tmp_path / "pipe")).first()


def test_includes_have_a_depth(tmp_path: Path) -> None:
    (tmp_path / "main.conf").touch()
    reader = Files(str(tmp_path / "main.conf"))
    source = reader.first()

    def include_once_more(source: SourceText) -> SourceText:
        (included,) = reader.include("main.conf", BY, source)
        return include_once_more(included)

    with pytest.raises(CannotImportError, match="levels deep: does a file include itself"):
        include_once_more(source)


@pytest.mark.parametrize("limit", ["LARGEST", "MOST_FILES"])
def test_files_have_a_size_and_a_number_together(tmp_path: Path, limit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, limit, 2)
    for name in "abc":
        (tmp_path / name).write_text(name)

    with pytest.raises(CannotImportError, match="to read: import it in parts"):
        include(tmp_path, "[abc]")


def test_standard_input_is_read_and_has_no_folder() -> None:
    reader = Files("-", stdin=io.BytesIO(b"\xef\xbb\xbfa"))
    source = reader.first()

    assert (source.name, source.text, source.path) == ("stdin", "a", None)
    with pytest.raises(CannotImportError, match="standard input has no folder"):
        reader.include("other", BY, source)


def test_what_is_no_text_is_a_failure_with_its_line() -> None:
    with pytest.raises(CannotImportError, match=r"^stdin:2: is no text in UTF-8"):
        Files("-", stdin=io.BytesIO(b"a\n\xff")).first()
