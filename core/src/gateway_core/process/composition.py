"""Where all parts are put together: ``gateway run``."""

from __future__ import annotations

import asyncio
import importlib
import os
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NoReturn

from gateway_core import memory
from gateway_core.config.sources import ConfigRoot, paths_of
from gateway_core.descriptors import check_descriptors_for_start, raise_descriptor_limit
from gateway_core.errors import GatewayError
from gateway_core.observe.live_feed import LiveFeed
from gateway_core.process import logs, loops, validator
from gateway_core.process.announcements import not_started, use_configured_format
from gateway_core.process.child import TEMPLATE, VALIDATOR, Forked, wait_for_exit
from gateway_core.process.loops import StoppedError
from gateway_core.process.model import Handover, ProcessModel, take_over
from gateway_core.process.plugin_guard import HANDLED, name_exits
from gateway_core.process.program import Program
from gateway_core.process.roles import fork
from gateway_core.process.trial import import_parts, is_trial, program_arguments
from gateway_core.process.validator import ValidatorProcess, site_stamp
from gateway_core.reload.bundle import ConfigBundle, Verdict
from gateway_core.tasks import spawn


def run(roots: Sequence[ConfigRoot], state: Path, *, last_good: bool = False) -> NoReturn:
    """Serve the configuration of these files and sources until a signal ends it, and end the process.

    :param state: the directory for what has to outlast the process.
    :param last_good: start with the configuration that was in force last if this one cannot be.
    """
    if is_trial():
        import_parts()
        loops.leave(0)
    memory.share_one_arena()
    raise_descriptor_limit()
    logs.configure(holds=True)
    try:
        left = take_over()
        if left is None:  # else it goes on as well as it can: there is no other program any more
            check_descriptors_for_start()
    except GatewayError as error:
        use_configured_format(paths_of(tuple(roots)))
        not_started(f"gateway: {error}", str(error))
        loops.leave(1)
    validator.warm_up()
    # Until here a signal to stop has ended the program at once; from here on it has children, and waits for a handler.
    signal.pthread_sigmask(signal.SIG_BLOCK, HANDLED)
    # What the validator imports is imported here as well, once for all, and it is there for the first edit.
    forked = _Forked(fork(VALIDATOR, captures=True), fork(TEMPLATE), dict(os.environ))
    name_exits()
    result = loops.run(_run(roots, state, left, forked, last_good=last_good))
    if isinstance(result, Handover):
        result.replace_program(program_arguments(roots, state, last_good=last_good))
    loops.leave(result)


@dataclass(frozen=True, slots=True)
class _Forked:
    """Processes that were forked before there was an event loop."""

    validator: Forked
    template: Forked
    environ: Mapping[str, str]
    """Of this program then; what it sets later has to be handed on."""


async def _run(
    roots: Sequence[ConfigRoot], state: Path, left: Handover | None, forked: _Forked, *, last_good: bool
) -> int | Handover:
    program = Program(roots, state, ValidatorProcess(forked.validator), last_good=last_good)
    try:
        if left is not None:
            await program.follow(left)
            verdict = Verdict(left.bundle.watch(), left.bundle)
        else:
            program.control.announce("reading its configuration")
            verdict = await _first(program)
            program.control.announce("putting its configuration in force")
        model_for = partial(_model_for, left=left, forked=forked, feed=program.feed, endpoints=program.endpoints)
        return await program.run(model_for, verdict)
    except StoppedError:
        return program.given_up()
    except (GatewayError, OSError) as error:  # the system may have no descriptors for what is imported
        program.not_started(f"gateway: {error}", str(error))
        return 1
    finally:
        program.control.withdraw()
        await program.aclose()


async def _first(program: Program) -> Verdict:
    """Validate, and load the data path meanwhile: both take a while."""
    loading = asyncio.to_thread(importlib.import_module, "gateway_core.process.in_process")
    verdict, _ = await asyncio.gather(program.first(), loading)
    return verdict


def _model_for(
    bundle: ConfigBundle,
    before: ProcessModel | None,
    left: Handover | None,
    forked: _Forked,
    feed: LiveFeed,
    endpoints: Path,
) -> ProcessModel:
    """Return what serves: this process if it is to be the only one and always was, else workers."""
    if bundle.workers == 1 and left is None:
        from gateway_core.process.in_process import InProcessServer  # noqa: PLC0415  # a supervisor does without the data path

        if isinstance(before, InProcessServer):
            return before
        forked.template.sock.close()
        spawn(wait_for_exit(forked.template), name="reap the template")
        return InProcessServer(feed, endpoints)
    from gateway_core.process.supervisor import Supervisor  # noqa: PLC0415  # one process does without workers
    from gateway_core.process.template import Template  # noqa: PLC0415  # likewise

    if isinstance(before, Supervisor):
        return before
    template = Template(forked.template, stamp=site_stamp, environ=forked.environ)
    return Supervisor(left, template, feed=feed, endpoints=endpoints)
