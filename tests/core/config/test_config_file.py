from __future__ import annotations

import os
from pathlib import Path

import pytest
from gateway_core.config import (
    ConfigFile,
    ConfigModel,
    DirectoryName,
    FileName,
    UpstreamName,
    config_files,
    names_files,
)
from pydantic import TypeAdapter, ValidationError


class Inner(ConfigModel):
    key: ConfigFile


class Options(ConfigModel):
    first: ConfigFile | None = None
    others: tuple[ConfigFile, ...] = ()
    by_name: dict[str, Inner] = {}
    target: UpstreamName = "http://127.0.0.1:1"


class Plain(ConfigModel):
    name: str = ""


def test_a_file_is_read_as_bytes_and_text(tmp_path: Path) -> None:
    path = tmp_path / "list"
    path.write_bytes("gr\xfc\xdfe".encode())

    file = TypeAdapter(ConfigFile).validate_python(str(path))

    assert (file.path, file.read_bytes(), file.read_text()) == (path, "gr\xfc\xdfe".encode(), "gr\xfc\xdfe")
    assert (str(file), file) == (str(path), ConfigFile(path))
    assert TypeAdapter(ConfigFile).dump_python(file) == str(path)


@pytest.mark.parametrize(
    ("kind", "said"),
    [("missing", "names no file: create it"), ("folder", "names a directory"), ("fifo", "names a pipe")],
)
def test_what_is_no_regular_file_is_refused(tmp_path: Path, kind: str, said: str) -> None:
    path = tmp_path / kind
    if kind == "folder":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)

    with pytest.raises(ValidationError, match=said):
        TypeAdapter(ConfigFile).validate_python(str(path))


@pytest.mark.parametrize("value", ["", 5, None, ["x"]])
def test_a_path_is_a_text(value: object) -> None:
    with pytest.raises(ValidationError, match="is not the path of a file"):
        TypeAdapter(ConfigFile).validate_python(value)


def test_the_files_of_a_configuration_are_found_wherever_they_are(tmp_path: Path) -> None:
    for name in "abcd":
        (tmp_path / name).touch()
    config = Options.model_validate(
        {
            "first": str(tmp_path / "a"),
            "others": [str(tmp_path / "b"), str(tmp_path / "c")],
            "by_name": {"x": {"key": str(tmp_path / "d")}},
        }
    )

    assert [file.path.name for file in config_files(config)] == ["a", "b", "c", "d"]
    assert (names_files(Options), names_files(Plain)) == (True, False)


def test_the_schema_marks_both() -> None:
    properties = Options.model_json_schema()["properties"]

    assert properties["others"]["items"] == {"type": "string", "minLength": 1, "x-file": True}
    assert properties["target"]["x-upstream"] is True
    with pytest.raises(ValidationError, match="names no upstream"):
        Options(target="")


def test_a_name_of_a_file_is_marked_like_a_file_and_is_no_part_of_the_identity() -> None:
    class Watching(ConfigModel):
        name: FileName

    assert Watching.model_json_schema()["properties"]["name"].items() >= {"x-file": True}.items()
    assert not names_files(Watching)
    assert config_files(Watching(name="/a")) == []
    with pytest.raises(ValidationError, match="is not the path of a file"):
        Watching(name="")


def test_a_directory_must_be_there(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    adapter = TypeAdapter(DirectoryName)

    assert adapter.validate_python(str(tmp_path)) == str(tmp_path)
    for name, said in (("none", "names no directory: create it"), ("file", "is no directory"), ("file/x", "names no")):
        with pytest.raises(ValidationError, match=said):
            adapter.validate_python(str(tmp_path / name))
    for name in ("", "a\0b"):
        with pytest.raises(ValidationError):
            adapter.validate_python(name)


def test_a_directory_is_marked_as_one_and_not_as_a_file_to_watch() -> None:
    schema = TypeAdapter(DirectoryName).json_schema()

    assert schema["x-directory"] is True
    assert "x-file" not in schema
