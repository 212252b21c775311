"""A named group of endpoints and its policies: which one gets the next request, and what its outcome changes."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import Enum
from random import Random
from typing import Final

from gateway_core.config import UpstreamConfig
from gateway_core.descriptors import LocalErrors
from gateway_core.events import Event
from gateway_core.upstreams.admission import Admission, Load
from gateway_core.upstreams.affinity import StickyCookie, compile_hash_key
from gateway_core.upstreams.discovery.feed import Feed
from gateway_core.upstreams.endpoint import AcquireEndpoint, Endpoint, EndpointSpec, Membership
from gateway_core.upstreams.failure_events import FailedRequest
from gateway_core.upstreams.outcome import FIRST_SERVER_ERROR, FIRST_STATUS, Outcome, code_of, reason_of, status_of
from gateway_core.upstreams.passive_health import PassiveHealth
from gateway_core.upstreams.resolver import Resolver
from gateway_core.upstreams.retry import RetryBudget, RetryPolicy
from gateway_core.upstreams.selection import ALWAYS, NO_CANDIDATES, Candidates, Selection, join, select
from gateway_core.upstreams.strategies import Strategy
from gateway_core.upstreams.transport import TransportSettings

_NOTHING: Final = Selection(NO_CANDIDATES, NO_CANDIDATES, ALWAYS, is_panic=False, fit=0)


class RefusalReason(Enum):
    """Why no endpoint can be had."""

    NO_ENDPOINTS = "no endpoint is configured or discovered"
    ALL_DOWN = "all endpoints are down or draining"
    ALL_UNHEALTHY = "no endpoint is healthy, and panic mode is off"
    BREAKER_OPEN = "all circuit breakers are open"


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why there is no endpoint at present, for a 503."""

    reason: RefusalReason
    retry_after: float
    """Seconds after which trying again may help; 0 is unknown. Round up for Retry-After."""


class Upstream:
    """Endpoints, a strategy and policies. Every ``pick`` is to be followed by exactly one ``record``.

    What outlives a snapshot comes from outside: the endpoints by lease, the strategy with its position, the load.
    """

    __slots__ = (
        "_all_members",
        "_backups",
        "_configured",
        "_is_stale",
        "_limits_endpoints",
        "_load",
        "_local_errors",
        "_members",
        "_membership",
        "_panic_threshold",
        "_passive_health",
        "_recheck_at",
        "_rng",
        "_selection",
        "_strategy",
        "_usable",
        "admission",
        "failures",
        "feed",
        "hash_key",
        "is_plain",
        "may_refuse",
        "name",
        "resolver",
        "retries",
        "retry_budget",
        "settings",
        "sticky",
        "strategy_name",
        "transport",
    )

    def __init__(
        self,
        settings: UpstreamConfig,
        *,
        transport: TransportSettings | None = None,
        resolver: Resolver | None = None,
        acquire: AcquireEndpoint,
        strategy: Strategy,
        load: Load | None = None,
        rng: Random | None = None,
        sticky_secret: bytes = b"",
        local_errors: LocalErrors | None = None,
        feed: Feed | None = None,
    ) -> None:
        """Begin without endpoints.

        :raises ValueError: for a ``hash_on`` that is none.
        """
        self.name = settings.name
        self.settings = settings
        self.transport = TransportSettings.of(settings) if transport is None else transport
        """How connections to its endpoints are made and kept."""
        self.may_refuse = self.transport.may_refuse  # which takes a call each time
        """Whether an endpoint may refuse a request that it has not acted upon, whatever the method (HTTP/2)."""
        self.resolver = resolver
        """Resolves the names of its endpoints; None uses the system's resolver."""
        self.feed = feed
        """Where endpoints come from that are not configured, if anywhere; for status pages."""
        self.hash_key = compile_hash_key(settings.hash_on)
        """Finds the key of a request, or None if the strategy needs none."""
        self.admission = Admission(settings.limits, Load(self.name) if load is None else load)
        self.retries = RetryPolicy(settings.retries)
        self.retry_budget = RetryBudget(
            self.retries.settings.budget_percent, self.retries.settings.budget_minimum, self.admission.load
        )
        cookie = settings.sticky_cookie
        self.sticky = None if cookie is None else StickyCookie(cookie, sticky_secret or self.name.encode())
        self.is_plain = self.hash_key is None and self.sticky is None
        """Whether the choice of an endpoint does not depend on the request."""
        self._load = self.admission.load
        self.failures = self._load.failures
        """What the log says of requests that fail."""
        self._local_errors = LocalErrors() if local_errors is None else local_errors
        self._configured = frozenset(endpoint.id for endpoint in settings.endpoints)
        self._membership = Membership(acquire, self)
        self._strategy = strategy
        self.strategy_name = settings.strategy
        """The strategy in force, which a discovery may have named."""
        self._rng = Random() if rng is None else rng  # noqa: S311 - spreads load, keeps no secret
        outliers = settings.outlier_detection
        self._passive_health = PassiveHealth(
            self.name, outliers if outliers is not None and outliers.enable else None, self._load, self._configured
        )
        self._panic_threshold = settings.panic_threshold if settings.panic else None
        self._limits_endpoints = settings.limits.max_connections_per_endpoint > 0
        self._members = self._backups = self._all_members = NO_CANDIDATES
        self._is_stale = False
        self._selection = _NOTHING
        self._usable = NO_CANDIDATES
        self._recheck_at = ALWAYS

    def set_endpoints(self, specs: Iterable[EndpointSpec]) -> list[Endpoint]:
        """Have exactly these endpoints; unchanged ones keep their state.

        :returns: endpoints that are no longer used, for the caller to ``aclose()``.
        """
        closing = self._membership.replace(specs)
        self._is_stale = True
        self._recheck_at = ALWAYS
        return closing

    def change_endpoints(self, put: Iterable[EndpointSpec], remove: Iterable[str] = ()) -> list[Endpoint]:
        """Add or change some endpoints and remove others by id, at the cost of these only.

        :returns: endpoints that are no longer used, for the caller to ``aclose()``.
        """
        closing = self._membership.change(put, remove)
        self._is_stale = True
        self._recheck_at = ALWAYS
        return closing

    def use_strategy(self, strategy: Strategy, name: str) -> None:
        """Choose with another strategy from the next request on."""
        self.strategy_name = name
        self._strategy = strategy
        self._is_stale = True
        self._recheck_at = ALWAYS

    @property
    def endpoints(self) -> list[Endpoint]:
        """All endpoints, in the order of the configuration."""
        return [endpoint for _, endpoint in self._membership]

    @property
    def members(self) -> list[tuple[EndpointSpec, Endpoint]]:
        """All endpoints with what is configured of them."""
        return list(self._membership)

    @property
    def leaving(self) -> list[Endpoint]:
        """Endpoints that were removed while requests to them are still in progress."""
        return self._membership.leaving()

    def invalidate(self) -> None:
        """Look at all endpoints again at the next pick."""
        self._recheck_at = ALWAYS

    def selection(self, now: float) -> Selection:
        """Return which endpoints may get a request now."""
        if now >= self._recheck_at:
            self._refresh(now)
        return self._selection

    @property
    def is_panic(self) -> bool:
        """Whether unhealthy endpoints got requests when it was last looked at."""
        return self._selection.is_panic

    def is_available(self, now: float) -> bool:
        """Return whether a request may go to a healthy endpoint."""
        selection = self.selection(now)
        return selection.fit > 0 and bool(selection.candidates.endpoints)

    def pick(
        self, key: str | None, now: float, attempted: Collection[Endpoint] = (), cookie: str | None = None
    ) -> Endpoint | None:
        """Choose the endpoint for a request.

        :param key: what ``hash_key`` found in the request.
        :param now: monotonic seconds; pass the same value, or a later one, as ``started`` to :meth:`record`.
        :param attempted: endpoints that this request was sent to before; another one is preferred.
        :param cookie: the value of the sticky cookie, if the upstream has one and the client sent it.
        :returns: None if there is none; :meth:`refusal` says why.
        """
        if now >= self._recheck_at:
            self._refresh(now)
        usable = self._usable
        if not usable.endpoints:
            return None
        if attempted or cookie is not None:
            return self._pick_specially(key, now, attempted, cookie)
        endpoint = usable.only or self._strategy.pick(usable, key, self._rng)
        if endpoint.is_guarded or self._limits_endpoints:
            return self._settle(endpoint, key, now, attempted)
        return endpoint

    def pick_again(self, endpoint: Endpoint, now: float) -> Endpoint | None:
        """Choose an endpoint that a client is tied to; None if it may not get a request now."""
        if now >= self._recheck_at:
            self._refresh(now)
        if endpoint not in self._usable.endpoints:
            return None
        breaker = endpoint.breaker
        return endpoint if breaker is None or not endpoint.is_guarded or breaker.enter(now) else None

    def record(
        self,
        endpoint: Endpoint,
        outcome: int,
        started: float,
        now: float,
        error: str = "",
        event: Event | None = None,
        responded: float = 0.0,
        request: FailedRequest | None = None,
    ) -> None:
        """Learn from how a request has ended.

        :param outcome: an HTTP status, a `grpc_outcome` or an `Outcome`.
        :param started: monotonic seconds of the pick; what began before a breaker or an ejection changed its state
            says nothing about the new one.
        :param error: why it failed, for status pages and the log.
        :param event: what the log calls the failure; None writes nothing.
        :param responded: monotonic seconds of the response's head, if that was not now.
        :param request: the client's request that it was for, for the log.
        """
        if FIRST_STATUS <= outcome < FIRST_SERVER_ERROR and endpoint.is_calm:
            self._load.earned += 1
            endpoint.counts.respond(outcome, (responded or now) - started)
            breaker = endpoint.breaker
            if breaker is not None:
                breaker.record_success(started, now)
            return
        if outcome >= FIRST_STATUS:
            if code := code_of(outcome):
                outcome, error = status_of(outcome), f"responded {code.name}"
            endpoint.counts.respond(outcome, (responded or now) - started)
        elif (reason := reason_of(outcome, event)) is not None:
            endpoint.counts.fail(reason)
        if event is not None:
            self.failures.failed(event, endpoint.id, error, now, request)
        if outcome == Outcome.LOCAL:
            self._local_errors.note(error, now)
        self._passive_health.learn(endpoint, outcome, started, now, error, self._all_members.endpoints)

    def can_fail_over(self, endpoint: Endpoint, attempted: Collection[Endpoint]) -> bool:
        """Tell whether a request that found no connection to a discovered endpoint may go on to another one at once.

        :param attempted: endpoints that the request was sent to so far.
        """
        if endpoint.id in self._configured:
            return False
        return any(other is not endpoint and other not in attempted for other in self._usable.endpoints)

    def refusal(self, now: float) -> Refusal:
        """Say why :meth:`pick` returned None."""
        if not len(self._membership):
            return Refusal(RefusalReason.NO_ENDPOINTS, 0.0)
        members = self._all_members.endpoints
        if not members:
            return Refusal(RefusalReason.ALL_DOWN, 0.0)
        if self._panic_threshold is None and not any(endpoint.is_fit(now) for endpoint in members):
            # Ejections end by themselves; when a health check passes again is unknown.
            ends = [e.ejection.until - now for e in members if e.healthy]
            return Refusal(RefusalReason.ALL_UNHEALTHY, max(0.0, min(ends, default=0.0)))
        waits = [e.breaker.retry_after(now) for e in members if e.breaker is not None]
        if not waits:
            return Refusal(RefusalReason.ALL_DOWN, 0.0)
        return Refusal(RefusalReason.BREAKER_OPEN, min(waits))

    def release(self) -> list[Endpoint]:
        """Give back all endpoints.

        :returns: endpoints that are no longer used, for the caller to ``aclose()``.
        """
        closing = self.set_endpoints(())
        self._membership.close()
        return closing

    def _refresh(self, now: float) -> None:
        if self._is_stale:
            self._is_stale = False
            self._members = Candidates.of(self._membership.weighted(backup=False))
            self._backups = Candidates.of(self._membership.weighted(backup=True))
            self._all_members = self._members
            if self._backups.endpoints:
                self._all_members = join(self._members, self._backups)
            self._strategy.update(self._all_members)
        selection = select(self._members, self._panic_threshold, now, self._backups, self.settings.slow_start)
        self._selection = selection
        self._recheck_at = selection.until
        chosen = selection.candidates
        if not chosen.is_same(self._usable):
            self._usable = chosen

    def _pick_specially(
        self, key: str | None, now: float, attempted: Collection[Endpoint], cookie: str | None
    ) -> Endpoint | None:
        if not attempted and cookie is not None and self.sticky is not None:
            named = self.sticky.endpoint_for(cookie, self._usable)
            if named is not None:
                return self._guard(named, key, now, attempted)
        rest = self._without(attempted) if attempted else self._usable
        if rest is self._usable:
            chosen = self._strategy.pick(rest, key, self._rng)
        else:
            chosen = self._strategy.pick_again(rest, key, self._rng)
        return self._settle(chosen, key, now, attempted)

    def _settle(
        self, endpoint: Endpoint, key: str | None, now: float, attempted: Collection[Endpoint]
    ) -> Endpoint | None:
        """Go elsewhere when the first choice is full, and get the permission of the final one's breaker."""
        is_full = self.admission.is_full
        if self._limits_endpoints and is_full(endpoint) and (key is None or not self._strategy.is_keyed):
            free = self._without(attempted).where(lambda other: not is_full(other))
            if free.endpoints:
                endpoint = self._strategy.pick_again(free, key, self._rng)
        return self._guard(endpoint, key, now, attempted)

    def _guard(
        self, endpoint: Endpoint, key: str | None, now: float, attempted: Collection[Endpoint]
    ) -> Endpoint | None:
        breaker = endpoint.breaker
        if breaker is None or not endpoint.is_guarded:
            return endpoint
        if breaker.enter(now):
            return endpoint
        # The list of usable endpoints was older than the last probe; the new one leaves this endpoint out.
        endpoint.notify()
        return self.pick(key, now, attempted)

    def _without(self, attempted: Collection[Endpoint]) -> Candidates:
        """Return the usable endpoints that were not attempted, else such backups, else all usable endpoints."""
        if not attempted:
            return self._usable
        for candidates in (self._usable, self._selection.reserve):
            rest = candidates.where(lambda endpoint: endpoint not in attempted)
            if rest.endpoints:
                return rest
        return self._usable
