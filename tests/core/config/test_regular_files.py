from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
from gateway_core.config.regular_files import NotRegularError, read_regular


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
