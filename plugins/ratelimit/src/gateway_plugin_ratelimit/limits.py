"""A configured limit, compiled: what it counts a request by, and by which rule."""

from __future__ import annotations

from collections.abc import Callable
from math import ceil
from operator import attrgetter
from typing import Final, NamedTuple

from gateway_plugin_sdk import Request, Response

from gateway_plugin_ratelimit.algorithms import Concurrency, FixedWindow, Rule, SlidingWindow, TokenBucket
from gateway_plugin_ratelimit.conditions import Condition, compile_condition
from gateway_plugin_ratelimit.config.limits import Amounts, LimitOptions
from gateway_plugin_ratelimit.costs import Cost, compile_cost, response_cost
from gateway_plugin_ratelimit.keys import Source, bounded, compile_key

MISSING: Final = "\0"
"""In place of a counter's name: the request has no key, and the limit wants it refused."""

UNITS: Final = {"content-length": "content-bytes", "concurrency": "concurrent-requests"}
"""Units of the IETF draft other than requests, by what is counted."""


class CounterParts(NamedTuple):
    """Names a counter without a call of ours: it is the prefix with the key, if that is no longer than
    `gateway_plugin_ratelimit.keys.LONGEST_KEY`.
    """

    prefix: str
    key: Source
    is_address: bool
    """Whether the key is an address of which only IPv4 is a key as it is: one with a colon is not."""


class Limit:
    """One limit of one binding; immutable, used by every request."""

    __slots__ = (
        "_counts_by_whole_address",
        "_key",
        "_missing",
        "_overrides",
        "_prefix",
        "_rule",
        "_when",
        "cost",
        "counts_body",
        "name",
        "response_cost",
        "tag",
        "unit",
    )

    def __init__(self, name: str, options: LimitOptions, scope: str, tag: str | None = None) -> None:
        """Compile.

        :param scope: where the limit counts on its own: the binding, or a group that several share.
        :param tag: what counters have in common that are charged together, see `counter_key` of the Redis store.
        """
        self.name = name
        self.tag = tag
        self._rule = make_rule(options, options.count_refused)
        self._overrides = tuple(
            (
                compile_condition(override.when, frees=override.unlimited or gives_more(options, override)),
                None if override.unlimited else make_rule(overridden(options, override), options.count_refused),
            )
            for override in options.overrides
        )
        self._when: Condition | None = None if options.when is None else compile_condition(options.when)
        self._key: Source = compile_key(options.key, ipv4_prefix=options.ipv4_prefix, ipv6_prefix=options.ipv6_prefix)
        self._counts_by_whole_address = options.key == ("client_ip",) and options.ipv4_prefix == 32
        self._missing = _missing_key(options)
        # The length of a window is part of the name, as the numbers of windows mean nothing beside it.
        window = f"/{options.window:g}" if options.quota else ""
        self._prefix = f"{scope}|{name}|{self._rule.code}{window}|"
        self.cost: Cost = compile_cost(options.cost)
        self.response_cost: Callable[[Response], int] | None = response_cost(options.cost)
        self.counts_body = options.cost == "content-length"
        """Whether what the body turned out to be is charged, as a chunked one has no Content-Length."""
        self.unit = UNITS.get(str(options.cost)) or UNITS.get(self._rule.code)

    def counter_of(self, request: Request) -> str | None:
        """Return the name of the request's counter, None if it is not limited, or `MISSING`."""
        if self._when is not None and not self._when(request):
            return None
        key = self._key(request)
        if key is not None:
            return self._prefix + bounded(key)
        key = self._missing(request)
        # A sign before it keeps what stands in for a missing key apart from keys.
        return key if key is None or key is MISSING else f"{self._prefix}?{bounded(key)}"

    def rule_for(self, request: Request) -> Rule | Concurrency | None:
        """Return the rule for the request, or None if an override exempts it."""
        for condition, rule in self._overrides:
            if condition(request):
                return rule
        return self._rule

    @property
    def constant_rule(self) -> Rule | None:
        """The rule if it counts in time and holds for every request, at the same cost."""
        rule = self._rule
        if isinstance(rule, Concurrency) or not isinstance(self.cost, int):
            return None
        return None if self._when or self._overrides or self.response_cost else rule

    @property
    def counter_parts(self) -> CounterParts:
        """What most names of counters are put together of where the limit has a `constant_rule`."""
        by_address = self._counts_by_whole_address
        return CounterParts(f"{self._prefix}=", attrgetter("client_ip") if by_address else self._key, by_address)

    @property
    def is_concurrency(self) -> bool:
        """Whether requests in progress are counted, rather than requests in some time."""
        return isinstance(self._rule, Concurrency)


def _missing_key(options: LimitOptions) -> Source:
    match options.when_missing:
        case "share":
            return lambda _request: ""
        case "skip":
            return lambda _request: None
        case "refuse":
            return lambda _request: MISSING
    by_ip = compile_key(("client_ip",), ipv4_prefix=options.ipv4_prefix, ipv6_prefix=options.ipv6_prefix)
    return lambda request: by_ip(request) or ""


def make_rule(amounts: Amounts, counts_refused: bool) -> Rule | Concurrency:
    """Return the rule for amounts that were checked."""
    if amounts.concurrency is not None:
        return Concurrency(amounts.concurrency)
    if amounts.rate is not None:
        return TokenBucket(
            amounts.rate / (amounts.per or 1.0),
            amounts.burst or max(1, ceil(amounts.rate)),
            patience=amounts.max_delay or 0.0,
            counts_refused=counts_refused,
        )
    quota, window = amounts.quota, amounts.window
    if quota is None or window is None:
        raise ValueError("a limit takes a rate, a quota with a window, or a concurrency")
    if amounts.fixed:
        return FixedWindow(quota, window, counts_refused=counts_refused)
    return SlidingWindow(quota, window, counts_refused=counts_refused)


def gives_more(options: Amounts, override: Amounts) -> bool:
    """Return whether an override allows more than its limit in any respect."""
    return any(more > less for more, less in zip(_rates(overridden(options, override)), _rates(options), strict=True))


def _rates(amounts: Amounts) -> tuple[float, ...]:
    return (
        (amounts.rate or 0.0) / (amounts.per or 1.0),
        amounts.burst or ceil(amounts.rate or 0.0),
        (amounts.quota or 0) / (amounts.window or 1.0),
        amounts.concurrency or 0,
        amounts.max_delay or 0.0,
    )


def overridden(options: Amounts, override: Amounts) -> Amounts:
    """Return the amounts of a limit with those that an override names in their place."""
    fields = Amounts.model_fields
    merged = {name: getattr(options, name) for name in fields}
    merged |= {name: getattr(override, name) for name in fields if name in override.model_fields_set}
    return Amounts.model_construct(**merged)
