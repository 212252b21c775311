"""The validator as the gateway sees it: there before it is needed, as an interpreter takes a second to start."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from gateway_core.config import Document
from gateway_core.packages.environment import Stamp, environment_stamp
from gateway_core.process.channel import ChannelClosedError, Message
from gateway_core.process.child import Child, Forked
from gateway_core.process.roles import VALIDATOR
from gateway_core.reload.verdict import ValidationFailedError, ValidationHungError, Verdict, read_verdict, write_job

VALIDATION_TIMEOUT: Final = 120.0
_MOST_TEXT: Final = 2000


@dataclass(slots=True)
class _Job:
    """What a job has sent so far."""

    notes: list[str] = field(default_factory=list)
    parts: list[bytes] = field(default_factory=list)
    verdict: dict[str, Any] | None = None

    def take(self, message: Message) -> None:
        if message.kind == "note":
            self.notes.append(message["about"])
        elif message.kind == "part":
            self.parts.append(message.body)
        elif message.kind == "verdict":
            self.verdict = dict(message.fields)

    def read(self) -> Verdict:
        if self.verdict is None:
            raise ValueError("no verdict")
        return read_verdict(self.verdict, [line for part in self.parts for line in part.split(b"\n")])

    @property
    def doing(self) -> str:
        return f" while {self.notes[-1]}" if self.notes else ""


class ValidatorProcess:
    """One process that has imported the gateway and no plugin; each of its jobs sees what is installed then."""

    def __init__(
        self,
        forked: Forked | None = None,
        *,
        stamp: Callable[[], Stamp] | None = None,
        timeout: float = VALIDATION_TIMEOUT,
    ) -> None:
        """Begin without a process, or with one that was forked and waits.

        :param stamp: returns another value when something was installed; called in a thread.
        :param timeout: seconds that a job may take.
        """
        self._forked = forked
        self._stamp = stamp or site_stamp
        self._installed: Stamp = () if forked is None else self._stamp()
        self._timeout = timeout
        self._child: Child | None = None
        self._job = _Job()
        self._turn = asyncio.Lock()

    @property
    def pid(self) -> int | None:
        """The process; None if there is none at present."""
        return None if self._child is None else self._child.pid

    async def validate(self, paths: Sequence[Path], documents: Sequence[Document] = ()) -> Verdict:
        """Validate a configuration.

        :raises ValidationFailedError: the process crashed, hung or talked nonsense.
        :raises OSError: the system has no process, memory or descriptors for it.
        """
        async with self._turn:
            job = write_job(paths, documents)
            installed = await asyncio.to_thread(self._stamp)
            if installed != self._installed:
                # Libraries that it has imported may be others now.
                await self._end()
            if (waiting := await self._waiting()) is not None:
                try:
                    return await self._judge(waiting, job)
                except ValidationHungError:
                    raise
                except ValidationFailedError:
                    pass  # It may have been killed, or outdated by an installation: a fresh one decides.
            self._installed = installed
            return await self._judge(await self._start(), job)

    async def discard(self) -> None:
        """Give up the process: what it imported may be outdated."""
        async with self._turn:
            await self._end()

    async def aclose(self) -> None:
        """End the process."""
        await self._end()

    async def _waiting(self) -> Child | None:
        """Return the process that is there, if it still runs."""
        forked, self._forked = self._forked, None
        if forked is not None:
            self._take(await Child.take("the validator", forked))
        return None if self._child is None or self._child.gone.is_set() else self._child

    async def _start(self) -> Child:
        await self._end()
        return self._take(await Child.spawn(VALIDATOR, "the validator", captures=True))

    def _take(self, child: Child) -> Child:
        child.listen(self._receive)
        self._child = child
        return child

    async def _receive(self, message: Message) -> None:
        self._job.take(message)

    async def _judge(self, child: Child, job: bytes) -> Verdict:
        """Give it a job, and return the verdict; it is ready for the next one then, else it is ended."""
        sent = self._job = _Job()
        try:
            ending = await child.call("validate", job, timeout=self._timeout)
            status, printed = ending["status"], ending["printed"]
        except TimeoutError:
            await self._end()
            raise ValidationHungError(
                f"validation did not end within {self._timeout:g} seconds and was stopped{sent.doing}"
            ) from None
        except ChannelClosedError:
            await self._end()
            status, printed = child.exit_status, child.printed
        except BaseException:
            # The rest of a verdict that was interrupted would be taken for the next one.
            await self._end()
            raise
        try:
            return sent.read()
        except ValueError as error:
            text = str(printed).strip()[-_MOST_TEXT:] or "it printed nothing"
            text += f"; it ended{sent.doing}" if sent.notes else ""
            raise ValidationFailedError(f"validation ended with status {status} and {error}: {text}") from None

    async def _end(self) -> None:
        child, self._child = self._child, None
        if self._forked is not None:
            forked, self._forked = self._forked, None
            child = await Child.take("the validator", forked)
        if child is not None:
            await child.end()


def site_stamp() -> Stamp:
    """Return when the folders of installed distributions last changed."""
    return environment_stamp(path for path in sys.path if Path(path).name in {"site-packages", "dist-packages"})
