"""Find hooks that block the event loop, from a thread beside it, at no cost to requests.

A watcher thread looks at the loop thread's stack a few times per threshold. If a hook is on it, the watcher asks the
loop for a sign of life; if the loop gives none for the threshold and the hook is still on the stack, the hook blocks,
and the stack says where it sits.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from types import FrameType
from typing import Final

from gateway_core.events import PLUGIN_BLOCKED_LOOP, TASK_FAILED, Repeats, emit, repeated
from gateway_core.hooks.hook_inspection import hook_codes
from gateway_core.memory import frame_of
from gateway_core.metrics import Metrics
from gateway_core.metrics.catalogue import PLUGIN_BLOCKED
from gateway_core.tasks import supervised

_LOG_INTERVAL: Final = 60.0
_LONG: Final = 1.0
"""Seconds after which a blockage is reported again when it is over."""

_LOOKS_PER_THRESHOLD: Final = 2

_NAME: Final = "watch for hooks that block"
_AGAIN: Final = 1.0
"""Seconds after a failure until the next look."""


@dataclass(frozen=True, slots=True)
class Blockage:
    """A hook that was seen to block."""

    plugin: str
    hook: str
    seconds: float
    """For how long so far, at least."""

    place: str
    """File and line at which the hook's own function was."""

    innermost: str
    """File and line at which the thread was."""

    is_over: bool = False
    """Whether the hook has let go since."""

    def __str__(self) -> str:
        at = self.place if self.place == self.innermost else f"{self.place}, in {self.innermost}"
        if self.is_over:
            return f"plugin {self.plugin!r} held the event loop for {self.seconds:.1f}s in {self.hook} at {at}"
        return f"plugin {self.plugin!r} blocks the event loop for {self.seconds * 1000:.0f}ms in {self.hook} at {at}"


class BlockingGuard:
    """Watches one event loop."""

    def __init__(
        self,
        *,
        threshold: float = 0.05,
        metrics: Metrics | None = None,
        report: Callable[[Blockage], None] | None = None,
    ) -> None:
        """Make a guard that is not running yet.

        :param threshold: seconds for which a hook may hold the loop.
        :param report: called in the watcher thread with each blockage; the default is a line in the log, at most one
            a minute per hook.
        """
        self.threshold = threshold
        self._metrics = metrics
        self._report = report or self._log
        self._repeats = Repeats(_LOG_INTERVAL)
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._loop_thread = 0

    def follow(self, threshold: float) -> None:
        """Watch the running loop with this threshold from now on; 0 is not at all."""
        if threshold <= 0:
            self.stop()
            return
        self.threshold = threshold
        if self._thread is None:
            self.start()

    def start(self) -> None:
        """Begin to watch the running loop, whose thread this must be."""
        self._loop = asyncio.get_running_loop()
        self._loop_thread = threading.get_ident()
        self._stopped.clear()
        self._thread = threading.Thread(target=self._watch, name="gateway-guard", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the watch."""
        self._stopped.set()
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.join(_LONG)  # what reports may hang

    def _watch(self) -> None:
        """Look until the guard is stopped; whatever goes wrong is logged once, counted, and the next look is taken."""
        while not self._stopped.is_set():
            try:
                self._look_on()
            except Exception as error:  # noqa: BLE001 - the top of this thread
                is_new = supervised.note_failure(_NAME, error)
                text = f"task {_NAME} failed, and begins again in {_AGAIN:g} s: {error!r}"
                shown = error if is_new else None
                emit(TASK_FAILED, text, error=shown, task=_NAME, reason=repr(error), seconds=_AGAIN)
                self._stopped.wait(_AGAIN)
        supervised.note_steady(_NAME)

    def _look_on(self) -> None:
        suspect: _Suspect | None = None
        looked_at, cpu = time.monotonic(), time.process_time()
        while not self._stopped.wait(pause := self.threshold / _LOOKS_PER_THRESHOLD):
            now, used = time.monotonic(), time.process_time()
            # C code that keeps the interpreter's lock (a hopeless regular expression) keeps this thread from looking:
            # then it is late, the process was busy meanwhile, and the hook is still there.
            held = now - looked_at - pause
            was_held = held > self.threshold and used - cpu > held / 2
            looked_at, cpu = now, used
            before, suspect = suspect, self._look(suspect, now, held if was_held else 0.0)
            if before is not None and before is not suspect and before.blockage and now - before.since >= _LONG:
                self._report(replace(before.blockage, seconds=now - before.since, is_over=True))

    def _look(self, suspect: _Suspect | None, now: float, held: float) -> _Suspect | None:
        frame = frame_of(self._loop_thread)
        found = _find_hook(frame)
        if found is None or frame is None:
            return None
        if suspect is None or suspect.loop_turned.is_set():
            return self._ask(now - held, self._note(frame, found, held) if held else None)
        if suspect.blockage is None and now - suspect.since >= self.threshold:
            suspect.blockage = self._note(frame, found, now - suspect.since)
        return suspect

    def _ask(self, since: float, blockage: Blockage | None) -> _Suspect | None:
        suspect = _Suspect(since, threading.Event(), blockage)
        assert self._loop is not None
        try:
            self._loop.call_soon_threadsafe(suspect.loop_turned.set)
        except RuntimeError:
            return None  # the loop is closed
        return suspect

    def _note(self, frame: FrameType, found: _Found, seconds: float) -> Blockage:
        plugin, hook, hook_frame = found
        if self._metrics is not None:
            self._metrics.count(PLUGIN_BLOCKED, plugin, hook)
        blockage = Blockage(plugin, hook, seconds, _place(hook_frame), _place(frame))
        self._report(blockage)
        return blockage

    def _log(self, blockage: Blockage) -> None:
        key = (blockage.plugin, blockage.hook, blockage.is_over)
        if count := self._repeats.count(key, time.monotonic()):
            emit(
                PLUGIN_BLOCKED_LOOP,
                f"{blockage}: {_remedy(blockage.hook)}{repeated(count)}",
                plugin=blockage.plugin,
                phase=blockage.hook,
                seconds=round(blockage.seconds, 3),
                file=blockage.place,
                count=count,
            )


@dataclass(slots=True)
class _Suspect:
    """A hook was on the stack, and the loop was asked for a sign of life."""

    since: float
    loop_turned: threading.Event
    blockage: Blockage | None
    """What was reported of it."""


_Found = tuple[str, str, FrameType]


def _find_hook(frame: FrameType | None) -> _Found | None:
    while frame is not None:
        entry = hook_codes.get(id(frame.f_code))
        if entry is not None:
            return entry[1], entry[2], frame
        frame = frame.f_back
    return None


def _remedy(hook: str) -> str:
    if hook in {"start", "stop"}:
        return "await what takes long, or do it by asyncio.to_thread"
    return "make it async, or mark it with @hookimpl_blocking"


def _place(frame: FrameType) -> str:
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"
