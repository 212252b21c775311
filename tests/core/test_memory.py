from __future__ import annotations

import subprocess
import sys

import pytest

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
    from gateway_core import memory

    monkeypatch.setattr(memory, "_LIBRARY", "libc-that-is-not-there.so")

    memory.share_one_arena()
    memory.trim()
