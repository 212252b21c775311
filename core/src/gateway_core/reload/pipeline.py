"""Reloading: from a change to a configuration in force.

A configuration goes through the states of `State`, in order, and `Pipeline` takes it from one to the next. Until the
last one nothing has happened to requests, as each state has its way back:

* *changed*: a file, a source, a plugin or an operator asks for it. Nothing was done yet; what was asked for is not
  forgotten, so that a defect, a lack of descriptors or an installer at work leads to another attempt.
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
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import AbstractContextManager, aclosing, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gateway_core.clock import Clock, SystemClock
from gateway_core.config import ConfigError, ConfigProblem, GatewayConfig, LoadedConfig, render_problems
from gateway_core.config.sources import FileWatcher, Fingerprint, WatchSet
from gateway_core.descriptors import EXHAUSTED
from gateway_core.errors import GatewayError, ProcessEndedError
from gateway_core.events import CONFIG_APPLIED, CONFIG_FAILED, CONFIG_REJECTED, emit
from gateway_core.reload.bundle import (
    ConfigBundle,
    Unfinished,
    ValidationFailedError,
    ValidationHungError,
    Verdict,
    check_protocol,
)
from gateway_core.reload.history import ReloadHistory, ReloadOutcome, State, describe_changed, resolve
from gateway_core.tasks import Yielder, spawn

TRY_AGAIN_AFTER: Final = 5.0
"""Seconds after which a reload is attempted again that the system had no descriptors, processes or memory for."""
_WRITTEN_ON: Final = 0.3
"""Seconds that a configuration which is rejected is waited for to change: it may be in the middle of being written."""
_MOST_PARTS: Final = 10
"""Times in a row that one is waited for."""
_MOST_INSTALLATIONS: Final = 2
"""Times in a row that a rejected one is validated again at once because plugins are being installed."""
_MOST_ENDED: Final = 3
"""Times in a row that a reload is attempted again because a process ended meanwhile."""
_MOST_REASONS: Final = 5
"""Reasons that are kept of reloads which are attempted again: a shortage may last for days of edits."""


async def _as_validated(verdict: Verdict) -> Verdict:
    return verdict


async def _unchanged(changes: str) -> str:
    return changes


async def _nothing() -> None:
    """Discard what left nothing behind."""


@dataclass(frozen=True, slots=True)
class Change:
    """A configuration that is prepared."""

    commit: Callable[[], Awaitable[str]]
    """Put it in force and say what changed."""
    discard: Callable[[], Awaitable[None]] = _nothing
    """The way back, before it is committed or after that has failed."""
    conclude: Callable[[str], Awaitable[str]] = _unchanged
    """What follows once it is in force, given and returning what changed. There is no way back from here."""


Prepare = Callable[[ConfigBundle], Awaitable[Change]]
"""Builds and starts a configuration; raises `ConfigError` or `GatewayError` if it cannot, and leaves nothing then."""

Validate = Callable[[Sequence[Path]], Awaitable[Verdict]]

Hold = Callable[[Verdict], Awaitable[Verdict]]
"""Returns what is to be in force in place of what was validated: a version that is pinned, or the very verdict."""

FallBack = Callable[[Collection[ConfigProblem]], Awaitable[Verdict | None]]
"""Validates without the documents that have these problems; None if nothing that is new would be left."""


class Pipeline:
    """Keeps what is in force in step with the files. Requests that come during a reload make one more, not many."""

    def __init__(
        self,
        paths: Sequence[Path],
        *,
        validate: Validate,
        prepare: Prepare,
        fall_back: FallBack,
        hold: Hold = _as_validated,
        also_watch: Callable[[], WatchSet] = WatchSet,
        during: Callable[[], AbstractContextManager[None]] = nullcontext,
        is_installing: Callable[[], bool] = lambda: False,
        watcher: FileWatcher | None = None,
        clock: Clock | None = None,
    ) -> None:
        """Prepare to watch.

        :param also_watch: further files that the configuration in force depends on, such as certificates.
        :param during: entered for each reload.
        :param is_installing: whether an installer may have been at work since the last validation began. What failed
            then may be right, and is attempted again: what is installed in the end may be what was there before, which
            does not show as a change.
        """
        self.turn = asyncio.Lock()
        """Held by what changes the configuration in force: a reload, or the exchange of the program."""
        self._validate = validate
        self._prepare = prepare
        self._fall_back = fall_back
        self._hold = hold
        self._also_watch = also_watch
        self._during = during
        self._is_installing = is_installing
        self.history = ReloadHistory(clock or SystemClock())
        self._paths = tuple(paths)
        self._watcher = watcher or FileWatcher()
        self._watched = WatchSet.of(paths)
        self.wanted = asyncio.Event()
        """Set while a reload is requested that has not begun."""
        self._why: dict[str, None] = {}  # the next reload is for, in their order
        self._waiting: list[asyncio.Future[ReloadOutcome]] = []
        """Who waits for the outcome of the next reload."""
        self.is_left = False
        """Whether what is requested from now on is for the program that takes over."""
        self._postponed: dict[str, None] = {}  # what the next attempt is for, once its time has come
        self._ended = 0  # reloads for the same in a row during which a process ended

    # -- changed

    def request(self, why: str) -> None:
        """Reload as soon as possible; a reload that is still to begin is for all that requested it, and names them."""
        self._why[why] = None
        self.wanted.set()

    async def reload(self, why: str) -> ReloadOutcome:
        """Reload as soon as possible, and return what became of it; one that is under way already does not count.

        :raises GatewayError: the program ends, or another one takes over, before there is an outcome.
        """
        outcome: asyncio.Future[ReloadOutcome] = asyncio.get_running_loop().create_future()
        self._waiting.append(outcome)
        self.request(why)
        return await outcome

    async def apply(self, why: str, prepare: Prepare, trying: AbstractContextManager[None]) -> ReloadOutcome:
        """Validate and put in force at once what is there while a context is entered.

        Once it has begun it goes on to its end.

        :param prepare: takes the place of the usual one.
        :param trying: entered for the time of it, such as for another version of a document.
        """
        async with self.turn:
            with self._during(), trying:
                return await self._reload(why, prepare=prepare)

    async def try_out(
        self, prepare: Prepare, trying: AbstractContextManager[None], verdict: Verdict | None = None
    ) -> tuple[GatewayConfig, tuple[ConfigProblem, ...]]:
        """Validate and prepare what is there while a context is entered, or what has a verdict already; give it up.

        :returns: the configuration, and its warnings and the problems of documents that it would do without.
        :raises ConfigError: it has problems.
        :raises GatewayError: it cannot be validated or prepared for another reason.
        """
        async with self.turn:
            with trying:
                verdict = verdict or await self._validate(self._paths)
            if verdict.bundle is None:
                raise ConfigError(verdict.problems)
            change = await prepare(verdict.bundle)
            await change.discard()
        loaded = await LoadedConfig.from_lines(verdict.bundle.lines, Yielder(SystemClock()))
        return loaded.config, (*verdict.problems, *verdict.bundle.warnings())

    async def watch(self) -> None:
        """Request a reload whenever a file changes; ends only when it is cancelled."""
        async with aclosing(self._watcher.changes()) as changes:
            async for changed in changes:
                self.request(describe_changed(changed))

    def leave(self) -> Unfinished:
        """Return what the program that takes over goes on with, once neither `watch` nor `run` runs any more."""
        return Unfinished(self._watcher.seen(), list(self._postponed | self._why))

    async def follow(self, left: Unfinished) -> None:
        """Go on with what changed or was requested while this program was to take over, which takes seconds."""
        self._watched = left.seen.watched() | WatchSet.of(self._paths)
        await self._watcher.watch_since(left.seen)
        for why in left.requested:
            self.request(why)

    async def run(self) -> None:
        """Reload whenever it is requested, until another program takes over."""
        while True:
            await self.wanted.wait()
            async with self.turn:
                if self.is_left:
                    return
                await self._reload_as_wanted()

    async def _reload_as_wanted(self) -> None:
        self.wanted.clear()
        (waiting, self._waiting), (why, self._why) = (self._waiting, []), (self._why, {})
        try:
            with self._during():
                outcome = await self._reload(*(why or ("requested",)))
        except Exception as error:
            resolve(waiting, self.history.fail(f"a defect: {error!r}"))
            self._why = why | self._why
            self.wanted.set()  # what was asked for is still to be done, once this has begun again
            raise
        except asyncio.CancelledError:
            resolve(waiting, GatewayError("the program ends, or another one takes over"))
            raise
        resolve(waiting, outcome)

    async def _reload(self, *why: str, prepare: Prepare | None = None) -> ReloadOutcome:
        if not self.history.triggers >= set(why):
            self._ended = 0  # those were for something else
        self.history.begin(*why)
        try:
            verdict = await self._held(self._look_at_all() if prepare is None else self._look())
            changes, problems, version = await self.put_in_force(verdict, prepare or self._prepare)
            await self._settle(verdict)
        except ConfigError as error:
            self._ended = 0
            trigger, again = self.history.trigger, self._again() if self._is_installing() else ""
            emit(
                CONFIG_REJECTED,
                f"{trigger}: configuration rejected, the old one stays in force{again}",
                details=render_problems(error.problems),
                trigger=trigger,
                problems=len(error.problems),
            )
            return self.history.fail("rejected", error.problems)
        except OSError as error:
            return self._try_again(f"not validated: {error}")
        except ValidationHungError as error:
            return self._fail(f"not validated, the old one stays in force: {error}")
        except (ProcessEndedError, ValidationFailedError) as error:
            return self._process_ended(error)
        except GatewayError as error:
            if isinstance(error.__cause__, OSError) and error.__cause__.errno in EXHAUSTED:
                return self._try_again(f"not validated: {error}")
            if self._is_installing():
                return self._try_again(f"not applied: {error}")
            return self._fail(f"not applied, the old one stays in force: {error}")
        self._ended = 0
        apart = ", but for the documents that were rejected" if problems else ""
        if problems and self._is_installing():
            apart += self._again()
        trigger = self.history.trigger
        emit(CONFIG_APPLIED, f"{trigger}: configuration in force{apart}: {changes}", trigger=trigger, version=version)
        return self.history.succeed(changes, problems)

    def _process_ended(self, error: GatewayError) -> ReloadOutcome:
        # A process that crashes at this moment must not cost an edit, perhaps the one that is to mend it.
        what = "validated" if isinstance(error, ValidationFailedError) else "applied"
        self._ended += 1
        if self._ended <= _MOST_ENDED:
            return self._try_again(f"not {what}: {error}")
        self._ended = 0
        return self._fail(f"not {what}, the old one stays in force: {error}")

    def _fail(self, text: str) -> ReloadOutcome:
        trigger = self.history.trigger
        emit(CONFIG_FAILED, f"{trigger}: configuration {text}", trigger=trigger, reason=text)
        return self.history.fail(text)

    def _try_again(self, what: str) -> ReloadOutcome:
        """Reload later: what failed says nothing of the configuration."""
        return self._fail(f"{what}; the old one stays in force{self._again()}")

    def _again(self) -> str:
        """Reload later, once for all that is to be attempted again by then, and say so."""
        if not self._postponed:
            asyncio.get_running_loop().call_later(TRY_AGAIN_AFTER, self._resume)
        self._postponed = dict.fromkeys([*self._postponed, *self.history.triggers][:_MOST_REASONS])
        return f", and it is attempted again in {TRY_AGAIN_AFTER:g} s"

    def _resume(self) -> None:
        self._why, self._postponed = self._postponed | self._why, {}
        self.wanted.set()

    # -- validated

    async def first(self) -> Verdict:
        """Validate the configuration and remember its files, without putting it in force.

        :raises ValidationFailedError: there is no verdict.
        """
        return await self._held(self._look())

    async def until_written(self, verdict: Verdict) -> Verdict:
        """Validate again, before `watch` is called, what may be only a part of what is being written or installed.

        :param verdict: of `first`.
        """
        watching = spawn(self.watch(), name="watch the configuration before it is in force", on_error=lambda _: None)
        try:
            return await self._look_until_written(verdict)
        finally:
            watching.cancel()
            await asyncio.wait({watching})

    async def _held(self, looking: Awaitable[Verdict]) -> Verdict:
        """Return what is to be in force; a version that is pinned, or rolled back to, needs no verdict on the files."""
        try:
            verdict = await looking
        except ValidationFailedError:
            held = await self._hold(Verdict(self._watched))
            if held.bundle is None:
                raise
            return held
        return await self._hold(verdict)

    async def _look_at_all(self) -> Verdict:
        return await self._look_until_written(await self._look())

    async def _look_until_written(self, verdict: Verdict) -> Verdict:
        """Validate again when what is rejected turns out to be only a part of what is being written or installed."""
        for number in range(_MOST_PARTS):
            is_part = number < _MOST_INSTALLATIONS and self._is_installing()
            if verdict.bundle is not None or not (is_part or await self._is_written_on()):
                break
            verdict = await self._look()
        return verdict

    async def _is_written_on(self) -> bool:
        try:
            async with asyncio.timeout(_WRITTEN_ON):
                await self.wanted.wait()
        except TimeoutError:
            return False
        if self._waiting:  # for a reload of their own
            return False
        self.wanted.clear()
        self.history.join(*self._why)
        self._why.clear()
        return True

    async def _look(self) -> Verdict:
        before = await self._watcher.take(self._watched)
        verdict = await self._validate(self._paths)
        await self._settle(verdict, before)
        return verdict

    async def _settle(self, verdict: Verdict, before: Fingerprint | None = None) -> None:
        # A broken configuration may not have got as far as its includes: their repair must be noticed as well.
        found = verdict.watch | WatchSet.of(self._paths)
        self._watched = found if verdict.bundle is not None else found | self._watched
        await self._watcher.watch(self._watched | self._also_watch(), before)

    # -- prepared, committed

    async def put_in_force(self, verdict: Verdict, prepare: Prepare) -> tuple[str, tuple[ConfigProblem, ...], str]:
        """Prepare and commit what was validated, or what is left of it without the documents that fail.

        :returns: what changed, the problems of documents that were left out or kept as they were, and the version that
            is in force.
        :raises ConfigError: there is nothing valid in it, or nothing that can be prepared.
        """
        while True:
            if verdict.bundle is None:
                raise ConfigError(verdict.problems)
            self.history.state = State.VALIDATED
            check_protocol(verdict.bundle)
            try:
                return await self._advance(verdict.bundle, prepare), verdict.problems, verdict.bundle.version
            except ConfigError as error:
                following = await self._fall_back(error.problems)
                if following is None:
                    raise
                verdict = following

    async def _advance(self, bundle: ConfigBundle, prepare: Prepare) -> str:
        change = await prepare(bundle)
        self.history.state = State.PREPARED
        try:
            changes = await change.commit()
        except BaseException:
            await change.discard()
            raise
        self.history.state = State.COMMITTED
        return await change.conclude(changes)
