from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from gateway_core.process.log_writer import LogWriter

PATIENCE = 30.0


class Pipe:
    """A pipe whose reader decides when it reads."""

    def __init__(self) -> None:
        self.reader, self.writer = os.pipe()

    def read_all(self) -> bytes:
        """Return everything up to the end, which comes when the writer's end is closed."""
        os.close(self.writer)
        self.writer = -1
        with open(self.reader, "rb", closefd=False) as stream:
            return stream.read()

    def close(self) -> None:
        os.close(self.reader)
        if self.writer >= 0:
            os.close(self.writer)


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    with closing(Pipe()) as made:
        yield made


def test_lines_are_written_in_their_order(pipe: Pipe) -> None:
    writer = LogWriter(pipe.writer)

    for number in range(1000):
        writer.put(f"{number}\n")

    assert writer.flush(PATIENCE)
    assert pipe.read_all().split() == [b"%d" % number for number in range(1000)]


def test_lines_for_which_there_was_no_thread_are_written_once_there_is_one(
    pipe: Pipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_more(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    writer = LogWriter(pipe.writer)
    with monkeypatch.context() as short:
        short.setattr("threading.Thread.start", no_more)
        writer.put("1\n")

    writer.put("2\n")

    assert writer.flush(PATIENCE)
    assert pipe.read_all().split() == [b"1", b"2"]


def test_a_reader_that_does_not_read_makes_no_caller_wait_and_what_is_too_much_is_dropped_and_counted(
    pipe: Pipe,
) -> None:
    writer = LogWriter(pipe.writer, most_bytes=100_000)
    writer.dropped_line = "dropped {}\n".format
    line = "x" * 999 + "\n"

    for _ in range(1000):
        writer.put(line)  # a pipe takes 64 KiB, and the queue 100,000 bytes

    assert not writer.flush(0.01)
    assert writer.dropped > 500
    reading = threading.Thread(target=lambda: found.append(pipe.read_all()))
    found: list[bytes] = []
    pipe_end, pipe.writer = pipe.writer, os.dup(pipe.writer)
    reading.start()
    assert writer.flush(PATIENCE)
    os.close(pipe_end)
    reading.join(PATIENCE)
    lines = found[0].splitlines()
    assert lines.count(b"x" * 999) == 1000 - writer.dropped
    assert sum(int(each.split()[1]) for each in lines if each.startswith(b"dropped")) == writer.dropped


def test_a_reader_that_is_gone_costs_the_lines_and_nothing_else(pipe: Pipe) -> None:
    writer = LogWriter(pipe.writer)
    os.close(pipe.reader)
    pipe.reader = os.dup(pipe.writer)

    writer.put("lost\n")
    assert writer.flush(PATIENCE)
    writer.put("lost as well\n")

    assert writer.flush(PATIENCE)
    assert writer.dropped == 2


def test_a_descriptor_that_does_not_block_is_waited_for(pipe: Pipe) -> None:
    os.set_blocking(pipe.writer, False)
    writer = LogWriter(pipe.writer)
    text = "y" * 300_000 + "\n"

    writer.put(text)
    found: list[bytes] = []
    pipe_end, pipe.writer = pipe.writer, os.dup(pipe.writer)
    reading = threading.Thread(target=lambda: found.append(pipe.read_all()))
    reading.start()

    assert writer.flush(PATIENCE)
    os.close(pipe_end)
    reading.join(PATIENCE)
    assert found == [text.encode()]


def test_a_child_writes_its_own_lines_and_not_those_that_wait_in_its_parent(pipe: Pipe) -> None:
    writer = LogWriter(pipe.writer)
    writer.put("parent\n")

    child = os.fork()
    if child == 0:
        writer.put("child\n")
        os._exit(0 if writer.flush(PATIENCE) else 1)
    _, status = os.waitpid(child, 0)
    writer.put("parent again\n")

    assert os.waitstatus_to_exitcode(status) == 0
    assert writer.flush(PATIENCE)
    assert sorted(pipe.read_all().splitlines()) == [b"child", b"parent", b"parent again"]


MANY_LINES = """
import sys
from gateway_core.process.log_writer import LogWriter
writer = LogWriter(1)
for _ in range(40):
    writer.put(sys.argv[1] * 9999 + "\\n")
sys.exit(0 if writer.flush(60) else 1)
"""


def test_long_lines_of_several_processes_never_interleave(pipe: Pipe) -> None:
    writing = [subprocess.Popen([sys.executable, "-c", MANY_LINES, name], stdout=pipe.writer) for name in "abc"]

    lines = pipe.read_all().splitlines()

    assert [process.wait(PATIENCE) for process in writing] == [0, 0, 0]
    assert sorted(set(lines)) == [b"a" * 9999, b"b" * 9999, b"c" * 9999]
    assert len(lines) == 120


def test_the_process_writes_what_waits_before_it_ends(pipe: Pipe) -> None:
    program = "from gateway_core.process.log_writer import LogWriter; LogWriter(1).put('last words\\n')"

    subprocess.run([sys.executable, "-c", program], stdout=pipe.writer, check=True)

    assert pipe.read_all() == b"last words\n"


def test_a_disk_that_is_full_costs_whole_lines_and_the_first_one_with_room_says_how_many(tmp_path: Path) -> None:
    program = """
import os, resource, sys
from gateway_core.process.log_writer import LogWriter
from gateway_core.shortages import recent_shortages
from gateway_core.clock import SystemClock
descriptor = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT)
writer = LogWriter(descriptor)
resource.setrlimit(resource.RLIMIT_FSIZE, (25, resource.RLIM_INFINITY))
for line in ("first line\\n", "second line\\n", "third line\\n"):
    writer.put(line)
    writer.flush(10)
assert writer.dropped == 1
assert recent_shortages(SystemClock().monotonic()) == ["lines of the gateway's log are lost: file too large"]
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
writer.put("fourth line\\n")
writer.flush(10)
assert writer.dropped == 1
"""
    path = tmp_path / "log"

    subprocess.run([sys.executable, "-c", program, str(path)], check=True, timeout=PATIENCE)

    assert path.read_text() == "first line\nsecond line\nfourth line\n1 lines were dropped\n"
