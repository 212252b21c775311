"""Whether the program that is installed now can begin, which is asked before it takes the place of the one that runs.

execve leaves no way back: a program that ends while it is imported, as a half-installed one does, would take the
gateway with it. So it is begun once more beside, by the same command line, and ends as soon as it has imported all that
it serves with.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from gateway_core.config.sources import ConfigRoot, SourceUrl
from gateway_core.errors import GatewayError
from gateway_core.process.child import scratch_file, start_process, wait_for_exit
from gateway_core.process.model import VARIABLE
from gateway_core.process.patience import patiently
from gateway_core.process.replacement import exit_text
from gateway_core.tasks import spawn

TIMEOUT: Final = 60.0
"""Seconds in which a program has to begin; on a machine that is busy it takes some."""

_TRIAL: Final = "trial"
"""Value of the variable that otherwise names what an earlier program left."""
_WHAT: Final = "the program that is installed now"
_PARTS: Final = ("in_process", "supervisor", "template", "watcher", "worker")
_MOST: Final = 4000
"""Bytes from the end of what it printed, whose last line says why it ended."""


def program_arguments(roots: Sequence[ConfigRoot], state: Path, *, last_good: bool = False) -> list[str]:
    """Return the command line that starts this program again."""
    arguments = [sys.executable, "-m", "gateway_core.cli", "run", "--state", str(state)]
    arguments += ["--last-good"] if last_good else []
    for root in roots:
        arguments += ["-c", root.text if isinstance(root, SourceUrl) else str(root)]
    return arguments


async def try_program(arguments: Sequence[str], *, patience: float = TIMEOUT) -> None:
    """Begin a program that is to take over, and wait for its end.

    :param patience: seconds to wait.
    :raises GatewayError: it does not begin.
    """
    try:
        output = scratch_file()
    except OSError as error:
        raise GatewayError(f"{_WHAT} cannot be tried: {error}") from error
    with output:
        try:
            process = await start_process(arguments, (), output, {**os.environ, VARIABLE: _TRIAL})
        except OSError as error:
            raise GatewayError(f"{_WHAT} cannot be tried: {error}") from error
        status = None
        try:
            waiting = wait_for_exit(process)
            status = await patiently(waiting, process.pid, patience, what=f"{_WHAT}, which is tried")
        except TimeoutError:
            raise GatewayError(f"{_WHAT} did not begin within {patience:g} s") from None
        finally:
            if status is None:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(process.pid, signal.SIGKILL)
                spawn(wait_for_exit(process), name="reap a program that did not begin")
        if status != 0:
            output.seek(max(output.seek(0, os.SEEK_END) - _MOST, 0))
            last = output.read().decode(errors="replace").strip().rpartition("\n")[2] or "it printed nothing"
            raise GatewayError(f"{_WHAT} does not begin ({exit_text(status)}): {last}")


def is_trial() -> bool:
    """Whether this program is to begin and end."""
    return os.environ.get(VARIABLE) == _TRIAL


def import_parts() -> None:
    """Import what a program serves with."""
    for part in _PARTS:
        importlib.import_module(f"gateway_core.process.{part}")
