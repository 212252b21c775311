from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from gateway_plugin_static.beneath import NotServedError, list_beneath, open_beneath, open_file

from tests.plugins.static.descriptors import open_below


def content(root: Path, *names: str, follows_links: bool = False) -> bytes:
    opened = open_beneath(str(root), names, follows_links)
    try:
        return os.read(opened.descriptor, 100)
    finally:
        opened.close()


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "outside.txt").write_bytes(b"outside")
    root = tmp_path / "root"
    (root / "deep" / "er").mkdir(parents=True)
    (root / "file.txt").write_bytes(b"inside")
    (root / "deep" / "er" / "x").write_bytes(b"deep")
    yield root
    assert open_below(tmp_path) == []


def test_files_and_directories_are_opened(root: Path) -> None:
    assert content(root, "file.txt") == b"inside"
    assert content(root, "deep", "er", "x") == b"deep"
    for names in ((), ("deep", "er")):
        opened = open_beneath(str(root), names)
        assert opened.is_directory
        opened.close()


@pytest.mark.parametrize("names", [("none",), ("file.txt", "x"), ("deep", "none", "x"), ("a" * 300,)])
def test_what_is_not_there_is_not_served(root: Path, names: tuple[str, ...]) -> None:
    with pytest.raises(NotServedError):
        open_beneath(str(root), names)


def test_fifos_sockets_and_devices_are_not_opened(root: Path) -> None:
    os.mkfifo(root / "fifo")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(root / "socket"))
        for name in ("fifo", "socket"):
            with pytest.raises(NotServedError):
                open_beneath(str(root), (name,))
    with pytest.raises(NotServedError):
        open_beneath("/dev", ("null",))


@pytest.mark.parametrize("target", ["file.txt", "deep/er/../../file.txt", "./file.txt", "{root}/file.txt", "a"])
def test_links_below_the_root_are_followed_if_that_is_switched_on(root: Path, target: str) -> None:
    (root / "a").symlink_to("file.txt")
    (root / "link").symlink_to(target.format(root=root))

    assert content(root, "link", follows_links=True) == b"inside"
    with pytest.raises(NotServedError):
        open_beneath(str(root), ("link",))


@pytest.mark.parametrize(
    "target",
    ["../outside.txt", "deep/../../outside.txt", "/etc/passwd", "{root}/../outside.txt", "{root}x", "link", "/"],
)
def test_links_out_of_the_root_and_loops_are_not_followed(root: Path, target: str) -> None:
    (root.parent / "rootx").write_bytes(b"outside")
    (root / "link").symlink_to(target.format(root=root))
    (root / "directory").symlink_to("..")

    for names in (("link",), ("directory", "outside.txt")):
        with pytest.raises(NotServedError):
            open_beneath(str(root), names, True)


def test_directories_that_are_links_are_followed_only_below_the_root(root: Path) -> None:
    (root / "link").symlink_to("deep")

    assert content(root, "link", "er", "x", follows_links=True) == b"deep"
    with pytest.raises(NotServedError):
        open_beneath(str(root), ("link", "er", "x"))


def test_a_mounted_config_map_is_served_with_links(root: Path) -> None:
    (root / "..2026").mkdir()
    (root / "..2026" / "page").write_bytes(b"mounted")
    (root / "..data").symlink_to("..2026")
    (root / "page").symlink_to("..data/page")

    assert content(root, "page", follows_links=True) == b"mounted"


def test_the_root_may_be_a_link_that_changes(root: Path) -> None:
    (root.parent / "release2").mkdir()
    (root.parent / "release2" / "file.txt").write_bytes(b"second")
    current = root.parent / "current"
    current.symlink_to(root)
    assert content(current, "file.txt") == b"inside"

    (root.parent / "next").symlink_to("release2")
    (root.parent / "next").replace(current)

    assert content(current, "file.txt") == b"second"


def test_a_missing_root_is_an_error_and_not_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        open_beneath(str(tmp_path / "none"), ("x",))


@pytest.mark.timeout(60)
def test_nothing_outside_is_read_while_a_directory_and_a_link_take_turns(root: Path) -> None:
    (root / "turn").mkdir()
    (root / "turn" / "outside.txt").write_bytes(b"inside")
    (root / "other").symlink_to("..")
    done = threading.Event()

    def exchange() -> None:
        while not done.is_set():
            for first, second in (("turn", "aside"), ("other", "turn"), ("turn", "other"), ("aside", "turn")):
                (root / first).rename(root / second)

    thread = threading.Thread(target=exchange)
    thread.start()
    try:
        found = set()
        for attempt in range(3000):
            try:
                found.add(content(root, "turn", "outside.txt", follows_links=attempt % 2 == 0))
            except NotServedError:
                continue
    finally:
        done.set()
        thread.join()
    assert found <= {b"inside"}


def test_a_sibling_is_opened_if_it_is_a_regular_file(root: Path) -> None:
    (root / "link").symlink_to("file.txt")
    opened = open_beneath(str(root), ("file.txt",))
    try:
        descriptor = open_file("file.txt", opened.parent)
        assert descriptor is not None
        os.close(descriptor)
        assert [open_file(name, opened.parent) for name in ("none", "deep", "link", "a" * 300)] == [None] * 4
    finally:
        opened.close()


def test_a_directory_is_listed_up_to_a_number_of_entries(root: Path) -> None:
    opened = open_beneath(str(root), ())
    try:
        assert sorted(name for name, _ in list_beneath(opened.descriptor, 10)) == ["deep", "file.txt"]
        assert len(list_beneath(opened.descriptor, 1)) == 1
    finally:
        opened.close()
