"""Where all parts are put together: ``gateway run``."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

from gateway_core.errors import GatewayError
from gateway_core.server import logs
from gateway_core.server.lifecycle import StoppedError
from gateway_core.server.program import Program, say
from gateway_core.server.single import Single


def run(paths: Sequence[Path]) -> int:
    """Serve the configuration at these paths until a signal ends it; return the exit status."""
    logs.configure()
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        return runner.run(_run(paths))


async def _run(paths: Sequence[Path]) -> int:
    try:
        program = Program(paths)
        canonical = await program.first()
        if canonical is None:
            return 1
        return await program.run(Single(), canonical)
    except StoppedError:
        return 0
    except GatewayError as error:
        say(f"gateway: {error}")
        return 1


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return uvloop's if it is installed; None is asyncio's own."""
    try:
        import uvloop  # noqa: PLC0415  # an extra
    except ImportError:
        return None
    return uvloop.new_event_loop
