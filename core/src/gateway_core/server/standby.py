"""A validating process that is there before it is needed: an interpreter takes a second to start, a change may not."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from gateway_core.config import Document
from gateway_core.server.validation import ValidationFailedError, Verdict, end, judge, launch


class Standby:
    """Keeps one process that has imported the gateway and no plugin; each of its jobs sees what is installed then."""

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None
        self._turn = asyncio.Lock()

    async def validate(self, paths: Sequence[Path], documents: Sequence[Document] = ()) -> Verdict:
        """Validate a configuration.

        :raises ValidationFailedError: the process crashed, hung or talked nonsense.
        """
        async with self._turn:
            if self._process is not None and self._process.returncode is None:
                try:
                    return await self._judge(self._process, paths, documents)
                except ValidationFailedError:
                    pass  # It may have been killed, or outdated by an installation: a fresh one decides.
            self._process = await launch()
            return await self._judge(self._process, paths, documents)

    async def discard(self) -> None:
        """Give up the process: what it imported may be outdated."""
        async with self._turn:
            await self._end()

    async def aclose(self) -> None:
        """End the process."""
        await self._end()

    async def _judge(
        self, process: asyncio.subprocess.Process, paths: Sequence[Path], documents: Sequence[Document]
    ) -> Verdict:
        try:
            return await judge(process, paths, documents)
        except BaseException:
            # Whoever was interrupted in the middle of an answer would take its rest for the next one.
            await self._end()
            raise

    async def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            await end(process)
