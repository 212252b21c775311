"""What became of the lines of a sink."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Final

from gateway_plugin_sdk import Clock, Metrics

_SECONDS_BETWEEN_WARNINGS: Final = 10.0
LOSSES: Final = (
    "overflow", "write-error", "rejected", "gave-up", "stop", "failed", "stopped", "writer-failed"
)  # fmt: skip
"""Reasons for which lines are lost."""

FILE_FAILURES: Final = ("open", "rotate", "compress")

_OURS: Final = frozenset({"write-error", "writer-failed", "failed"})
"""Reasons of losses that are failures of this gateway."""

_LOCK: Final = threading.Lock()
"""Held while anything is counted: sinks of one label share their counters, and each has a thread of its own."""


class SinkStats:
    """Counts the lines that a sink took, lost and sent again; may be used by any thread.

    Losing lines is also logged, at once, then at most every ten seconds, and at the end: a sink that is away must not
    flood the log that tells of it.
    """

    __slots__ = (
        "_clock",
        "_dropped",
        "_failures",
        "_label",
        "_last_failure",
        "_log",
        "_quiet_until",
        "_retries",
        "_troubles",
        "_unreported",
        "_written",
    )

    def __init__(self, label: str, metrics: Metrics, clock: Clock, log: logging.Logger) -> None:
        self._label = label
        self._clock = clock
        self._log = log
        self._quiet_until = 0.0
        self._unreported: dict[str, tuple[int, Callable[[], str] | str]] = {}
        self._written = metrics.local_counter("gateway_logger_lines", "Lines that a sink took", ("sink",))
        self._dropped = metrics.local_counter("gateway_logger_dropped", "Lines that were lost", ("sink", "reason"))
        self._last_failure = ""
        self._failures = metrics.local_counter(
            "gateway_logger_writer_failures", "Failures of the thread that writes lines", ("sink",)
        )
        self._retries = metrics.local_counter("gateway_logger_retries", "Batches that were sent again", ("sink",))
        self._troubles = metrics.local_counter(
            "gateway_logger_file_failures", "Failures to open, rotate or compress a file", ("sink", "what")
        )

        # The first line that is lost is to be seen as an increase.
        for reason in LOSSES:
            self._dropped.labels(label, reason)
        for what in FILE_FAILURES if label.startswith("file:") else ():
            self._troubles.labels(label, what)

    def wrote(self, lines: int) -> None:
        """Count lines that the sink took."""
        self._last_failure = ""
        with _LOCK:
            self._written.labels(self._label).inc(lines)

    def retried(self) -> None:
        """Count a batch that is sent again."""
        with _LOCK:
            self._retries.labels(self._label).inc()

    def troubled(self, what: str) -> None:
        """Count a file that cannot be opened, put aside or compressed; what loses no line, and is logged elsewhere."""
        with _LOCK:
            self._troubles.labels(self._label, what).inc()

    def failed(self, why: str) -> None:
        """Count a failure of what writes lines, which begins again; the same one is logged once until lines go out."""
        with _LOCK:
            self._failures.labels(self._label).inc()
            is_new, self._last_failure = why != self._last_failure, why
        if is_new:
            self._log.error("access log: the writer of %s failed and begins again: %s", self._label, why)

    def refused(self, lines: int, why: str) -> None:
        """Count lines of a batch that the other side took otherwise; with none of them it is a warning of its own."""
        if lines:
            self.dropped(lines, "rejected", why)
        elif self._may_speak():
            self._log.warning("access log: %s took a batch and warns: %s", self._label, why)

    def _may_speak(self) -> bool:
        now = self._clock.monotonic()
        with _LOCK:
            if now < self._quiet_until:
                return False
            self._quiet_until = now + _SECONDS_BETWEEN_WARNINGS
        return True

    def dropped(self, lines: int, reason: str, why: Callable[[], str] | str = "") -> None:
        """Count lines that are lost.

        :param reason: a word for the metric.
        :param why: what happened, for the log.
        """
        if not lines:
            return
        with _LOCK:
            self._dropped.labels(self._label, reason).inc(lines)
            self._unreported[reason] = self._unreported.get(reason, (0, ""))[0] + lines, why
        if self._may_speak():
            self.report()

    def report(self) -> None:
        """Log the losses that were not told of yet; called at the end, when nobody will come back to them."""
        with _LOCK:
            unreported, self._unreported = self._unreported, {}
        for reason, (count, why) in unreported.items():
            detail = why if isinstance(why, str) else why()
            lost = "1 line" if count == 1 else f"{count} lines"
            # A file that cannot be written is this machine's fault, and makes the gateway degraded; of what goes over a
            # network the other side may refuse lines or be slow.
            level = logging.ERROR if reason in _OURS else logging.WARNING
            text = "access log: %s lost for %s: %s%s"
            self._log.log(level, text, lost, self._label, reason, detail and f": {detail}")
