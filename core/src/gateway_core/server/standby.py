"""A validating process that is ready before it is needed: an interpreter takes a second to start, a change may not."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from gateway_core.config import Document
from gateway_core.server.validation import Verdict, end, judge, launch
from gateway_core.tasks import Tasks


class Standby:
    """Keeps one process that has imported the gateway and no plugin yet, so that it sees what is installed then."""

    def __init__(self) -> None:
        self._ready: asyncio.subprocess.Process | None = None
        self._tasks = Tasks()

    async def validate(self, paths: Sequence[Path], documents: Sequence[Document] = ()) -> Verdict:
        """Validate a configuration, and have a process ready for the next one.

        :raises ValidationFailedError: the process crashed, hung or talked nonsense.
        """
        process, self._ready = self._ready, None
        if process is None or process.returncode is not None:
            process = await launch()
        try:
            return await judge(process, paths, documents)
        finally:
            self._tasks.spawn(self._prepare(), name="prepare the next validation")

    async def discard(self) -> None:
        """Give up the process that is ready: what it imported may be outdated."""
        process, self._ready = self._ready, None
        if process is not None:
            await end(process)

    async def aclose(self) -> None:
        """End everything."""
        await self._tasks.aclose()
        await self.discard()

    async def _prepare(self) -> None:
        process = await launch()
        surplus, self._ready = self._ready, process
        if surplus is not None:
            await end(surplus)
