from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
from gateway_core.config import ConfigProblem, Document, DocumentFormat, Place
from gateway_core.config.documents import (
    ALL_RIGHTS,
    NotRegularError,
    ReadFailure,
    as_paths,
    decode,
    document_files,
    read_bytes,
    read_document,
    read_regular,
)


def test_directory_stands_for_its_documents_sorted_by_name(tmp_path: Path) -> None:
    for name in ("20.YAML", "10.toml", "30.json", "15.yml", ".hidden.yaml", "notes.txt"):
        (tmp_path / name).write_text("")

    files, directories = document_files([tmp_path])

    assert [file.name for file in files] == ["10.toml", "15.yml", "20.YAML", "30.json"]
    assert directories == [tmp_path]


def test_directory_stands_for_the_documents_below_it_too(tmp_path: Path) -> None:
    for name in ("b.yaml", "a/z.yaml", "a/deep/x.json", ".git/hidden.yaml"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    (tmp_path / "a" / "up").symlink_to(tmp_path)

    files, directories = document_files([tmp_path])

    assert [str(file.relative_to(tmp_path)) for file in files] == ["a/deep/x.json", "a/z.yaml", "b.yaml"]
    assert directories == [tmp_path, tmp_path / "a", tmp_path / "a" / "deep"]


def test_a_link_to_nothing_is_a_document_that_does_not_exist(tmp_path: Path) -> None:
    (tmp_path / "team.yaml").symlink_to("gone.yaml")
    (tmp_path / "notes").symlink_to("gone")

    (file,), _ = document_files([tmp_path])

    problem = read_document(file)
    assert isinstance(problem, ConfigProblem)
    assert problem.code == "file.missing"
    assert problem.message == "is a link to a file that does not exist"
    assert problem.remedy == "mend the link, or remove it"


def test_mounted_config_map_is_read_through_its_links(tmp_path: Path) -> None:
    version = tmp_path / "..2026_11_22"
    version.mkdir()
    (version / "gateway.yaml").write_text("routes: []")
    (tmp_path / "..data").symlink_to(version.name)
    (tmp_path / "gateway.yaml").symlink_to("..data/gateway.yaml")

    files, _ = document_files([tmp_path])

    assert files == [tmp_path / "gateway.yaml"]


def test_format_follows_from_the_ending(tmp_path: Path) -> None:
    for name, expected in {
        "a.json": DocumentFormat.JSON,
        "a.toml": DocumentFormat.TOML,
        "a.conf": DocumentFormat.YAML,
    }.items():
        path = tmp_path / name
        path.write_text("x")

        document = read_document(path)

        assert document == Document(str(path), "x", expected, tmp_path, ALL_RIGHTS)


def test_byte_order_mark_is_no_part_of_the_text(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes(b"\xef\xbb\xbfroutes: []")

    document = read_document(path)

    assert isinstance(document, Document)
    assert document.text == "routes: []"


def test_unreadable_file_is_a_problem_that_says_why(tmp_path: Path) -> None:
    missing = read_document(tmp_path / "missing.yaml")
    directory = read_document(tmp_path)

    assert missing == ConfigProblem(
        Place(str(tmp_path / "missing.yaml")),
        "",
        "does not exist",
        code="file.missing",
        remedy="name the configuration with -c",
    )
    assert isinstance(directory, ConfigProblem)
    assert directory.message == "is a directory, where a file is expected"


def test_file_that_is_not_utf8_is_a_problem_at_its_first_bad_byte(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes("a: b\nc: ü".encode() + b"\xff")

    problem = read_document(path)

    assert isinstance(problem, ConfigProblem)
    assert problem.place == Place(str(path), 2, 5)


def test_reading_is_bounded(tmp_path: Path) -> None:
    path = tmp_path / "large"
    path.write_bytes(b"x" * 11)

    assert read_bytes(path, limit=10) == ReadFailure("is larger than 10 bytes", "file.too-large")
    assert read_bytes(path, limit=11) == b"x" * 11
    assert read_bytes(Path("/proc/self/mem"), limit=1) != b""
    refused = read_bytes(Path("a\0b"), limit=1)
    assert isinstance(refused, ReadFailure)
    assert refused.code == "file.unreadable"
    assert refused.reason.startswith("cannot be read: ")  # each version of Python words the rest in its own way


def test_decoding_tells_the_offset_of_the_first_bad_byte() -> None:
    assert decode(b"ab\xffc") == 2


def test_one_path_or_several() -> None:
    assert as_paths(Path("a")) == (Path("a"),)
    assert as_paths([Path("a"), Path("b")]) == (Path("a"), Path("b"))


def test_reads_a_regular_file_and_what_links_to_one(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"text")
    (tmp_path / "b").symlink_to(tmp_path / "a")

    assert read_regular(tmp_path / "a") == read_regular(str(tmp_path / "b")) == b"text"


def test_a_pipe_is_refused_without_waiting_for_its_writer(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(tmp_path / "pipe")

    for name in ("pipe", "link"):
        with pytest.raises(NotRegularError, match="a pipe, a socket or a device"):
            read_regular(tmp_path / name)


@pytest.mark.parametrize("device", ["/dev/zero", "/dev/null", "/dev/random"])
def test_a_device_is_refused(device: str) -> None:
    with pytest.raises(NotRegularError):
        read_regular(device)


def test_a_socket_and_a_directory_are_refused(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(tmp_path / "socket"))
        with pytest.raises(NotRegularError, match="a pipe, a socket"):
            read_regular(tmp_path / "socket")
    with pytest.raises(NotRegularError, match="a directory"):
        read_regular(tmp_path)


def test_a_file_over_the_limit_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"12345")

    assert read_regular(tmp_path / "a", 5) == b"12345"
    with pytest.raises(OSError, match="larger than 4 bytes"):
        read_regular(tmp_path / "a", 4)
