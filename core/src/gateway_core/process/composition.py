"""Where all parts are put together: ``gateway run``."""

from __future__ import annotations

import asyncio
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from gateway_core import memory
from gateway_core.config.sources import ConfigRoot, SourceUrl
from gateway_core.descriptors import raise_descriptor_limit
from gateway_core.errors import GatewayError
from gateway_core.process import logs, loops
from gateway_core.process.handover import Handover, take_over
from gateway_core.process.program import Fleet, Program, say
from gateway_core.process.signals import StoppedError
from gateway_core.reload.validation import Canonical

if TYPE_CHECKING:
    from gateway_core.process.preforked import Spare


def run(roots: Sequence[ConfigRoot], state: Path) -> NoReturn:
    """Serve the configuration of these files and sources until a signal ends it, and end the process.

    :param state: the directory for what has to outlast the process.
    """
    memory.share_one_arena()
    raise_descriptor_limit()
    logs.configure()
    left = take_over()
    spares = () if left is None else _spares_for(left)
    result = loops.run(_run(roots, state, left, spares))
    if isinstance(result, Handover):
        result.replace_program(program_arguments(roots, state))
    loops.leave(result)


def _spares_for(left: Handover) -> Sequence[Spare]:
    """Fork the workers that are to take the place of those that are left."""
    from gateway_core.process.preforked import fork_workers  # noqa: PLC0415  # a first start does without
    from gateway_core.process.supervisor import available_cpus  # noqa: PLC0415  # one process does without workers

    return fork_workers(left.canonical.workers or available_cpus(), left.listeners.values())


async def _run(
    roots: Sequence[ConfigRoot], state: Path, left: Handover | None, spares: Sequence[Spare]
) -> int | Handover:
    program = Program(roots, state)
    try:
        if left is not None:
            canonical: Canonical | None = left.canonical
            await program.follow(left.canonical)
        else:
            canonical = await _first(program)
        if canonical is None:
            return 1
        return await program.run(_fleet_for(canonical, left, spares), canonical)
    except StoppedError:
        return program.given_up()
    except GatewayError as error:
        say(f"gateway: {error}")
        return 1
    finally:
        await program.aclose()


async def _first(program: Program) -> Canonical | None:
    """Validate, and load the data path meanwhile: both take a second."""
    loading = asyncio.to_thread(importlib.import_module, "gateway_core.process.in_process")
    canonical, _ = await asyncio.gather(program.first(), loading)
    return canonical


def _fleet_for(canonical: Canonical, left: Handover | None, spares: Sequence[Spare]) -> Fleet:
    """Return what serves: this process if it is to be the only one and always was, else workers."""
    if canonical.workers == 1 and left is None:
        from gateway_core.process.in_process import Single  # noqa: PLC0415  # a supervisor does without the data path

        return Single()
    from gateway_core.process.supervisor import Supervisor  # noqa: PLC0415  # one process does without workers

    return Supervisor(left, spares)


def program_arguments(roots: Sequence[ConfigRoot], state: Path) -> list[str]:
    """Return the command line that runs this program anew."""
    arguments = [sys.executable, "-m", "gateway_core.cli", "run", "--state", str(state)]
    for root in roots:
        arguments += ["-c", root.text if isinstance(root, SourceUrl) else str(root)]
    return arguments
