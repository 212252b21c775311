"""A validating process that is there before it is needed: an interpreter takes a second to start, a change may not."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from gateway_core.config import Document
from gateway_core.packages.environment import Stamp, environment_stamp
from gateway_core.reload.validation import ValidationFailedError, ValidationHungError, Verdict, end, judge, launch
from gateway_core.tasks import Tasks


class ValidatorProcess:
    """Keeps one process that has imported the gateway and no plugin; each of its jobs sees what is installed then."""

    def __init__(self, *, kept_for: float | None = None, stamp: Callable[[], Stamp] | None = None) -> None:
        """Begin without a process.

        :param kept_for: seconds for which it is kept after a job, as it takes the memory of a worker; None is for ever.
        :param stamp: tells when something was installed; in a thread.
        """
        self._kept_for = kept_for
        self._stamp = stamp or site_stamp
        self._process: asyncio.subprocess.Process | None = None
        self._installed: Stamp = ()
        self._turn = asyncio.Lock()
        self._tasks = Tasks()
        self._expiry: asyncio.TimerHandle | None = None

    async def validate(self, paths: Sequence[Path], documents: Sequence[Document] = ()) -> Verdict:
        """Validate a configuration.

        :raises ValidationFailedError: the process crashed, hung or talked nonsense.
        """
        async with self._turn:
            self._keep_from_ending()
            try:
                return await self._validate(paths, documents)
            finally:
                self._end_later()

    async def _validate(self, paths: Sequence[Path], documents: Sequence[Document]) -> Verdict:
        installed = await asyncio.to_thread(self._stamp)
        if installed != self._installed:
            # Libraries that it has imported may be others now.
            await self._end()
        if self._process is not None and self._process.returncode is None:
            try:
                return await self._judge(self._process, paths, documents)
            except ValidationHungError:
                raise
            except ValidationFailedError:
                pass  # It may have been killed, or outdated by an installation: a fresh one decides.
        self._installed = installed
        self._process = await launch()
        return await self._judge(self._process, paths, documents)

    async def discard(self) -> None:
        """Give up the process: what it imported may be outdated."""
        async with self._turn:
            await self._end()

    async def aclose(self) -> None:
        """End the process."""
        self._keep_from_ending()
        await self._tasks.aclose()
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

    def _end_later(self) -> None:
        if self._kept_for is not None and self._process is not None:
            loop = asyncio.get_running_loop()
            self._expiry = loop.call_later(
                self._kept_for, lambda: self._tasks.spawn(self.discard(), name="end an idle validating process")
            )

    def _keep_from_ending(self) -> None:
        expiry, self._expiry = self._expiry, None
        if expiry is not None:
            expiry.cancel()

    async def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            await end(process)


def site_stamp() -> Stamp:
    """Return when the folders of installed distributions last changed."""
    return environment_stamp(path for path in sys.path if Path(path).name in {"site-packages", "dist-packages"})
