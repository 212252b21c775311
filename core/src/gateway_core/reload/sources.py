"""The sources of a running gateway: followed, gathered, validated, and kept on disk once they are in force.

What stays as it was when documents of sources are bad is decided by `gateway_core.reload.fallback`.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Collection, Sequence
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, Final

from gateway_core.clock import SystemClock
from gateway_core.config import ConfigProblem, Document, Place
from gateway_core.config.documents import with_rights
from gateway_core.config.sources import ConfigSource, SourceContext, SourceUrl, WatchSet
from gateway_core.events import CONFIG_NOT_KEPT, DOCUMENTS_REJECTED, SOURCE_AWAITED, SOURCE_CACHED, emit
from gateway_core.failure_text import system_reason
from gateway_core.reload.bundle import Validator, Verdict
from gateway_core.reload.fallback import Trial
from gateway_core.reload.last_good import LastGood, not_kept
from gateway_core.reload.source_feeds import Sessions, SourceFeed, marks_of, open_sources
from gateway_core.shortages import end_shortage, note_shortage
from gateway_core.tasks import Tasks

QUIET: Final = 0.1
"""Seconds without a change after which a burst of changes counts as over."""

LONGEST_BURST: Final = 0.5
COLD_START_WAIT: Final = 3.0
FIRST_NOTICE: Final = 2.0
"""Seconds after which a start logs what it waits for."""

NEXT_NOTICE: Final = 10.0
"""Seconds after which it does so again."""

MOST_TRIALS: Final = 5
"""Validations that one change may take: the wanted documents, then with more and more of the last good ones."""


OpenSources = Callable[[Sequence[SourceUrl], SourceContext], Awaitable[Sequence[ConfigSource]]]


class Sources:
    """All sources of one gateway."""

    def __init__(
        self,
        urls: Sequence[SourceUrl],
        state: Path,
        validator: Validator,
        *,
        open_sources: OpenSources = open_sources,
        cold_start_wait: float = COLD_START_WAIT,
        first_notice: float = FIRST_NOTICE,
        next_notice: float = NEXT_NOTICE,
    ) -> None:
        """Begin without documents.

        :param state: the directory for the last good documents.
        :param cold_start_wait: seconds that a start waits for a silent source of which last good documents are kept.
        :param first_notice: seconds after which it logs that it waits for one of which there are none.
        :param next_notice: seconds after which it does so again.
        """
        self._urls = tuple(urls)
        self._validator = validator
        self._open = open_sources
        self._cold_start_wait = cold_start_wait
        self._notices = first_notice, next_notice
        self._store = LastGood(state, [url.identity for url in urls])
        self._sessions = Sessions()
        self._tasks = Tasks()
        self._changed = asyncio.Event()
        self._feeds: list[SourceFeed] = []
        self._good: list[tuple[Document, ...]] = [()] * len(self._urls)
        """Of each source, the documents that are in force or were when the gateway ended."""
        self._tried: list[tuple[Document, ...]] = []
        """Of each source, the documents that were validated last."""
        self._candidate: Trial | None = None
        self._is_in_force = False
        self._paths: tuple[Path, ...] = ()
        self._watch = WatchSet()
        self._problems: tuple[ConfigProblem, ...] = ()
        """Of what was validated last, those that preparing it has found included."""
        self._rejected: frozenset[str] = frozenset()

    async def start(self, on_change: Callable[[str], None]) -> None:
        """Follow the sources from now on.

        :param on_change: called with the reason when documents changed, once for a burst of changes.
        :raises SourceError: there is no such source, or its URL cannot work.
        """
        rng = Random()  # noqa: S311  # spreads load, keeps no secret
        context = SourceContext(SystemClock(), rng, os.environ, self._sessions.get)
        opened = await self._open(self._urls, context)
        await self._load_last_good()
        for url, source, mark in zip(self._urls, opened, marks_of(self._urls), strict=True):
            self._feeds.append(SourceFeed(str(url), source, rng, self._changed.set, url.rights, mark=mark))
        for feed in self._feeds:
            self._tasks.supervise(feed.run, name=f"follow {feed.name}")
        self._tasks.supervise(partial(self._gather, on_change), name="gather changes of sources")

    async def ready(self, *on_wait: Callable[[str], None]) -> None:
        """Wait until every source has responded, or is known to be away while its last good documents are at hand.

        :param on_wait: are called with what is waited for, now and then, besides a line in the log.
        """
        pairs = zip(self._feeds, self._good, strict=True)
        await asyncio.gather(*(self._wait_for(feed, on_wait, kept=bool(good)) for feed, good in pairs))
        for feed, good in zip(self._feeds, self._good, strict=True):
            if feed.documents is None and good:
                why = feed.reason or "it does not respond"
                text = f"{feed.name} is unreachable, its last good documents are used from {self._store.path}: {why}"
                emit(SOURCE_CACHED, text, source=feed.name, reason=why, path=str(self._store.path))

    async def validate(self, paths: Sequence[Path]) -> Verdict:
        """Validate files and documents; where documents are bad, with their last good versions instead.

        :returns: a verdict without a bundle only if nothing of what is new can be in force; else with the problems of
            the documents that it does without.
        :raises ValidationFailedError: there is no verdict.
        """
        self._tried = self._wanted()
        self._paths, self._problems, self._watch = tuple(paths), (), WatchSet()
        return await self._validate(Trial({document.name: document for part in self._tried for document in part}))

    async def fall_back(self, problems: Collection[ConfigProblem]) -> Verdict | None:
        """Validate what was validated last without what could not be prepared; None if nothing is left that is new.

        :raises ValidationFailedError: there is no verdict.
        """
        trial, self._candidate = self._candidate, None
        if trial is None:
            return None
        self._problems = tuple(dict.fromkeys([*self._problems, *problems]))
        following = self._without(trial, problems)
        if following is None:
            self._reject()
            return None
        return await self._validate(following)

    async def _validate(self, trial: Trial) -> Verdict:
        self._candidate = None
        for _ in range(MOST_TRIALS):
            verdict = await self._judge(self._paths, tuple(trial.documents.values()))
            self._watch |= verdict.watch
            if verdict.bundle is not None:
                self._candidate = trial
                return Verdict(self._watch, verdict.bundle, self._problems if trial.kept else ())
            self._problems = tuple(dict.fromkeys([*self._problems, *verdict.problems]))
            following = self._without(trial, verdict.problems)
            if following is None:
                break
            trial = following
        self._reject()
        return Verdict(self._watch, problems=self._problems)

    def _without(self, trial: Trial, problems: Collection[ConfigProblem]) -> Trial | None:
        good = {document.name: document for part in self._good for document in part}
        following = trial.without(problems, good)
        if following is None or self._paths:
            return following
        is_nothing_new = self._is_in_force and following.documents == good
        return None if is_nothing_new or not following.documents else following

    def _reject(self) -> None:
        good = {document.name: document for part in self._good for document in part}
        wanted = {document.name: document for part in self._tried for document in part}
        self._rejected = frozenset(name for name in wanted if wanted[name] != good.get(name))

    async def keep(self) -> None:
        """Note that what was validated last is in force, and write it to disk."""
        trial, self._candidate = self._candidate, None
        if trial is None:
            return
        before = {document.name for part in self._good for document in part}
        self._note(trial.kept & before, trial.kept - before, self._problems)
        self._is_in_force = True
        good = self._by_source(trial)
        if good == self._good and self._store.path.exists():
            return
        self._good = good
        try:
            await asyncio.to_thread(self._store.save, good)
        except OSError as error:
            text = f"the last good documents cannot be kept in {self._store.path}: {error}"
            emit(CONFIG_NOT_KEPT, text, path=str(self._store.path), reason=str(error))
            note_shortage("state", not_kept(self._store.path), system_reason(error).lower(), None)
        else:
            end_shortage(not_kept(self._store.path))

    def status(self) -> list[dict[str, Any]]:
        """Return what the admin listener shows of each source."""
        return [
            {
                "source": feed.name,
                "stale": feed.is_stale or feed.documents is None,
                "reason": feed.reason,
                "confirmed_at": feed.confirmed_at,
                "documents": [document.name for document in documents],
                "rejected": sorted(document.name for document in documents if document.name in self._rejected),
                "gone": sorted(self._rejected & ({each.name for each in good} - {each.name for each in documents})),
                "problems": [str(each) for each in self._problems if _is_of(each, feed.name, documents)],
            }
            for feed, documents, good in zip(self._feeds, self._wanted(), self._good, strict=True)
        ]

    async def aclose(self) -> None:
        """Let go of the sources."""
        await self._tasks.aclose()
        await self._sessions.aclose()

    # -- inside

    def _wanted(self) -> list[tuple[Document, ...]]:
        """Return the documents of each source: its last state, else what was kept of it."""
        pairs = zip(self._feeds, self._good, strict=True)
        return [good if feed.documents is None else feed.documents for feed, good in pairs]

    async def _judge(self, paths: Sequence[Path], documents: tuple[Document, ...]) -> Verdict:
        if documents or paths:
            return await self._validator.validate(paths, documents)
        names = ", ".join(feed.name for feed in self._feeds)
        problem = ConfigProblem(Place(names), "", "holds no configuration documents", code="document.none")
        return Verdict(WatchSet(), problems=(problem,))

    def _note(self, kept: frozenset[str], left_out: frozenset[str], problems: tuple[ConfigProblem, ...]) -> None:
        rejected = kept | left_out
        if rejected:
            texts = [
                f"documents rejected, {what}: {', '.join(sorted(names))}"
                for what, names in (
                    ("their last good versions stay in force", kept),
                    ("left out as they were never in force", left_out),
                )
                if names
            ]
            emit(
                DOCUMENTS_REJECTED,
                "; ".join(texts),
                details="\n".join(problem.render() for problem in problems),
                documents=sorted(rejected),
                problems=len(problems),
            )
        self._rejected, self._problems = rejected, problems

    def _by_source(self, trial: Trial) -> list[tuple[Document, ...]]:
        """Sort documents back to their sources; one that is gone from its source belongs where it was."""
        owner = {
            document.name: number
            for parts in (self._good, self._wanted())
            for number, part in enumerate(parts)
            for document in part
        }
        found: list[list[Document]] = [[] for _ in self._urls]
        for name, document in trial.documents.items():
            found[owner[name]].append(document)
        return [tuple(documents) for documents in found]

    async def _load_last_good(self) -> None:
        try:
            kept = await asyncio.to_thread(self._store.load)
        except (OSError, ValueError) as error:
            text = f"the last good documents in {self._store.path} cannot be used: {error}"
            emit(CONFIG_NOT_KEPT, text, path=str(self._store.path), reason=str(error))
        else:
            if kept:
                pairs = zip(self._urls, kept, strict=True)
                self._good = [with_rights(documents, url.rights) for url, documents in pairs]

    async def _wait_for(self, feed: SourceFeed, on_wait: Sequence[Callable[[str], None]], *, kept: bool) -> None:
        if not kept:
            await self._wait_for_first(feed, on_wait)
            return
        try:
            async with asyncio.timeout(self._cold_start_wait):
                await feed.heard.wait()
        except TimeoutError:
            return

    async def _wait_for_first(self, feed: SourceFeed, on_wait: Sequence[Callable[[str], None]]) -> None:
        """Wait for a source of which there is nothing to start with, and log that again and again."""
        clock = SystemClock()
        began = clock.monotonic()
        seconds, further = self._notices
        while not feed.responded.is_set():
            try:
                async with asyncio.timeout(seconds):
                    await feed.responded.wait()
            except TimeoutError:
                waited, reason = round(clock.monotonic() - began), feed.reason or "no response yet"
                text = f"waiting for {feed.name}, without which there is nothing to start with"
                emit(SOURCE_AWAITED, f"{text}, for {waited} s: {reason}", source=feed.name, reason=reason)
                for tell in on_wait:
                    tell(f"waiting for {feed.name}: {reason}")
            seconds = further

    async def _gather(self, on_change: Callable[[str], None]) -> None:
        while True:
            await self._changed.wait()
            last_call = asyncio.get_running_loop().time() + LONGEST_BURST
            while self._changed.is_set():
                self._changed.clear()
                left = last_call - asyncio.get_running_loop().time()
                try:
                    async with asyncio.timeout(min(QUIET, max(left, 0))):
                        await self._changed.wait()
                except TimeoutError:
                    break
            self._changed.clear()
            if self._wanted() != self._tried:
                on_change(self._what_changed())

    def _what_changed(self) -> str:
        changed: list[str] = []
        for wanted, tried in zip(self._wanted(), self._tried or self._good, strict=True):
            before = {document.name: document for document in tried}
            now = {document.name: document for document in wanted}
            changed += [name for name in {**before, **now} if before.get(name) != now.get(name)]
        more = f" and {len(changed) - 3} more" if len(changed) > 3 else ""
        return f"{', '.join(changed[:3])}{more} changed" if changed else "the order of the documents changed"


def _is_of(problem: ConfigProblem, source: str, documents: Sequence[Document]) -> bool:
    """Whether a problem is in one of these documents of a source, or in one that it had."""
    file = problem.place.file
    is_below = file.startswith(source) and not file.startswith(f"{source} (")
    return is_below or any(file == document.name for document in documents)
