from __future__ import annotations

from pathlib import Path
from typing import Any

from gateway_plugin_logger.config import FileSink, Rotation, StderrSink, StdoutSink
from gateway_plugin_logger.sinks.destinations import Destinations, describe


def test_one_file_has_one_writer_however_its_path_is_written(tmp_path: Path, counted: Any) -> None:
    open_ = Destinations()
    (tmp_path / "logs").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "logs")

    writers = [
        open_.acquire(
            FileSink(type="file", path=str(tmp_path / folder / "a.log")), lambda: counted.stats, counted.clock
        )
        for folder in ("logs", "link", "logs/../logs")
    ]

    assert len(set(map(id, writers))) == 1
    for writer in writers:
        writer.extend(["x\n"])
        open_.release(writer, 30)
    assert (tmp_path / "logs" / "a.log").read_text() == "x\nx\nx\n"


def test_the_latest_options_count(tmp_path: Path, counted: Any) -> None:
    open_ = Destinations()
    path = str(tmp_path / "a.log")
    first = open_.acquire(FileSink(type="file", path=path), lambda: counted.stats, counted.clock)

    second = open_.acquire(
        FileSink(type="file", path=path, rotate=Rotation(max_size=1)), lambda: counted.stats, counted.clock
    )
    first.extend(["1\n"])
    first.flush(30)
    first.extend(["2\n"])
    open_.release(first, 30)
    open_.release(second, 30)

    assert (tmp_path / "a.log").read_text() == "2\n"


def test_a_file_that_was_closed_is_opened_again(tmp_path: Path, counted: Any) -> None:
    open_ = Destinations()
    sink = FileSink(type="file", path=str(tmp_path / "a.log"))

    for line in ("1\n", "2\n"):
        writer = open_.acquire(sink, lambda: counted.stats, counted.clock)
        writer.extend([line])
        open_.release(writer, 30)

    assert (tmp_path / "a.log").read_text() == "1\n2\n"


def test_all_that_is_open_is_flushed_at_exit_after_the_last_lines_are_made(tmp_path: Path, counted: Any) -> None:
    open_ = Destinations()
    writer = open_.acquire(FileSink(type="file", path=str(tmp_path / "a.log")), lambda: counted.stats, counted.clock)
    make_lines = lambda: writer.extend(["last\n"])  # noqa: E731

    open_.before_exit(make_lines)
    open_.flush_all()
    open_.no_more_before_exit(make_lines)
    open_.flush_all()

    assert (tmp_path / "a.log").read_text() == "last\n"
    open_.release(writer, 30)


def test_sinks_have_names_for_metrics() -> None:
    assert describe(FileSink(type="file", path="logs/a.log")) == "file:logs/a.log"
    assert describe(StdoutSink(type="stdout")) == "stdout"
    assert describe(StderrSink(type="stderr")) == "stderr"
