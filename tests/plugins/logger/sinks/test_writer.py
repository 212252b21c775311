from __future__ import annotations

import threading
from typing import Any

import pytest
from gateway_plugin_logger.sinks.stats import SinkStats
from gateway_plugin_logger.sinks.writer import LineWriter

ENDS_THREADS = pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")


class Paper:
    """A target that can be held up and torn."""

    def __init__(self) -> None:
        self.may_write = threading.Event()
        self.may_write.set()
        self.is_writing = threading.Event()
        self.written: list[bytes] = []
        self.failure: BaseException | None = None
        self.calls: list[str] = []

    def write(self, data: bytes) -> None:
        self.is_writing.set()
        self.may_write.wait()
        if self.failure is not None:
            raise self.failure
        self.written.append(data)

    def reopen(self) -> None:
        self.calls.append("reopen")

    def close(self) -> None:
        self.calls.append("close")

    @property
    def text(self) -> str:
        return b"".join(self.written).decode()


def make_writer(
    paper: Paper, stats: SinkStats, *, flush_interval: float = 60.0, max_pending: int = 1 << 20
) -> LineWriter:
    return LineWriter(paper, stats, flush_interval=flush_interval, max_pending=max_pending, name="paper")


def test_lines_are_gathered_and_written_together(counted: Any) -> None:
    paper = Paper()
    writer = make_writer(paper, counted.stats)

    for number in range(100):
        writer.extend([f"{number}\n"])
    assert writer.flush(30)

    assert paper.written == ["".join(f"{number}\n" for number in range(100)).encode()]
    assert counted.lines == 100
    writer.close(30)


def test_a_line_is_written_after_the_interval_without_being_asked(counted: Any) -> None:
    paper = Paper()
    writer = make_writer(paper, counted.stats, flush_interval=0.001)

    writer.extend(["a\n"])

    assert paper.is_writing.wait(30)
    writer.close(30)
    assert paper.text == "a\n"


def test_every_line_is_written_after_the_interval_and_not_only_the_first(counted: Any) -> None:
    paper = Paper()
    writer = make_writer(paper, counted.stats, flush_interval=0.0)

    for number in range(3):
        paper.is_writing.clear()
        writer.extend([f"{number}\n"])
        assert paper.is_writing.wait(30)
    writer.close(30)

    assert paper.text == "0\n1\n2\n"


def test_appending_never_waits_and_drops_what_is_too_much(counted: Any) -> None:
    paper = Paper()
    paper.may_write.clear()
    writer = make_writer(paper, counted.stats, flush_interval=0.0, max_pending=100)

    for _ in range(50):
        writer.extend(["0123456789"])
    stuck = not writer.flush(0.01)
    paper.may_write.set()
    writer.close(30)

    assert stuck
    assert counted.lines == 11  # the one that went over the limit is still taken
    assert counted.dropped("overflow") == 39
    assert len(paper.text) == 110


def test_what_could_not_be_written_is_counted_and_the_next_lines_are_written(counted: Any) -> None:
    paper = Paper()
    writer = make_writer(paper, counted.stats)

    paper.failure = OSError(28, "no space left")
    writer.extend(["lost\n"])
    assert writer.flush(30)
    paper.failure = None
    writer.extend(["kept\n"])
    writer.close(30)

    assert counted.dropped("write-error") == 1
    assert paper.text == "kept\n"


def test_a_failure_of_the_thread_is_logged_once_and_counted_and_the_next_lines_are_written(
    counted: Any, caplog: pytest.LogCaptureFixture
) -> None:
    paper = Paper()
    writer = make_writer(paper, counted.stats)

    paper.failure = RuntimeError("odd")
    for _ in range(3):
        writer.extend(["lost\n", "lost\n"])
        assert writer.flush(30)
    paper.failure = None
    writer.extend(["kept\n"])
    writer.close(30)

    assert counted.dropped("writer-failed") == 6
    assert counted.failures == 3
    said = [record.getMessage() for record in caplog.records if "begins again" in record.getMessage()]
    assert said == ["access log: the writer of sink failed and begins again: RuntimeError('odd')"]
    assert paper.text == "kept\n"


@ENDS_THREADS
def test_another_thread_takes_the_place_of_one_that_has_ended_and_what_it_had_is_counted(counted: Any) -> None:
    paper = Paper()
    writer = make_writer(paper, counted.stats, flush_interval=0.0)

    paper.failure = SystemExit()
    writer.extend(["lost\n"])
    writer._thread.join(30)
    paper.failure = None
    writer.extend(["kept\n"])
    assert writer.flush(30)
    written = paper.text
    writer.close(30)

    assert written == "kept\n"
    assert (counted.lines, counted.dropped("writer-failed"), counted.failures) == (1, 1, 1)
    assert paper.calls == ["close"]


@ENDS_THREADS
def test_what_waits_when_the_thread_has_ended_is_written_by_a_stop(counted: Any) -> None:
    paper = Paper()
    writer = make_writer(paper, counted.stats, flush_interval=0.0)
    paper.may_write.clear()
    paper.failure = SystemExit()

    writer.extend(["lost\n"])
    assert paper.is_writing.wait(30)
    writer.extend(["kept\n"])
    paper.may_write.set()
    writer._thread.join(30)
    paper.failure = None
    writer.close(30)

    assert paper.text == "kept\n"
    assert counted.dropped("writer-failed") == 1


def test_a_target_that_cannot_be_closed_or_reopened_costs_no_line(counted: Any) -> None:
    paper = Paper()

    def fail() -> None:
        raise RuntimeError

    paper.reopen = paper.close = fail  # type: ignore[method-assign]
    writer = make_writer(paper, counted.stats)

    writer.reopen()
    writer.extend(["line\n"])
    writer.close(30)

    assert paper.text == "line\n"
    assert counted.failures == 2


def test_closing_writes_the_last_lines_and_closes_the_target(counted: Any) -> None:
    paper = Paper()
    writer = make_writer(paper, counted.stats)

    writer.extend(["last\n"])
    writer.close(30)

    assert paper.text == "last\n"
    assert paper.calls == ["close"]


def test_closing_does_not_wait_for_ever_and_counts_what_is_lost(counted: Any) -> None:
    paper = Paper()
    paper.may_write.clear()
    writer = make_writer(paper, counted.stats, flush_interval=0.0)

    writer.extend(["under way\n"])
    assert paper.is_writing.wait(30)
    writer.extend(["waiting\n"])
    writer.close(0.01)

    assert counted.dropped("stop") == 2
    paper.may_write.set()


def test_reopening_comes_before_the_next_line(counted: Any) -> None:
    paper = Paper()
    order: list[str] = []
    paper.reopen = lambda: order.append("reopen")  # type: ignore[method-assign]
    paper.write = lambda data: order.append(data.decode())  # type: ignore[method-assign]
    writer = make_writer(paper, counted.stats)

    writer.reopen()
    writer.extend(["line\n"])
    writer.close(30)

    assert order == ["reopen", "line\n"]


@pytest.mark.parametrize("appenders", [1, 3])
def test_no_line_is_lost_or_torn_when_they_come_while_others_are_written(counted: Any, appenders: int) -> None:
    paper = Paper()
    writer = make_writer(paper, counted.stats, flush_interval=0.0, max_pending=1 << 30)

    def append(name: int) -> None:
        for number in range(5000):
            writer.extend([f"{name}-{number}\n"])

    threads = [threading.Thread(target=append, args=(name,)) for name in range(appenders)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    writer.close(30)

    lines = paper.text.splitlines()
    for name in range(appenders):
        assert [line for line in lines if line.startswith(f"{name}-")] == [f"{name}-{n}" for n in range(5000)]
