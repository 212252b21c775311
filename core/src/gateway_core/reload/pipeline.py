"""Reloading: from a change to a configuration in force.

A configuration goes through the states of `State`, in order, and `Pipeline` takes it from one to the next. Until the
last one nothing has happened to requests, as each state has its way back:

* *changed*: a file, a source, a plugin or an operator asks for it. Nothing was done yet; what was asked for is not
  forgotten, so that a defect or a lack of descriptors leads to another attempt.
* *validated*: another process has read it and found no error. Back: it is dropped. Problems reject the change;
  documents of sources are replaced by their last good versions first (`gateway_core.reload.sources`).
* *prepared*: every serving process has built and started it beside the one in force. Back: each discards it. Problems
  that only preparing or committing shows lead back to *validated*, without the documents that have them; files of this
  machine have no other version, so there the change is rejected.
* *committed*: requests are served by it. Where processes take it one after the other and one of them fails, discarding
  puts those back that have it already.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import AbstractContextManager, aclosing, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from gateway_core.clock import Clock, SystemClock
from gateway_core.config import ConfigError, ConfigProblem, problem_as_json, render_problems
from gateway_core.config.sources import FileWatcher, Fingerprint, WatchSet
from gateway_core.descriptors import EXHAUSTED
from gateway_core.errors import GatewayError, ProcessEndedError
from gateway_core.events import CONFIG_APPLIED, CONFIG_FAILED, CONFIG_REJECTED, emit
from gateway_core.reload.bundle import PROTOCOL, ConfigBundle
from gateway_core.reload.verdict import ValidationFailedError, Verdict

TRY_AGAIN_AFTER: Final = 5.0
"""Seconds after which a reload is attempted again that the system had no descriptors, processes or memory for."""
_MOST_ENDED: Final = 3
"""Times in a row that a reload is attempted again because a worker ended meanwhile."""


class State(StrEnum):
    """How far a configuration has come; see the module."""

    CHANGED = "changed"
    VALIDATED = "validated"
    PREPARED = "prepared"
    COMMITTED = "committed"


@dataclass(frozen=True, slots=True)
class Change:
    """A configuration that is prepared."""

    commit: Callable[[], Awaitable[str]]
    """Put it in force and say what changed."""
    discard: Callable[[], Awaitable[None]]
    """The way back, before it is committed or after that has failed."""


Prepare = Callable[[ConfigBundle], Awaitable[Change]]
"""Builds and starts a configuration; raises `ConfigError` or `GatewayError` if it cannot, and leaves nothing then."""

Validate = Callable[[Sequence[Path]], Awaitable[Verdict]]

FallBack = Callable[[Collection[ConfigProblem]], Awaitable[Verdict | None]]
"""Validates without the documents that have these problems; None if nothing that is new would be left."""


@dataclass(slots=True)
class ReloadRecord:
    """The last reload, and how many there were of each result. A first start counts as one."""

    is_ok: bool = True
    state: State = State.CHANGED
    """The last state that the last reload has reached."""
    at: float | None = None
    """Seconds since the epoch at which the last reload ended; None before the first one."""
    in_force_at: float = 0.0
    """Seconds since the epoch at which a configuration was put in force last."""
    problems: tuple[ConfigProblem, ...] = ()
    reason: str = ""
    """Why it failed, or what it changed."""
    counts: Counter[str] = field(default_factory=Counter)
    """By ``ok``, ``rejected`` and ``failed``."""

    def succeed(self, now: float, changes: str = "", problems: Sequence[ConfigProblem] = ()) -> None:
        """Note that a configuration is in force.

        :param problems: of documents that were left out, or kept at their last good version.
        """
        self._end("ok", now, changes, problems)
        self.state, self.in_force_at = State.COMMITTED, now

    def fail(self, now: float, reason: str, problems: Sequence[ConfigProblem] = ()) -> None:
        """Note that a reload has failed, for problems of the configuration or for another reason."""
        self._end("rejected" if problems else "failed", now, reason, problems)

    def _end(self, result: str, now: float, reason: str, problems: Sequence[ConfigProblem]) -> None:
        self.is_ok, self.at, self.reason, self.problems = result == "ok", now, reason, tuple(problems)
        self.counts[result] += 1

    def describe(self) -> dict[str, Any] | None:
        """Return it ready for JSON; None before the first reload."""
        if self.at is None:
            return None
        return {
            "ok": self.is_ok,
            "at": datetime.fromtimestamp(self.at, UTC).isoformat(timespec="milliseconds"),
            "stage": self.state.value,
            "reason": self.reason,
            "problems": [problem_as_json(problem) for problem in self.problems],
        }

    def samples(self, warnings: int) -> list[Any]:
        """Return its metrics as `gateway_core.process.overview` has them.

        :param warnings: how many the configuration in force has.
        """
        name, last, at, counted = (
            "gateway_config_warnings",
            "gateway_config_last_reload_successful",
            "gateway_config_last_reload_success_timestamp_seconds",
            "gateway_config_reloads",
        )
        results = [[f"{counted}_total", {"result": result}, number] for result, number in sorted(self.counts.items())]
        return [
            [name, "gauge", "Warnings about the configuration in force.", [[name, {}, warnings]]],
            [last, "gauge", "Whether the last reload put a configuration in force.", [[last, {}, int(self.is_ok)]]],
            [at, "gauge", "When a configuration was put in force last, since the epoch.", [[at, {}, self.in_force_at]]],
            [counted, "counter", "Reloads by what became of them.", results],
        ]


class Pipeline:
    """Keeps what is in force in step with the files. Requests that come during a reload make one more, not many."""

    def __init__(
        self,
        paths: Sequence[Path],
        *,
        validate: Validate,
        prepare: Prepare,
        fall_back: FallBack,
        also_watch: Callable[[], WatchSet] = WatchSet,
        during: Callable[[], AbstractContextManager[None]] = nullcontext,
        watcher: FileWatcher | None = None,
        clock: Clock | None = None,
    ) -> None:
        """Prepare to watch.

        :param also_watch: further files that the configuration in force depends on, such as certificates.
        :param during: entered for each reload.
        """
        self.record = ReloadRecord()
        self.turn = asyncio.Lock()
        """Held by what changes the configuration in force: a reload, or the exchange of the program."""
        self._validate = validate
        self._prepare = prepare
        self._fall_back = fall_back
        self._also_watch = also_watch
        self._during = during
        self._clock = clock or SystemClock()
        self._paths = tuple(paths)
        self._watcher = watcher or FileWatcher()
        self._watched = WatchSet.of(paths)
        self._wanted = asyncio.Event()
        self._why = "requested"
        self._ended = 0  # reloads in a row during which a worker ended

    # -- changed

    def request(self, why: str) -> None:
        """Reload as soon as possible."""
        self._why = why
        self._wanted.set()

    async def watch(self) -> None:
        """Request a reload whenever a file changes; ends only when it is cancelled."""
        async with aclosing(self._watcher.changes()) as changes:
            async for changed in changes:
                self.request(_told(changed))

    async def follow(self, watched: WatchSet) -> None:
        """Watch these files, of which an earlier program made what is in force."""
        before = await self._watcher.take(watched)
        self._watched = watched | WatchSet.of(self._paths)
        await self._watcher.watch(self._watched, before)

    async def run(self) -> None:
        """Reload whenever it is requested; ends only when it is cancelled."""
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            try:
                async with self.turn:
                    with self._during():
                        await self._reload(self._why)
            except Exception as error:
                self.record.fail(self._clock.wall(), f"a defect: {error!r}")
                self._wanted.set()  # what was asked for is still to be done, once this has begun again
                raise

    async def _reload(self, why: str) -> None:
        self.record.state = State.CHANGED
        try:
            before, verdict = await self._look()
            changes, problems = await self.put_in_force(verdict, self._prepare)
            await self._settle(verdict, before)
        except ConfigError as error:
            emit(
                CONFIG_REJECTED,
                f"{why}: configuration rejected, the old one stays in force",
                details=render_problems(error.problems),
                trigger=why,
                problems=len(error.problems),
            )
            self.record.fail(self._clock.wall(), "rejected", error.problems)
        except OSError as error:
            self._try_again(why, f"not validated: {error}")
        except ProcessEndedError as error:
            # A worker that crashes at this moment must not cost an edit, perhaps the one that is to mend it.
            self._ended += 1
            if self._ended <= _MOST_ENDED:
                self._try_again(why, f"not applied: {error}")
            else:
                self._ended = 0
                self._fail(why, f"not applied, the old one stays in force: {error}")
        except ValidationFailedError as error:
            self._fail(why, f"not validated, the old one stays in force: {error}")
        except GatewayError as error:
            if isinstance(error.__cause__, OSError) and error.__cause__.errno in EXHAUSTED:
                self._try_again(why, f"not validated: {error}")
                return
            self._fail(why, f"not applied, the old one stays in force: {error}")
        else:
            self._ended = 0
            self.record.succeed(self._clock.wall(), changes, problems)
            apart = ", but for the documents that were rejected" if problems else ""
            version = None if verdict.bundle is None else verdict.bundle.version
            emit(CONFIG_APPLIED, f"{why}: configuration in force{apart}: {changes}", trigger=why, version=version)

    def _fail(self, why: str, text: str) -> None:
        emit(CONFIG_FAILED, f"{why}: configuration {text}", trigger=why, reason=text)
        self.record.fail(self._clock.wall(), text)

    def _try_again(self, why: str, what: str) -> None:
        """Reload later: what failed says nothing of the configuration."""
        self._fail(why, f"{what}; the old one stays in force, and it is attempted again in {TRY_AGAIN_AFTER:g} s")
        asyncio.get_running_loop().call_later(TRY_AGAIN_AFTER, self.request, why)

    # -- validated

    async def first(self) -> Verdict:
        """Validate the configuration and remember its files, without putting it in force.

        :raises ValidationFailedError: there is no verdict.
        """
        _, verdict = await self._look()
        return verdict

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

    # -- prepared, committed

    async def put_in_force(self, verdict: Verdict, prepare: Prepare) -> tuple[str, tuple[ConfigProblem, ...]]:
        """Prepare and commit what was validated, or what is left of it without the documents that fail.

        :returns: what changed, and the problems of documents that were left out or kept as they were.
        :raises ConfigError: there is nothing valid in it, or nothing that can be prepared.
        """
        while True:
            if verdict.bundle is None:
                raise ConfigError(verdict.problems)
            self.record.state = State.VALIDATED
            check_protocol(verdict.bundle)
            try:
                return await self._advance(verdict.bundle, prepare), verdict.problems
            except ConfigError as error:
                following = await self._fall_back(error.problems)
                if following is None:
                    raise
                verdict = following

    async def _advance(self, bundle: ConfigBundle, prepare: Prepare) -> str:
        change = await prepare(bundle)
        self.record.state = State.PREPARED
        try:
            changes = await change.commit()
        except BaseException:
            await change.discard()
            raise
        self.record.state = State.COMMITTED
        return changes


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
