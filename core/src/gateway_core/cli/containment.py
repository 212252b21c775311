"""Run a command that imports plugins so that none of them can spoil its output or its exit status.

Importing a plugin runs its code: it may print into what another program reads as JSON, crash the process, or end it
with status 0, which a pipeline would take for "fine". So such a command runs in a child process:

* Its standard output is a descriptor of its own, which only `options.echo` writes to; what plugins print goes to
  standard error.
* It writes down which plugin it is about to import, and its exit status when it is done, into memory that is shared
  with its parent. A child that ends without a status has failed, and the parent names the plugin.
"""

from __future__ import annotations

import asyncio
import contextlib
import mmap
import os
import signal
import sys
from collections.abc import Callable
from typing import Final, NoReturn

import click

from gateway_core.cli.options import set_output
from gateway_core.packages.installed import Published, observe_imports

FAILED: Final = 1
_SIZE: Final = 4096
_NO_STATUS: Final = 255


def run_contained(run: Callable[[], int]) -> int:
    """Run a function in a child process; return its exit status.

    Needs a process with one thread.
    """
    with mmap.mmap(-1, _SIZE) as shared:
        shared[0] = _NO_STATUS
        sys.stdout.flush()
        sys.stderr.flush()
        # Ctrl-C reaches both processes; the child ends by it. An interruption of the wait could lose how it ended.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        pid = os.fork()
        if pid == 0:
            _run(run, shared)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        _forget_interrupts()
        if shared[0] != _NO_STATUS:
            return shared[0]
        plugin = bytes(shared[1:]).partition(b"\0")[0].decode(errors="replace")
    how = f"by {signal.Signals(-status).name}" if status < 0 else f"with status {status}"
    where = f"while {plugin} was imported" if plugin else "before it was done"
    click.echo(f"the command ended {how} {where}: nothing is known of the result", err=True)
    return FAILED


def _forget_interrupts() -> None:
    """Drop those that came while they were blocked, and take them again."""
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    signal.signal(signal.SIGINT, handler)


def _run(run: Callable[[], int], shared: mmap.mmap) -> NoReturn:
    plugin = ""

    def note(published: Published) -> None:
        nonlocal plugin
        plugin = f"plugin {published.name!r} of {published.distribution} {published.version}"
        shared[1:] = plugin.encode()[: _SIZE - 2].ljust(_SIZE - 1, b"\0")

    status = FAILED
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        asyncio.set_event_loop(None)  # as in the thread in which a gateway imports plugins, for those that look for one
        observe_imports(note)
        output = os.fdopen(os.dup(1), "w", encoding="utf-8", errors="replace")
        set_output(output)
        os.dup2(2, 1)
        status = run()
        with contextlib.suppress(OSError):  # whatever it would not take, `options.echo` has reported
            output.flush()
        shared[0] = status
    except BrokenPipeError:  # the reader of the output has closed it
        shared[0] = status
    except KeyboardInterrupt:
        shared[0] = status = 128 + signal.SIGINT
    except BaseException:  # noqa: BLE001 - the top of this process
        shared[0] = FAILED
        sys.excepthook(*sys.exc_info())
        if plugin:
            print(f"plugins were imported, the last one was {plugin}: they may be the cause", file=sys.stderr)
    finally:
        # Neither threads nor functions that plugins left for the end of the interpreter run any more.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
