"""Forks interpreters that have imported the gateway, at the other end of a socket (run by `tests.commands.start`).

A start of ``python -m gateway_core.cli`` takes most of a second of CPU for imports, and tests start hundreds. A job is
one message with its descriptors; its own socket gets the number of its process and, at its end, its status.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import json
import os
import runpy
import select
import signal
import site
import socket
import sys
import sysconfig
import threading
import traceback
from pathlib import Path
from typing import Final, NamedTuple


class Job(NamedTuple):
    """A command to run, in a process of its own."""

    module: str
    arguments: list[str]
    environ: dict[str, str]
    directory: str
    inside: str | None
    """The virtual environment whose packages it has as well."""
    descriptors: list[int]
    """What are to be 0, 1 and 2."""


def serve(control: socket.socket) -> Job:
    """Fork a process for each job until the other side closes; return in each, with its job."""
    waiting = select.poll()
    waiting.register(control, select.POLLIN)
    running: dict[int, tuple[int, socket.socket]] = {}
    while True:
        for descriptor, _ in waiting.poll():
            if descriptor in running:
                waiting.unregister(descriptor)
                os.close(descriptor)
                pid, reported = running.pop(descriptor)
                _, status = os.waitpid(pid, 0)
                _report(reported, os.waitstatus_to_exitcode(status))
                reported.close()
                continue
            data, descriptors, _, _ = socket.recv_fds(control, 4_000_000, 4)
            if not data:
                sys.exit()
            reported = socket.socket(fileno=descriptors.pop())
            pid = os.fork()
            if pid == 0:
                for each, (_, other) in running.items():
                    os.close(each)
                    other.close()
                reported.close()
                control.close()
                return Job(**json.loads(data), descriptors=descriptors)
            for each in descriptors:
                os.close(each)
            ended = os.pidfd_open(pid)
            running[ended] = pid, reported
            waiting.register(ended, select.POLLIN)
            _report(reported, pid)


def _report(sock: socket.socket, number: int) -> None:
    with contextlib.suppress(OSError):  # the test may be over
        sock.send(str(number).encode())


def become(job: Job) -> None:
    """Make this process what a new interpreter would be."""
    for number, descriptor in enumerate(job.descriptors):
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.environ.clear()
    os.environ.update(job.environ)
    os.chdir(job.directory)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    folders = [each for each in job.environ.get("PYTHONPATH", "").split(os.pathsep) if each]
    sys.path[:0] = dict.fromkeys(str(Path(each).absolute()) for each in (".", *folders))
    sys.argv = ["", *job.arguments]
    if job.inside is not None:
        enter(Path(job.inside))


def enter(folder: Path) -> None:
    """Have the packages of a virtual environment before those of the tests, as its interpreter would."""
    sys.executable = str(folder / "bin" / "python")
    sys.prefix = sys.exec_prefix = str(folder)
    known = len(sys.path)
    for packages in folder.glob("lib/python*/site-packages"):
        site.addsitedir(str(packages))
    added = sys.path[known:]
    del sys.path[known:]
    at = sys.path.index(sysconfig.get_path("purelib"))
    sys.path[at:at] = added


_PREPARED: Final = (
    "gateway_core.cli",  # before pydantic, as it sets what that reads
    "gateway_core.process.composition",
    "gateway_core.process.in_process",
    "gateway_core.process.supervisor",
    "gateway_core.process.worker",
    "gateway_core.admin.server",
    "anyio._backends._asyncio",
)


def prepare() -> None:
    """Import what commands and gateways do, and no plugin."""
    for name in _PREPARED:
        importlib.import_module(name)
    from gateway_core.process import validator

    validator.warm_up()
    validator._warm_up_for_changes()  # as each gateway's validator would
    gc.collect()
    gc.freeze()  # a collection in what is forked would copy all that it shares


def status_of(job: Job) -> int:
    """Run a job as an interpreter does, and return its exit status.

    What an interpreter does at its end is done, apart from clearing what was imported: that would copy all of it.
    """
    status = 0
    try:
        runpy.run_module(job.module, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
        if status and not isinstance(end.code, int):
            print(end.code, file=sys.stderr)
    except BaseException:  # noqa: BLE001  # the top of this process
        traceback.print_exc()
        status = 1
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
        sys.stderr.flush()
    return status & 0xFF


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the end of the tests ends this
    sys.path.pop(0)
    control = socket.socket(fileno=int(sys.argv[1]))
    prepare()
    job = serve(control)
    become(job)
    os._exit(status_of(job))
