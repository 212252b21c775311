"""The plugin: one instance limits the requests of one binding."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable, Sequence
from typing import Final

from gateway_plugin_sdk import ConfigFinding, Plugin, PluginContext, Record, Request, Response, hookimpl
from gateway_plugin_sdk.certificates import certificate_findings

from gateway_plugin_ratelimit.algorithms import Concurrency, Decision, Rule
from gateway_plugin_ratelimit.conditions import compile_exemptions
from gateway_plugin_ratelimit.config import LimitOptions, RateLimitConfig
from gateway_plugin_ratelimit.fields import ALMOST_ONE, OLDER_NAMES, FieldWriter, FilledFields
from gateway_plugin_ratelimit.keys import LONGEST_KEY, NEEDS_IDENTITY
from gateway_plugin_ratelimit.limits import MISSING, Limit
from gateway_plugin_ratelimit.loopholes import find_loopholes
from gateway_plugin_ratelimit.path_params import path_params
from gateway_plugin_ratelimit.reservation import Reservation
from gateway_plugin_ratelimit.resources import resources_of
from gateway_plugin_ratelimit.responses import missing_key, refusal, unavailable
from gateway_plugin_ratelimit.stores import Charge, Remaining, Store
from gateway_plugin_ratelimit.stores.scripts import cluster_tag

_REFUSAL: Final = "ratelimit.refusal"


class RateLimit(Plugin[RateLimitConfig]):
    """Limits how often, how much or how many at once, by any property of a request."""

    name = "ratelimit"
    config_model = RateLimitConfig
    access_control = True

    def __init__(self, config: RateLimitConfig, context: PluginContext) -> None:
        super().__init__(config, context)
        self.needs = _needs(config)
        binding = f"{context.route or ''}/{context.binding}"
        named = config.named_limits(context.binding)
        tag = _tag_of([options for _, options in named], binding)
        self._limits = tuple(
            Limit(name, options, f"group {options.group}" if options.group else f"binding {binding}", tag)
            for name, options in named
        )
        self._is_exempt = compile_exemptions(config.exempt)
        self._slot = f"ratelimit {binding}"
        self._fields = FieldWriter(config.headers) if config.headers else None
        self._debits = any(limit.response_cost for limit in self._limits)
        self._holds = any(limit.is_concurrency for limit in self._limits)
        self._weighs = any(limit.counts_body for limit in self._limits)
        idle = {
            "gateway_log": not self._holds and not self._weighs,
            "gateway_response": self._fields is None and not self._debits,
        }
        self.idle_hooks = frozenset(name for name, is_idle in idle.items() if is_idle)
        self._charge_one: Charge | None = None
        self._prefix, self._key_of, self._is_address = self._limits[0].counter_parts
        self._one_limit: FilledFields | None = None  # the fields of requests that were let pass by the short way
        self._store: Store
        self._is_started = False
        self._refused = self.metrics.local_counter(
            "gateway_ratelimit_refused", "Requests that a limit refused.", ("route", "binding", "limit")
        )
        for limit in self._limits:  # from 0 on, so that the first refusal is an increase
            self._refused.labels(context.route or "", context.binding, limit.name)

    @classmethod
    def check_config(cls, config: RateLimitConfig) -> Iterable[ConfigFinding]:
        """Warn where a client can free itself of a limit by what it sends, and look at the files of certificates."""
        yield from find_loopholes(config)
        tls = None if config.redis is None else config.redis.tls
        if tls is not None:
            files = {"ca": tls.ca, "cert": tls.cert, "key": tls.key}
            yield from certificate_findings(("redis", "tls"), files)

    @classmethod
    def params_of(cls, config: RateLimitConfig) -> Iterable[tuple[tuple[str | int, ...], str]]:
        """Return the parameters in keys and conditions."""
        return path_params(config)

    async def start(self) -> None:
        """Find the counters, or make them."""
        self._store = await resources_of(self.context).acquire(self.config, self.context)
        self._is_started = True
        if self._holds:
            try:
                self._store.acquire_slot()
            except BaseException:
                await self.stop()
                raise
        limit = self._limits[0]
        rule = limit.constant_rule
        if rule is not None and isinstance(limit.cost, int) and len(self._limits) == 1 and self._is_exempt is None:
            self._charge_one = self._store.compiled(rule, limit.cost)
            self._one_limit = self._fields.compiled(limit, rule) if self._fields is not None else None

    async def stop(self) -> None:
        """Give the counters back."""
        if self._is_started:
            self._is_started = False
            await resources_of(self.context).release(self.config)

    @hookimpl
    def gateway_pre_proxy(self, request: Request) -> Response | Awaitable[Response | None] | None:
        """Charge the request to its limits; refuse it, hold it back, or let it pass."""
        take = self._charge_one
        if take is not None:
            # The way of most requests: one limit, counted here, and it lets them pass at once.
            key = self._key_of(request)
            if key and len(key) <= LONGEST_KEY and not (self._is_address and ":" in key):
                left = take(self._prefix + key)
                if left is not None:
                    request.state[self._slot] = left
                    if (fields := self._one_limit) is not None:
                        numbers = left[0], int(left[1] + ALMOST_ONE)
                        request.announced[self] = fields[numbers], OLDER_NAMES
                    return None
        if self._is_exempt is not None and self._is_exempt(request):
            return None
        reservation = self._select(request)
        if reservation is None:
            return None
        if isinstance(reservation, Response):
            request.state[_REFUSAL] = "key-missing"
            return reservation
        request.state[self._slot] = reservation
        pending = self._store.admit(reservation)
        return (
            self._settle(request, reservation) if pending is None else self._settle_later(pending, request, reservation)
        )

    async def _settle_later(
        self, pending: Awaitable[None], request: Request, reservation: Reservation
    ) -> Response | None:
        await pending
        result = self._settle(request, reservation)
        if isinstance(result, Response):
            return result
        if result is not None:
            await result
        return None

    def _select(self, request: Request) -> Reservation | Response | None:
        """Return which limits apply to a request and how; None if none does."""
        if len(self._limits) > 1:
            return self._select_several(request)
        limit = self._limits[0]
        counter = limit.counter_of(request)
        if counter is None:
            return None
        if counter is MISSING:
            return missing_key()
        rule = limit.rule_for(request)
        if rule is None:
            return None
        cost = limit.cost
        return Reservation((limit,), (rule,), (counter,), (cost if isinstance(cost, int) else cost(request),))

    def _select_several(self, request: Request) -> Reservation | Response | None:
        limits: list[Limit] = []
        rules: list[Rule | Concurrency] = []
        counters: list[str] = []
        costs: list[int] = []
        for limit in self._limits:
            counter = limit.counter_of(request)
            if counter is None:
                continue
            if counter is MISSING:
                return missing_key()
            rule = limit.rule_for(request)
            if rule is None:
                continue
            cost = limit.cost
            limits.append(limit)
            rules.append(rule)
            counters.append(counter)
            costs.append(cost if isinstance(cost, int) else cost(request))
        return Reservation(limits, rules, counters, costs) if limits else None

    def _settle(self, request: Request, reservation: Reservation) -> Response | Awaitable[None] | None:
        """Turn the decisions on a request into what the hook returns."""
        if reservation.unavailable is not None:
            request.state[_REFUSAL] = "store-away"
            return unavailable(reservation.unavailable, self.config.refusal.retry_jitter)
        held_back = 0.0
        for decision in reservation.decisions:
            if not decision.allowed:
                return self._refuse(request, reservation)
            held_back = max(held_back, decision.wait)
        return asyncio.sleep(held_back) if held_back else None

    def _refuse(self, request: Request, reservation: Reservation) -> Response:
        violated = reservation.violated
        # For logs: which limit it was.
        request.state[_REFUSAL] = ", ".join(violated)
        for name in violated:
            self._refused.labels(self.context.route or "", self.context.binding, name).inc()
        options = self.config.refusal
        return refusal(options.status, options.detail, violated, reservation.wait, options.retry_jitter)

    @hookimpl
    def gateway_response(self, request: Request, response: Response) -> None:
        """Tell the client what it has left."""
        reservation = request.state.get(self._slot)
        if type(reservation) is tuple:
            announced = request.announced.get(self)
            if announced is None or response.add_fields(*announced):
                return
            reservation = self._reservation_of(reservation)
        if reservation is None or not reservation.decisions:
            return
        if self._debits:
            self._debit(reservation, response)
        if self._fields is not None:
            self._fields.write(reservation, response)

    def _reservation_of(self, left: Remaining) -> Reservation:
        limit = self._limits[0]
        rule = limit.constant_rule
        reservation = Reservation((limit,), () if rule is None else (rule,), (), ())
        reservation.decisions = (Decision(True, None, left[0], left[1], 0.0),)
        return reservation

    def _debit(self, reservation: Reservation, response: Response) -> None:
        costs = [1 if limit.response_cost is None else limit.response_cost(response) for limit in reservation.limits]
        self._take_more(reservation, [max(0, cost - 1) for cost in costs])

    def _weigh(self, reservation: Reservation, length: int) -> None:
        # A chunked body says its length only by its end; one with a Content-Length was charged already.
        charged = zip(reservation.limits, reservation.costs, strict=True)
        self._take_more(reservation, [max(0, length - cost) if limit.counts_body else 0 for limit, cost in charged])

    def _take_more(self, reservation: Reservation, extra: Sequence[int]) -> None:
        if reservation.is_allowed and any(extra):
            self._store.debit(reservation, extra)

    @hookimpl
    def gateway_log(self, request: Request, response: Response, record: Record) -> None:  # noqa: ARG002 - as the spec
        """Count the request as over, and what its body weighed beyond what was charged."""
        reservation = request.state.get(self._slot)
        if type(reservation) is not Reservation:
            return
        if reservation.release is not None:
            reservation.release()
            reservation.release = None
        if self._weighs and reservation.decisions:
            self._weigh(reservation, record.bytes_received)


def _needs(config: RateLimitConfig) -> frozenset[str]:
    """Return an identity, if something is counted by it or depends on it."""
    limits = config.limits or (config,)
    sources = [source for condition in config.exempt for source in condition]
    for limit in limits:
        sources += [*limit.key, *(limit.when or ())]
        sources += [source for override in limit.overrides for source in override.when]
    return frozenset({"identity"} if any(source.startswith(NEEDS_IDENTITY) for source in sources) else ())


def _tag_of(limits: Sequence[LimitOptions], binding: str) -> str | None:
    """Return what the counters of a binding have in common on a cluster, where only one node decides at once.

    A limit by itself needs nothing: its counters spread over all nodes. Groups are used by several bindings, so all
    groups are together.
    """
    if any(limit.group for limit in limits):
        return "groups"
    return cluster_tag(binding) if len(limits) > 1 else None
