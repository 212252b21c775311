"""The validating process: it has imported the gateway, and does each job in a child of its own.

So a job takes no second to begin, and still sees the plugins that are installed when it comes: this process imports
none of them, and what a child imported ends with it.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import sys
import tempfile
import traceback
from collections.abc import Callable
from typing import BinaryIO, NoReturn, cast

from gateway_core.reload.validation import END, read_frame

Work = Callable[[bytes, BinaryIO], int]
"""Does a job, writes what came of it, and returns an exit status."""

_MOST_TEXT = 16_384


def serve_jobs(work: Work, jobs: BinaryIO, out: BinaryIO) -> None:
    """Do one job after the other until there are no more. Needs a process with one thread."""
    gc.freeze()  # a collection in a child would copy all that it shares with this process
    while (job := read_frame(jobs)) is not None:
        with _scratch_file() as said:
            pid = os.fork()
            if pid == 0:
                _do(work, job, out, said.fileno())
            _, status = os.waitpid(pid, 0)
            said.seek(0)
            text = said.read()[-_MOST_TEXT:].decode(errors="replace")
        end = {"status": os.waitstatus_to_exitcode(status), "said": text}
        out.write(END + json.dumps(end).encode() + b"\n")
        out.flush()


def _scratch_file() -> BinaryIO:
    """Return a file that no file system is needed for, where the system has such files."""
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("gateway-job"), "w+b")
    return cast("BinaryIO", tempfile.TemporaryFile())


def _do(work: Work, job: bytes, out: BinaryIO, said: int) -> NoReturn:
    """Do a job in this child and end."""
    status = 1
    try:
        # Whatever plugins print while they are imported must not get between the lines of the verdict.
        os.dup2(said, 1)
        os.dup2(said, 2)
        importlib.invalidate_caches()
        status = work(job, out)
        out.flush()
        sys.stdout.flush()
    except BaseException:  # noqa: BLE001  # the top of this process
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)
