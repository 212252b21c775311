from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from gateway_plugin_static.body import PIECE, ChangedError, FileBody, OpenFile, length_of


@pytest.fixture
def data(tmp_path: Path) -> bytes:
    data = os.urandom(3 * PIECE + 7)
    (tmp_path / "file").write_bytes(data)
    return data


def opened(path: Path) -> tuple[OpenFile, int]:
    descriptor = os.open(path, os.O_RDONLY)
    return OpenFile(descriptor, os.fstat(descriptor)), descriptor


def is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


async def test_parts_and_texts_come_in_order_and_the_file_is_closed(tmp_path: Path, data: bytes) -> None:
    file, descriptor = opened(tmp_path / "file")
    parts: list[Any] = [b"head", (5, 2 * PIECE), b"between", (0, 1)]
    with ThreadPoolExecutor(1) as threads:
        pieces = [piece async for piece in FileBody(file, parts, threads, pytest.fail)]

    assert b"".join(pieces) == b"head" + data[5 : 2 * PIECE] + b"between" + data[:1]
    assert length_of(parts) == sum(map(len, pieces))
    assert max(map(len, pieces)) <= PIECE
    assert not is_open(descriptor)


@pytest.mark.parametrize("change", ["shrink", "grow", "overwrite"])
async def test_a_file_that_changes_is_cut_off_before_a_byte_of_it(tmp_path: Path, data: bytes, change: str) -> None:
    file, descriptor = opened(tmp_path / "file")
    os.utime(tmp_path / "file", ns=(1, os.fstat(descriptor).st_mtime_ns))
    cuts: list[bool] = []
    with ThreadPoolExecutor(1) as threads:
        body = FileBody(file, [(0, len(data))], threads, lambda: cuts.append(True))
        received = await anext(body)
        with (tmp_path / "file").open("r+b") as writer:
            writer.truncate(PIECE + 10) if change == "shrink" else None
            writer.seek(0, os.SEEK_END if change == "grow" else os.SEEK_SET)
            writer.write(b"") if change == "shrink" else writer.write(b"x")
        os.utime(tmp_path / "file")

        with pytest.raises(ChangedError):
            await anext(body)
        await body.aclose()

    assert received == data[:PIECE]
    assert cuts == [True]
    assert not is_open(descriptor)


async def test_a_file_that_another_is_renamed_over_is_sent_to_its_end(tmp_path: Path, data: bytes) -> None:
    file, _ = opened(tmp_path / "file")
    with ThreadPoolExecutor(1) as threads:
        body = FileBody(file, [(0, len(data))], threads, pytest.fail)
        received = [await anext(body)]
        (tmp_path / "new").write_bytes(b"new")
        (tmp_path / "new").replace(tmp_path / "file")
        received += [piece async for piece in body]

    assert b"".join(received) == data


@pytest.mark.parametrize("error", [BlockingIOError(), OSError(95, "not supported")])
async def test_what_is_not_in_memory_is_read_by_a_thread(
    tmp_path: Path, data: bytes, error: OSError, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> int:
        raise error

    file, _ = opened(tmp_path / "file")
    monkeypatch.setattr(os, "preadv", refuse)
    with ThreadPoolExecutor(1) as threads:
        assert file.read_cached(0, 10) == b""
        assert b"".join([piece async for piece in FileBody(file, [(0, len(data))], threads, pytest.fail)]) == data


async def test_a_part_that_is_in_memory_is_sent_alone(
    tmp_path: Path, data: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.preadv
    file, _ = opened(tmp_path / "file")
    monkeypatch.setattr(os, "preadv", lambda fd, buffers, *rest: real(fd, [memoryview(buffers[0])[:1000]], *rest))
    with ThreadPoolExecutor(1) as threads:
        assert b"".join([piece async for piece in FileBody(file, [(0, len(data))], threads, pytest.fail)]) == data


async def test_a_body_without_a_file_is_empty(tmp_path: Path) -> None:
    with ThreadPoolExecutor(1) as threads:
        assert [piece async for piece in FileBody(None, (), threads, pytest.fail)] == []


async def test_a_file_is_closed_after_the_thread_that_reads_it(tmp_path: Path, data: bytes) -> None:
    file, descriptor = opened(tmp_path / "file")
    release = threading.Event()
    with ThreadPoolExecutor(1) as threads:
        threads.submit(release.wait, 30)
        file._job = threads.submit(file.read_now, 0, 10)
        file.close()
        assert is_open(descriptor)
        release.set()
        assert file._job.result() == data[:10]
    assert not is_open(descriptor)
    file.close()


def test_a_file_that_nobody_closes_is_closed_with_its_object(tmp_path: Path, data: bytes) -> None:
    file, descriptor = opened(tmp_path / "file")

    assert file.read_now(0, len(data)) == data
    del file

    assert not is_open(descriptor)
