from __future__ import annotations

import fcntl
import gzip
import multiprocessing
import os
import stat
import threading
from pathlib import Path
from typing import Any

import pytest
from gateway_plugin_logger.config import Rotation
from gateway_plugin_logger.sinks import files
from gateway_plugin_logger.sinks.files import FileTarget


def make_target(path: Path, clock: Any, **rotation: object) -> FileTarget:
    return FileTarget(path, 0o640, Rotation.model_validate(rotation) if rotation else None, clock)


def asides(path: Path) -> list[str]:
    return sorted(other.name.removeprefix(path.name) for other in path.parent.iterdir() if other != path)


def test_lines_are_appended_to_what_is_there(tmp_path: Path, clock: Any) -> None:
    path = tmp_path / "a.log"
    path.write_text("old\n")
    target = make_target(path, clock)

    target.write(b"new\n")
    target.close()

    assert path.read_text() == "old\nnew\n"


def test_a_new_file_has_the_configured_permissions(tmp_path: Path, clock: Any) -> None:
    path = tmp_path / "a.log"

    make_target(path, clock).close()

    assert stat.S_IMODE(path.stat().st_mode) == 0o640


@pytest.mark.parametrize("is_removed", [True, False])
def test_a_file_that_was_moved_or_removed_is_opened_anew_with_the_next_line(
    tmp_path: Path, clock: Any, is_removed: bool
) -> None:
    path = tmp_path / "a.log"
    target = make_target(path, clock)
    target.write(b"1\n")
    path.unlink() if is_removed else path.rename(tmp_path / "moved")

    target.write(b"2\n")
    target.close()

    assert path.read_text() == "2\n"


def test_a_file_that_is_large_is_put_aside_and_old_ones_go(tmp_path: Path, clock: Any) -> None:
    path = tmp_path / "a.log"
    target = make_target(path, clock, max_size=4, keep=2)

    for number in range(5):
        clock.advance(1)
        target.write(f"{number}{number}{number}\n".encode())
    target.close()

    assert path.read_text() == "444\n"
    names = asides(path)
    assert [(tmp_path / f"a.log{name}").read_text() for name in names] == ["222\n", "333\n"]


def test_a_file_of_yesterday_is_put_aside_even_by_a_new_process(tmp_path: Path, clock: Any) -> None:
    path = tmp_path / "a.log"
    path.write_text("yesterday\n")
    os.utime(path, (clock.wall() - 86_400, clock.wall() - 86_400))
    target = make_target(path, clock, every="1d")

    target.write(b"today\n")
    target.close()

    assert path.read_text() == "today\n"
    assert len(asides(path)) == 1


def test_all_but_the_newest_old_file_are_compressed(tmp_path: Path, clock: Any) -> None:
    path = tmp_path / "a.log"
    target = make_target(path, clock, max_size=1, compress=True)

    for number in range(3):
        clock.advance(1)
        target.write(f"{number}\n".encode())
        target.close()  # waits for the compression
        target.reopen()
    target.close()

    first, second = asides(path)
    assert first.endswith(".gz")
    assert gzip.decompress((tmp_path / f"a.log{first}").read_bytes()) == b"0\n"
    assert (tmp_path / f"a.log{second}").read_text() == "1\n"


def test_after_an_error_in_the_middle_of_a_line_the_next_line_begins_anew(
    tmp_path: Path, clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.log"
    target = make_target(path, clock)
    write, taken = os.write, [2]

    def full_disk(descriptor: int, data: bytes) -> int:
        if not taken:
            raise OSError(28, "no space left on device")
        return write(descriptor, data[: taken.pop()])

    with monkeypatch.context() as patched:
        patched.setattr("gateway_plugin_logger.sinks.streams.os.write", full_disk)
        with pytest.raises(OSError, match="no space left"):
            target.write(b"torn\n")
    target.write(b"whole\n")
    target.close()

    assert path.read_text() == "to\nwhole\n"


def test_a_directory_that_is_gone_is_an_error_until_it_is_back(tmp_path: Path, clock: Any) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    target = make_target(folder / "a.log", clock)
    (folder / "a.log").unlink()
    folder.rmdir()

    target.reopen()
    with pytest.raises(FileNotFoundError):
        target.write(b"lost\n")
    folder.mkdir()
    target.write(b"kept\n")
    target.close()

    assert (folder / "a.log").read_text() == "kept\n"


def test_a_process_that_waited_for_its_turn_to_rotate_finds_it_done(
    tmp_path: Path, clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.log"
    tried, lock = threading.Event(), fcntl.flock

    def note(*arguments: Any) -> None:
        try:
            lock(*arguments)
        finally:
            if threading.current_thread() is not threading.main_thread():
                tried.set()

    monkeypatch.setattr(fcntl, "flock", note)
    monkeypatch.setattr(files, "_LOCK_TRIES", 10_000)
    path.write_text("old\n")
    target = make_target(path, clock, max_size=1)

    with path.open("rb") as other:  # another process holds the lock, and rotates meanwhile
        fcntl.flock(other, fcntl.LOCK_EX)
        thread = threading.Thread(target=target.write, args=(b"ours\n",))
        thread.start()
        tried.wait(30)
        path.rename(tmp_path / "a.log.20261122T000000Z")
        path.write_text("theirs\n")
    thread.join(30)
    target.close()

    assert path.read_text() == "theirs\nours\n"
    assert asides(path) == [".20261122T000000Z"]


def test_a_lock_that_another_program_keeps_holds_up_no_line(
    tmp_path: Path, clock: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(files, "_LOCK_PAUSE", 0)
    path = tmp_path / "a.log"
    path.write_text("old\n")
    target = make_target(path, clock, max_size=1)

    with path.open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_SH)
        target.write(b"one\n")
        target.write(b"two\n")
    clock.advance(61)
    target.write(b"three\n")
    target.close()

    assert everything(tmp_path) == ["old", "one", "three", "two"]
    assert path.read_text() == "three\n"
    assert [each for each in caplog.messages if "another process has locked it" in each] != []


class _Clock:
    def monotonic(self) -> float:
        return 0.0

    def wall(self) -> float:
        return 1_795_389_621.0


def _write_many(path: Path, name: str) -> None:
    target = FileTarget(path, 0o640, Rotation.model_validate({"max_size": 2000, "keep": 0}), _Clock())
    for number in range(400):
        target.write(f"{name}-{number}\n".encode())
    target.close()


def test_processes_that_share_a_rotated_file_lose_and_tear_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_write_many, args=(path, name)) for name in "abc"]
    for process in processes:
        process.start()
    for process in processes:
        process.join(50)

    lines = [line for file in tmp_path.iterdir() for line in file.read_text().splitlines()]

    assert sorted(lines) == sorted(f"{name}-{number}" for name in "abc" for number in range(400))
    assert len(list(tmp_path.iterdir())) > 2


# --- only plain files are put aside ----------------------------------------------------------------------------------


def test_a_link_is_written_to_and_never_put_aside(tmp_path: Path, clock: Any, caplog: pytest.LogCaptureFixture) -> None:
    read, write = os.pipe()
    file, path = tmp_path / "real.log", tmp_path / "a.log"
    for leads_to in (f"/proc/self/fd/{write}", "/dev/null", str(file)):
        path.symlink_to(leads_to)
        target = make_target(path, clock, max_size=1)
        for line in (b"1\n", b"2\n", b"3\n"):
            target.write(line)
        target.close()
        assert path.is_symlink()
        assert str(path.readlink()) == leads_to
        path.unlink()

    assert os.read(read, 100) == b"1\n2\n3\n"
    assert file.read_text() == "1\n2\n3\n"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["real.log"]
    assert caplog.text.count("never put aside") == 3


def test_a_pipe_is_opened_without_a_reader_and_never_put_aside(tmp_path: Path, clock: Any) -> None:
    path = tmp_path / "a.fifo"
    os.mkfifo(path)
    target = make_target(path, clock, max_size=1, every="1d")
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)

    target.write(b"1\n")
    clock.advance(100_000)
    target.write(b"2\n")

    assert os.read(reader, 100) == b"1\n2\n"
    assert stat.S_ISFIFO(path.stat().st_mode)
    target.close()


# --- lines come before order -----------------------------------------------------------------------------------------


def everything(folder: Path) -> list[str]:
    lines = [line for path in folder.rglob("*") if path.is_file() for line in path.read_text().splitlines()]
    return sorted(line for line in lines if line)


@pytest.mark.parametrize("step", ["rename", "iterdir", "unlink", "open"])
@pytest.mark.parametrize("failure", [OSError(28, "no space left"), PermissionError(13, "denied"), OSError(16, "busy")])
def test_whatever_fails_while_a_file_is_put_aside_loses_no_line(
    tmp_path: Path,
    clock: Any,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    step: str,
    failure: OSError,
) -> None:
    path = tmp_path / "a.log"
    target = make_target(path, clock, max_size=4, keep=50)
    target.write(b"0000\n")

    def fail(*_: object, **__: object) -> Any:
        raise failure

    with monkeypatch.context() as broken:
        broken.setattr(os if step in {"open", "rename"} else Path, step, fail)
        for number in range(1, 6):
            target.write(f"{number}{number}{number}{number}\n".encode())
            clock.advance(1)
    clock.advance(100)
    for number in range(6, 9):
        target.write(f"{number}{number}{number}{number}\n".encode())
    target.close()

    assert everything(tmp_path) == [f"{number}" * 4 for number in range(9)]
    assert len([each for each in caplog.messages if "cannot be" in each]) <= 2  # once, not for each line
    assert len(asides(path)) >= 2  # and it went on when it could


def test_a_file_that_cannot_be_opened_again_is_written_to_on(
    tmp_path: Path, clock: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path, moved = tmp_path / "a.log", tmp_path / "a.log.1"
    target = make_target(path, clock)
    path.rename(moved)

    with monkeypatch.context() as broken:
        broken.setattr(os, "open", lambda *_: (_ for _ in ()).throw(PermissionError(13, "denied")))
        target.reopen()
        for line in (b"1\n", b"2\n"):
            target.write(line)
    target.write(b"3\n")
    target.close()

    assert moved.read_text() == "1\n2\n"
    assert path.read_text() == "3\n"
    assert caplog.text.count("cannot be opened") == 1


def test_what_lasts_is_logged_once_a_minute_and_counted_each_time(
    tmp_path: Path, clock: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "a.log"
    troubles: list[str] = []
    target = FileTarget(path, 0o640, None, clock, count_trouble=troubles.append)
    path.rename(tmp_path / "moved")

    monkeypatch.setattr(os, "open", lambda *_: (_ for _ in ()).throw(OSError(28, "no space left")))
    for _ in range(5):
        clock.advance(20)
        target.write(b"1\n")
    target.close()

    assert troubles == ["open"] * 5
    assert [each.levelname for each in caplog.records] == ["ERROR"] * 2
    assert "no space left" in caplog.messages[1]


def test_a_file_that_cannot_be_compressed_stays_and_is_told_of(
    tmp_path: Path, clock: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "a.log"
    troubles: list[str] = []
    rotation = Rotation.model_validate({"max_size": 1, "compress": True})
    target = FileTarget(path, 0o640, rotation, clock, count_trouble=troubles.append)
    monkeypatch.setattr(gzip, "open", lambda *_, **__: (_ for _ in ()).throw(OSError(28, "no space left")))

    for number in range(3):
        clock.advance(1)
        target.write(f"{number}\n".encode())
    target.close()

    assert everything(tmp_path) == ["0", "1", "2"]
    assert troubles == ["compress"]
    assert "cannot be compressed" in caplog.text


def test_lines_without_any_file_are_an_error_until_the_directory_is_back(tmp_path: Path, clock: Any) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    path = folder / "a.log"
    target = make_target(path, clock, max_size=1)
    path.unlink()
    folder.rmdir()

    with pytest.raises(FileNotFoundError):
        target.write(b"lost\n")
    folder.mkdir()
    target.write(b"kept\n")
    target.close()

    assert path.read_text() == "kept\n"


def test_the_signal_opens_what_stands_at_the_path_by_then(tmp_path: Path, clock: Any) -> None:
    path = tmp_path / "a.log"
    target = make_target(path, clock)
    target.write(b"1\n")
    path.rename(tmp_path / "a.log.1")
    path.write_text("")

    target.reopen()
    target.write(b"2\n")
    target.close()

    assert (tmp_path / "a.log.1").read_text() == "1\n"
    assert path.read_text() == "2\n"
