"""Ejection: take an endpoint out for a while when real requests to it fail in a row."""

from __future__ import annotations

from gateway_core.config import OutlierDetectionConfig
from gateway_core.upstreams.outcome import FIRST_STATUS, is_server_error


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
    counted: they tell what is known already.

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
