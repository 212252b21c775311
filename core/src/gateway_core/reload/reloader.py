"""Reloading: a change or a signal leads to validation elsewhere, and a good configuration is put in force."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Final

from gateway_core.config import ConfigError, render_problems
from gateway_core.config.sources import FileWatcher, Fingerprint, WatchSet
from gateway_core.descriptors import EXHAUSTED
from gateway_core.errors import GatewayError
from gateway_core.reload.validation import (
    Canonical,
    ValidationFailedError,
    ValidationNotStartedError,
    Verdict,
    validate,
)

TRY_AGAIN_AFTER: Final = 5.0
"""Seconds after which a reload is tried again that the system had no descriptors, processes or memory for."""

_logger = logging.getLogger("gateway.config")

Apply = Callable[[Canonical], Awaitable[str]]
"""Puts a configuration in force and says what changed; raises `ConfigError` or `GatewayError` if it cannot."""

Validate = Callable[[Sequence[Path]], Awaitable[Verdict]]


class Reloader:
    """Keeps what is in force in step with the files. Requests that come during a reload make one more, not many."""

    def __init__(
        self,
        paths: Sequence[Path],
        apply: Apply,
        *,
        also_watch: Callable[[], WatchSet] = WatchSet,
        validate: Validate = validate,
        watcher: FileWatcher | None = None,
    ) -> None:
        """Prepare to watch.

        :param also_watch: further files that the configuration in force depends on, such as certificates.
        """
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
        self._watched = found if verdict.canonical is not None else found | self._watched
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
            except Exception:
                self._wanted.set()  # what was asked for is still to be done, once this has begun again
                raise

    async def _reload(self, why: str) -> None:
        try:
            before, verdict = await self._look()
            if verdict.canonical is None:
                _logger.error(
                    "%s: configuration rejected, the old one stays in force\n%s", why, render_problems(verdict.problems)
                )
                return
            told = await self._apply(verdict.canonical)
            await self._settle(verdict, before)
        except ConfigError as error:
            _logger.error("%s: configuration rejected, the old one stays in force\n%s", why, error.render())
        except (OSError, ValidationNotStartedError) as error:
            self._try_again(why, error)
        except ValidationFailedError as error:
            _logger.error("%s: configuration not validated, the old one stays in force: %s", why, error)
        except GatewayError as error:
            if isinstance(error.__cause__, OSError) and error.__cause__.errno in EXHAUSTED:
                self._try_again(why, error)
                return
            _logger.error("%s: configuration not applied, the old one stays in force: %s", why, error)
        else:
            _logger.info("%s: configuration in force: %s", why, told)

    def _try_again(self, why: str, error: Exception) -> None:
        """Reload later: the system is short of something, which says nothing of the configuration."""
        _logger.error(
            "%s: configuration not validated, the old one stays in force; it is tried again in %g s: %s",
            why,
            TRY_AGAIN_AFTER,
            error,
        )
        asyncio.get_running_loop().call_later(TRY_AGAIN_AFTER, self.request, why)


def _told(changed: Sequence[Path]) -> str:
    names = ", ".join(path.name for path in changed[:3])
    more = f" and {len(changed) - 3} more" if len(changed) > 3 else ""
    verb = "changed" if all(path.exists() for path in changed) else "changed or gone"
    return f"{names}{more} {verb}"
