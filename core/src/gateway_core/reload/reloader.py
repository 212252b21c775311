"""Reloading: from a change to a configuration in force.

How it works: a change goes through the stages of `Stage`. It is validated in another process, prepared by every serving
process beside the configuration in force, and committed by all of them or none. Each stage has its way back, so until
the last one nothing has happened to requests. Problems of the configuration that are found while it is prepared lead
back to validation without the documents that have them, exactly like problems that validation finds
(`gateway_core.reload.sources`); files of this machine have no other version, so there the change is rejected.

What was asked for is never forgotten: a defect or a lack of descriptors leads to another attempt.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Final, TypeVar

from gateway_core.clock import Clock, SystemClock
from gateway_core.config import ConfigError, ConfigProblem, render_problems
from gateway_core.config.sources import FileWatcher, Fingerprint, WatchSet
from gateway_core.descriptors import EXHAUSTED
from gateway_core.errors import GatewayError
from gateway_core.reload.bundle import PROTOCOL, ConfigBundle
from gateway_core.reload.record import ReloadRecord, Stage
from gateway_core.reload.validation import ValidationFailedError, ValidationNotStartedError, Verdict, validate

TRY_AGAIN_AFTER: Final = 5.0
"""Seconds after which a reload is attempted again that the system had no descriptors, processes or memory for."""

T = TypeVar("T")

_logger = logging.getLogger("gateway.config")

Apply = Callable[[ConfigBundle], Awaitable[str]]
"""Prepares and commits a configuration and says what changed; raises `ConfigError` or `GatewayError` if it cannot."""

Validate = Callable[[Sequence[Path]], Awaitable[Verdict]]

FallBack = Callable[[Collection[ConfigProblem]], Awaitable[Verdict | None]]
"""Validates without the documents that have these problems; None if nothing that is new would be left."""


async def _nothing_to_fall_back_to(problems: Collection[ConfigProblem]) -> Verdict | None:  # noqa: ARG001
    return None


class Reloader:
    """Keeps what is in force in step with the files. Requests that come during a reload make one more, not many."""

    def __init__(
        self,
        paths: Sequence[Path],
        apply: Apply,
        *,
        also_watch: Callable[[], WatchSet] = WatchSet,
        validate: Validate = validate,
        fall_back: FallBack = _nothing_to_fall_back_to,
        watcher: FileWatcher | None = None,
        clock: Clock | None = None,
    ) -> None:
        """Prepare to watch.

        :param also_watch: further files that the configuration in force depends on, such as certificates.
        """
        self.record = ReloadRecord()
        self._fall_back = fall_back
        self._clock = clock or SystemClock()
        self._paths = tuple(paths)
        self._apply = apply
        self._also_watch = also_watch
        self._validate = validate
        self._watcher = watcher or FileWatcher()
        self._watched = WatchSet.of(paths)
        self._wanted = asyncio.Event()
        self._why = "requested"

    async def first(self) -> Verdict:
        """Validate the configuration for the first time and remember its files.

        :raises ValidationFailedError: there is no verdict.
        """
        _, verdict = await self._look()
        return verdict

    async def follow(self, watched: WatchSet) -> None:
        """Watch these files, of which an earlier program made what is in force."""
        before = await self._watcher.take(watched)
        self._watched = watched | WatchSet.of(self._paths)
        await self._watcher.watch(self._watched, before)

    async def _look(self) -> tuple[Fingerprint, Verdict]:
        before = await self._watcher.take(self._watched)
        verdict = await self._validate(self._paths)
        await self._settle(verdict, before)
        return before, verdict

    async def _settle(self, verdict: Verdict, before: Fingerprint) -> None:
        # A broken configuration may not have got as far as its includes: their repair must be noticed as well.
        found = verdict.watch | WatchSet.of(self._paths)
        self._watched = found if verdict.bundle is not None else found | self._watched
        await self._watcher.watch(self._watched | self._also_watch(), before)

    def request(self, why: str) -> None:
        """Reload as soon as possible."""
        self._why = why
        self._wanted.set()

    async def watch(self) -> None:
        """Request a reload whenever a file changes; ends only when it is cancelled."""
        async with aclosing(self._watcher.changes()) as changes:
            async for changed in changes:
                self.request(_told(changed))

    async def run(self) -> None:
        """Reload whenever it is requested; ends only when it is cancelled."""
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            try:
                await self._reload(self._why)
            except Exception as error:
                self.record.fail(self._clock.wall(), f"a defect: {error!r}")
                self._wanted.set()  # what was asked for is still to be done, once this has begun again
                raise

    async def _reload(self, why: str) -> None:
        self.record.stage = Stage.CHANGED
        try:
            before, verdict = await self._look()
            told, problems = await self.put_in_force(verdict, self._apply)
            await self._settle(verdict, before)
        except ConfigError as error:
            _logger.error(
                "%s: configuration rejected, the old one stays in force\n%s", why, render_problems(error.problems)
            )
            self.record.fail(self._clock.wall(), "rejected", error.problems)
        except (OSError, ValidationNotStartedError) as error:
            self._try_again(why, error)
        except ValidationFailedError as error:
            self._fail(why, f"not validated, the old one stays in force: {error}")
        except GatewayError as error:
            if isinstance(error.__cause__, OSError) and error.__cause__.errno in EXHAUSTED:
                self._try_again(why, error)
                return
            self._fail(why, f"not applied, the old one stays in force: {error}")
        else:
            self.record.succeed(self._clock.wall(), told, problems)
            _logger.info("%s: configuration in force: %s", why, told)

    async def put_in_force(
        self, verdict: Verdict, apply: Callable[[ConfigBundle], Awaitable[T]]
    ) -> tuple[T, tuple[ConfigProblem, ...]]:
        """Apply what was validated, or what is left of it without the documents that cannot be prepared.

        :returns: what ``apply`` returned, and the problems of documents that were left out or kept as they were.
        :raises ConfigError: there is nothing valid in it, or nothing that can be prepared.
        """
        while True:
            if verdict.bundle is None:
                raise ConfigError(verdict.problems)
            self.record.stage = Stage.VALIDATED
            check_protocol(verdict.bundle)
            try:
                return await apply(verdict.bundle), verdict.problems
            except ConfigError as error:
                following = await self._fall_back(error.problems)
                if following is None:
                    raise
                verdict = following

    def _fail(self, why: str, text: str) -> None:
        _logger.error("%s: configuration %s", why, text)
        self.record.fail(self._clock.wall(), text)

    def _try_again(self, why: str, error: Exception) -> None:
        """Reload later: the system is short of something, which says nothing of the configuration."""
        self._fail(
            why, f"not validated, the old one stays in force; it is tried again in {TRY_AGAIN_AFTER:g} s: {error}"
        )
        asyncio.get_running_loop().call_later(TRY_AGAIN_AFTER, self.request, why)


def check_protocol(bundle: ConfigBundle) -> None:
    """Refuse what another version of the gateway has validated: its successor would not understand this process either.

    :raises GatewayError: the installed version is not compatible with the one that runs.
    """
    if bundle.protocol != PROTOCOL:
        raise GatewayError(
            f"the gateway that is installed now speaks protocol {bundle.protocol}, the one that runs {PROTOCOL}, "
            "so that it cannot take over: stop the gateway and start it, or install the version that runs"
        )


def _told(changed: Sequence[Path]) -> str:
    names = ", ".join(path.name for path in changed[:3])
    more = f" and {len(changed) - 3} more" if len(changed) > 3 else ""
    verb = "changed" if all(path.exists() for path in changed) else "changed or gone"
    return f"{names}{more} {verb}"
