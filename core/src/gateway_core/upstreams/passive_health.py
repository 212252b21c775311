"""What an upstream learns from how its requests ended: ejections, breakers, addresses that are unreachable.

An endpoint that the configuration names is left out only by the rules that are configured. Discovered ones are like the
addresses of one name (RFC 8305): one that cannot be connected to is passed over for a moment while another serves.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

from gateway_core.config import OutlierDetectionConfig
from gateway_core.events import (
    BREAKER_CLOSED,
    BREAKER_HALF_OPEN,
    BREAKER_OPENED,
    ENDPOINT_EJECTED,
    emit,
)
from gateway_core.upstreams.admission import Load
from gateway_core.upstreams.breaker import BreakerState
from gateway_core.upstreams.endpoint import Endpoint
from gateway_core.upstreams.health import eject, may_eject, note_failure, note_success
from gateway_core.upstreams.outcome import BLAMELESS, FIRST_SERVER_ERROR, FIRST_STATUS, Outcome

UNREACHABLE_SECONDS: Final = 10.0
"""How long a discovered endpoint is left out after a connect failure, while another is usable."""

_BREAKER_EVENTS: Final = {
    BreakerState.OPEN: BREAKER_OPENED,
    BreakerState.HALF_OPEN: BREAKER_HALF_OPEN,
    BreakerState.CLOSED: BREAKER_CLOSED,
}


class PassiveHealth:
    """What one upstream learns from how its requests ended: ejections, breakers, unreachable addresses."""

    __slots__ = ("_configured", "_load", "_outliers", "_upstream")

    def __init__(
        self, upstream: str, outliers: OutlierDetectionConfig | None, load: Load, configured: Collection[str]
    ) -> None:
        """Learn for an upstream.

        :param upstream: its name, for the log.
        :param outliers: when to eject; None never does.
        :param configured: ids of the endpoints that were not discovered.
        """
        self._upstream = upstream
        self._outliers = outliers
        self._load = load
        self._configured = configured

    def learn(
        self, endpoint: Endpoint, outcome: int, started: float, now: float, error: str, members: Sequence[Endpoint]
    ) -> None:
        """Record the outcome of a request, and notify the endpoint's watchers if its availability changed.

        :param members: all endpoints of the upstream that may get requests at all.
        """
        breaker = endpoint.breaker
        was_guarded = endpoint.is_guarded
        was_until, was_state = endpoint.ejection.until, breaker and breaker.state
        if outcome in BLAMELESS:
            if breaker is not None:
                breaker.record_nothing(started)
        elif FIRST_STATUS <= outcome < FIRST_SERVER_ERROR:
            self._load.earned += 1
            endpoint.is_unreachable = False
            note_success(endpoint.ejection)
            if breaker is not None:
                breaker.record_success(started, now)
        else:
            self._learn_failure(endpoint, outcome, started, now, error, members)
        endpoint.refresh_flags()
        if was_guarded or endpoint.is_guarded or endpoint.ejection.until != was_until:
            endpoint.notify()
        if endpoint.ejection.until != was_until:
            endpoint.counts.ejections += 1
            out_for = endpoint.ejection.until - now
            emit(
                ENDPOINT_EJECTED,
                f"endpoint {endpoint.id} of upstream {self._upstream!r} is ejected for {out_for:g} s: "
                f"{endpoint.last_error}",
                upstream=self._upstream,
                endpoint=endpoint.id,
                reason=endpoint.last_error,
                seconds=out_for,
            )
        if breaker is not None and breaker.state is not was_state:
            event, reason = _BREAKER_EVENTS[breaker.state], None
            text = f"circuit breaker of endpoint {endpoint.id} of upstream {self._upstream!r} is {breaker.state.value}"
            if breaker.state is BreakerState.OPEN:
                endpoint.counts.openings += 1
                reason = endpoint.last_error
                text += f": {reason}"
            emit(event, text, upstream=self._upstream, endpoint=endpoint.id, reason=reason)

    def _learn_failure(
        self, endpoint: Endpoint, outcome: int, started: float, now: float, error: str, members: Sequence[Endpoint]
    ) -> None:
        state, settings = endpoint.ejection, self._outliers
        endpoint.is_unreachable = outcome == Outcome.CONNECT_FAILURE
        endpoint.last_error = error or (
            f"responded {outcome}" if outcome >= FIRST_STATUS else Outcome(outcome).name.lower().replace("_", " ")
        )
        if settings is not None and note_failure(settings, state, outcome, started):
            ejected = sum(other.ejection.is_ejected(now) for other in members)
            if may_eject(settings, len(members), ejected):
                eject(settings, state, now)
        is_dead_address = outcome == Outcome.CONNECT_FAILURE and endpoint.id not in self._configured
        if is_dead_address and any(other is not endpoint and other.is_usable(now) for other in members):
            # Not every request should wait for it.
            state.until = max(state.until, now + UNREACHABLE_SECONDS)
        if endpoint.breaker is not None:
            endpoint.breaker.record_failure(started, now)
