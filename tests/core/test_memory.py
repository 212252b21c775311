from __future__ import annotations

import gc
import inspect
import subprocess
import sys
import threading
import weakref
from collections.abc import Iterator

import pytest
from gateway_core import memory

SERVING = """
import sys
import gateway_core.process.{module}
print([name for name in ("yaml", "jsonschema", "referencing", "gateway_core.config.load") if name in sys.modules])
"""


@pytest.mark.parametrize("module", ["worker", "in_process"])
def test_a_process_that_serves_does_without_what_validates(module: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SERVING.format(module=module)], capture_output=True, text=True, check=False
    )

    assert done.stdout == "[]\n", done.stderr


THREADS = """
import threading
from gateway_core import memory
memory.share_one_arena()
for _ in range(4):
    thread = threading.Thread(target=lambda: bytearray(100_000))
    thread.start()
    thread.join()
memory.trim()
print("fine")
"""


def test_what_is_asked_of_the_c_library_does_no_harm() -> None:
    done = subprocess.run([sys.executable, "-c", THREADS], capture_output=True, text=True, check=False)

    assert done.stdout == "fine\n", done.stderr


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_LIBRARY", "libc-that-is-not-there.so")

    memory.share_one_arena()
    memory.trim()


@pytest.fixture(autouse=True)
def collector_is_restored() -> Iterator[None]:
    thresholds = gc.get_threshold()
    yield
    gc.set_threshold(*thresholds)
    gc.enable()


def test_rests_while_a_snapshot_is_made_and_looks_at_it_no_more() -> None:
    memory.pause_collector()
    assert not gc.isenabled()
    kept = [[number] for number in range(1000)]

    memory.freeze()

    assert gc.isenabled()
    assert not any(each is kept for each in gc.get_objects())


def test_goes_on_after_a_failure() -> None:
    memory.pause_collector()

    memory.resume_collector()

    assert gc.isenabled()


def test_what_starting_left_behind_is_let_go_of() -> None:
    class Left:
        pass

    left = Left()
    left.itself = left  # type: ignore[attr-defined]
    gone = weakref.ref(left)
    gc.disable()
    del left

    memory.tidy()

    assert gone() is None


class Cyclic:
    def __init__(self) -> None:
        self.itself = self


def test_what_a_reload_left_behind_in_cycles_is_collected_before_the_rest_is_frozen() -> None:
    memory.pause_collector()
    left = weakref.ref(Cyclic())

    memory.freeze()

    assert left() is None


def test_requests_in_progress_are_no_reason_to_collect() -> None:
    memory.freeze()
    gc.collect()
    before = gc.get_stats()[0]["collections"]

    in_progress = [[each] for each in range(3_000)]  # objects of some hundred requests

    assert len(in_progress) == 3_000
    assert gc.get_stats()[0]["collections"] == before


def test_collector_is_off_inside_and_as_before_outside() -> None:
    with memory.collector_paused():
        assert not gc.isenabled()
    assert gc.isenabled()


def test_collector_is_back_after_an_error() -> None:
    with pytest.raises(ValueError, match="x"), memory.collector_paused():
        raise ValueError("x")
    assert gc.isenabled()


def test_collector_that_was_off_stays_off() -> None:
    gc.disable()
    try:
        with memory.collector_paused():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_no_garbage_is_collected_while_the_frame_of_a_thread_is_looked_for() -> None:
    lines, first = inspect.getsourcelines(memory.frame_of)
    looking = first + next(number for number, line in enumerate(lines) if "sys._current_frames()" in line)
    within: list[int] = []

    def note(phase: str, _info: dict[str, int]) -> None:
        caller = sys._getframe(1)
        if phase == "start" and caller.f_code is memory.frame_of.__code__ and caller.f_lineno == looking:
            within.append(looking)

    stopped = threading.Event()
    threads = [threading.Thread(target=stopped.wait) for _ in range(20)]
    for thread in threads:
        thread.start()
    thresholds = gc.get_threshold()
    gc.callbacks.append(note)
    gc.set_threshold(1, 1, 1)
    try:
        frames = [memory.frame_of(thread.ident or 0) for thread in threads]
        assert gc.isenabled()
    finally:
        gc.set_threshold(*thresholds)
        gc.callbacks.remove(note)
        stopped.set()
        for thread in threads:
            thread.join()
    assert all(frames)
    assert memory.frame_of(threads[0].ident or 0) is None
    assert not within
