from __future__ import annotations

import gc
import subprocess
import sys
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
    yield
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
