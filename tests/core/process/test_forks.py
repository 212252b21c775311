from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest
from gateway_core.process.forks import handing_on, keep_from_children, release


@pytest.fixture
def kept() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        keep_from_children(sock)
        yield sock
        release(sock)


def is_open_in_a_fork(descriptor: int) -> bool:
    pid = os.fork()
    if pid == 0:
        try:
            os.fstat(descriptor)
        except OSError:
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_a_forked_child_has_no_copy_and_no_duplicate(kept: socket.socket) -> None:
    with kept.dup() as duplicate:
        assert not is_open_in_a_fork(kept.fileno())
        assert not is_open_in_a_fork(duplicate.fileno())


def test_other_sockets_are_inherited(kept: socket.socket) -> None:
    assert kept.fileno() > 0
    with socket.create_server(("127.0.0.1", 0)) as other:
        assert is_open_in_a_fork(other.fileno())


def test_what_was_released_is_inherited(kept: socket.socket) -> None:
    release(kept)

    assert is_open_in_a_fork(kept.fileno())


def test_a_worker_gets_what_it_is_given(kept: socket.socket) -> None:
    code = "import os, sys; os.fstat(int(sys.argv[1]))"
    command = [sys.executable, "-c", code, str(kept.fileno())]

    with handing_on():
        done = subprocess.run(command, pass_fds=[kept.fileno()], preexec_fn=os.getpid, check=False)

    assert done.returncode == 0
