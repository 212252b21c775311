"""Health of one endpoint: the results of active checks and of requests. Pure; the I/O is in ``checker``.

Active checks (`HealthState`) and ejections (`EjectionState`) are counted apart: an endpoint is used while neither
speaks against it.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from gateway_core.config import HealthCheckConfig, OutlierDetectionConfig
from gateway_core.upstreams.outcome import FIRST_STATUS, is_server_error

HealthListener = Callable[[bool], None]
"""Is called after each check, with whether ``healthy`` has changed."""


class HealthState:
    """What is remembered of the checks of one address, for all endpoints that have it.

    An endpoint is healthy until a check fails, so that a gateway can serve before the first checks are
    done. The first result decides alone, since nothing is known that it could contradict; later ones must repeat.
    """

    __slots__ = (
        "_listeners",
        "checked",
        "healthy",
        "last_check",
        "last_check_error",
        "last_check_seconds",
        "recovered_at",
        "streak",
    )

    def __init__(self) -> None:
        self.healthy = True
        self.checked = False
        self.streak = 0
        """Results in a row that contradict ``healthy``."""
        self.recovered_at = float("-inf")
        """Monotonic seconds at which it became healthy again."""
        self.last_check = 0.0
        """Wall-clock seconds of the last check; 0 is never."""
        self.last_check_seconds = 0.0
        """How long it took."""
        self.last_check_error = ""
        """Why it failed; empty if it passed."""
        self._listeners: list[HealthListener] = []

    def subscribe(self, listener: HealthListener) -> None:
        """Call the listener after each check."""
        self._listeners.append(listener)

    def unsubscribe(self, listener: HealthListener) -> None:
        """Undo one :meth:`subscribe`."""
        self._listeners.remove(listener)

    def record(self, error: str, at: float, seconds: float, *, has_changed: bool) -> None:
        """Record the last check, once ``healthy`` is decided, and notify the listeners."""
        self.last_check, self.last_check_seconds, self.last_check_error = at, seconds, error
        for listener in list(self._listeners):
            listener(has_changed)


def note_result(settings: HealthCheckConfig, state: HealthState, now: float, *, passed: bool) -> bool:
    """Count the result of a check.

    :param now: monotonic seconds.
    :returns: whether ``state.healthy`` has changed.
    """
    is_first, state.checked = not state.checked, True
    if passed == state.healthy:
        state.streak = 0
        return False
    state.streak += 1
    needed = settings.healthy_threshold if passed else settings.unhealthy_threshold
    if state.streak < needed and not is_first:
        return False
    state.healthy = passed
    state.streak = 0
    if passed:
        state.recovered_at = now
    return True


def first_delay(settings: HealthCheckConfig, rng: Random) -> float:
    """Return the seconds before the first check: soon, but not all endpoints in the same instant."""
    return settings.interval * settings.jitter * rng.random()


def next_delay(settings: HealthCheckConfig, rng: Random) -> float:
    """Return the seconds from the start of one check to the start of the next: the interval, give or take jitter."""
    return settings.interval * (1 + settings.jitter * (2 * rng.random() - 1))


class EjectionState:
    """What is remembered of an endpoint's failures."""

    __slots__ = ("failures", "server_errors", "times", "until")

    def __init__(self) -> None:
        self.failures = 0
        """Requests in a row without a response."""
        self.server_errors = 0
        """Requests in a row with 5xx or without a response."""
        self.until = float("-inf")
        """When the last ejection ends or ended, in monotonic seconds."""
        self.times = 0
        """How many ejections the length of the next one is reckoned from."""

    def is_ejected(self, now: float) -> bool:
        """Tell whether the endpoint is out at present."""
        return now < self.until

    @property
    def has_streak(self) -> bool:
        """Whether the last result was a failure."""
        return self.server_errors > 0


def note_success(state: EjectionState) -> None:
    """Forget the failures in a row."""
    state.failures = state.server_errors = 0


def note_failure(settings: OutlierDetectionConfig, state: EjectionState, outcome: int, started: float) -> bool:
    """Count a failure.

    A failure counts as a 5xx response, too: to the client one is as bad as the other, and an endpoint that alternates
    between the two must not escape both counts. Requests that were started before the last ejection ended are not
    counted: they show nothing new.

    :param outcome: a 5xx status or a failure (see `Outcome`).
    :param started: monotonic seconds at which the request was started.
    :returns: whether the endpoint has earned an ejection.
    """
    if started < state.until:
        return False
    state.server_errors += 1
    state.failures = 0 if outcome >= FIRST_STATUS and is_server_error(outcome) else state.failures + 1
    return 0 < settings.consecutive_failures <= state.failures or 0 < settings.consecutive_5xx <= state.server_errors


def may_eject(settings: OutlierDetectionConfig, members: int, ejected: int) -> bool:
    """Tell whether one more endpoint may be ejected.

    At most ``max_ejection_percent`` of the endpoints, but one at least if there is another to take its requests;
    none for 0 percent.
    """
    percent = settings.max_ejection_percent
    if percent <= 0:
        return False
    allowed = int(members * percent / 100)
    return ejected < max(allowed, 1 if members >= 2 else 0)


def eject(settings: OutlierDetectionConfig, state: EjectionState, now: float) -> float:
    """Take the endpoint out: base time x number of ejections, up to the maximum.

    The number falls by one for each base time that the endpoint was back without another ejection.

    :returns: when the ejection ends.
    """
    base = settings.base_ejection_time
    if state.times and base > 0:
        state.times = max(0, state.times - int((now - state.until) / base))
    state.times += 1
    state.until = now + min(base * state.times, settings.max_ejection_time)
    note_success(state)
    return state.until
