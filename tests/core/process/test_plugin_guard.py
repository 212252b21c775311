from __future__ import annotations

import asyncio
import io
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from gateway_core.process.plugin_guard import (
    HandlerGuard,
    handing_on,
    keep_from_children,
    keep_surroundings,
    release,
)


def test_the_directory_and_removed_variables_come_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("NEEDED", "by the next reload")
    before = Path.cwd()

    with keep_surroundings():
        os.chdir(tmp_path)
        del os.environ["NEEDED"]

    assert Path.cwd() == before
    assert os.environ["NEEDED"] == "by the next reload"
    assert "variables of the environment, which are back: NEEDED" in caplog.text
    assert f"it is {before} again" in caplog.text
    assert "by the next reload" not in caplog.text


def test_what_plugins_set_stays(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setenv("REGION", "a")

    with keep_surroundings():
        os.environ["REGION"] = "b"

    assert os.environ["REGION"] == "b"
    assert not caplog.records


def fail_elsewhere(directory: Path) -> None:
    os.chdir(directory)
    raise ZeroDivisionError


def test_they_come_back_after_an_error_too(tmp_path: Path) -> None:
    before = Path.cwd()

    with pytest.raises(ZeroDivisionError), keep_surroundings():
        fail_elsewhere(tmp_path)

    assert Path.cwd() == before


def test_a_stream_in_the_place_of_standard_error_is_taken_out(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    before = sys.stderr

    with keep_surroundings():
        monkeypatch.setattr(sys, "stderr", io.StringIO())

    assert sys.stderr is before
    assert "a plugin closed or replaced standard error" in caplog.text


@pytest.mark.parametrize("take", ["os.close(2)", "os.dup2(os.open(os.devnull, os.O_WRONLY), 2)", "sys.stderr.close()"])
def test_the_descriptor_of_standard_error_comes_back(take: str) -> None:
    code = (
        "import os, sys\nfrom gateway_core.process.plugin_guard import keep_surroundings\n"
        f"with keep_surroundings():\n    {take}\n"
        "os.write(2, b'still read')"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert "still read" in done.stderr


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


async def test_a_plugin_that_is_imported_in_a_thread_handles_signals_of_its_own() -> None:
    guard = HandlerGuard(asyncio.get_running_loop())
    received: list[int] = []
    before = signal.getsignal(signal.SIGWINCH)

    try:
        replaced = await asyncio.to_thread(
            signal.signal, signal.SIGWINCH, lambda number, _frame: received.append(number)
        )
        signal.raise_signal(signal.SIGWINCH)
        with pytest.raises(TypeError):
            await asyncio.to_thread(signal.signal, signal.SIGWINCH, "no handler")  # type: ignore[arg-type]  # on purpose
    finally:
        guard.release()
        signal.signal(signal.SIGWINCH, before)

    assert replaced is before
    assert received == [signal.SIGWINCH]
