"""One limit: how much, of what, for whom."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from gateway_plugin_sdk import ConfigModel, Duration
from pydantic import Field, model_validator

from gateway_plugin_ratelimit.config.words import Condition, Cost, Sources

KINDS = ("rate", "quota", "concurrency")
"""The options that say what kind of limit it is; exactly one is given."""

_BELONGS_TO = {"per": "rate", "burst": "rate", "max_delay": "rate", "window": "quota", "fixed": "quota"}

PolicyName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]


class Amounts(ConfigModel):
    """How much is allowed: a rate, a quota in a window, or requests at once."""

    rate: Annotated[float, Field(gt=0, le=1e9)] | None = None
    """Requests that may pass in each ``per``, evenly spread (token bucket, GCRA)."""

    per: Annotated[Duration, Field(gt=0)] | None = None
    """The time that ``rate`` is meant for; 1s unless given."""

    burst: Annotated[int, Field(ge=1, le=10**9)] | None = None
    """Requests that may pass at once, beyond the even spread; ``rate`` rounded up unless given."""

    max_delay: Duration | None = None
    """Hold a request back for up to this long rather than refuse it; 0 unless given."""

    quota: Annotated[int, Field(ge=1, le=10**12)] | None = None
    """Requests that may pass in each ``window``."""

    window: Annotated[Duration, Field(gt=0)] | None = None
    """The time that ``quota`` is meant for."""

    fixed: bool | None = None
    """Windows that begin at multiples of ``window`` (of a day: at midnight UTC) rather than one that slides."""

    concurrency: Annotated[int, Field(ge=1, le=10**6)] | None = None
    """Requests that may be in progress at the same time."""

    @property
    def kinds(self) -> list[str]:
        """Which of `KINDS` are given."""
        return [kind for kind in KINDS if getattr(self, kind) is not None]

    def check_amounts(self, kinds: list[str]) -> None:
        """Refuse options of a kind that is not given.

        :raises ValueError: naming the option and the remedy.
        """
        for option, kind in _BELONGS_TO.items():
            if getattr(self, option) is not None and kind not in kinds:
                raise ValueError(f"{option} belongs to {kind}, which is not given: add {kind} or remove {option}")


class OverrideConfig(Amounts):
    """Another amount for some requests; what it does not name stays as the limit has it."""

    when: Condition
    """Which requests: values by source, such as ``{"claim:plan": gold}``."""

    unlimited: bool = False
    """Do not limit them at all."""

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        amounts = self.model_fields_set - {"when", "unlimited"}
        if self.unlimited == bool(amounts):
            raise ValueError("an override takes either unlimited: true or an amount such as rate")
        return self


class LimitOptions(Amounts):
    """A limit, without its name."""

    key: Sources = ("client_ip",)
    """What is counted by: one source, or a list whose combination counts. Also ``constant``: all requests together.
    Paths are those that routes match, hosts have no port, HEAD counts as GET, empty values are missing."""

    ipv4_prefix: Annotated[int, Field(ge=0, le=32)] = 32
    """Bits of an IPv4 address that make one client."""

    ipv6_prefix: Annotated[int, Field(ge=0, le=128)] = 64
    """Bits of an IPv6 address that make one client; a single customer has a /64 at least."""

    when_missing: Literal["client_ip", "share", "skip", "refuse"] = "client_ip"
    """What a request without the key counts by: its client's address, or all such requests share one counter, or they
    are not limited (a client that leaves out a header is not limited then), or they are refused with 403."""

    cost: Cost = 1
    """Units that a request costs: a number, ``header:NAME``, ``query:NAME``, ``content-length``, or
    ``response-header:NAME`` (one at first, the rest when the response has it). What is no number costs 1; of several
    numbers the largest counts, and nothing that a client writes in a header or a query costs less than 1."""

    count_refused: bool = False
    """Whether refused requests count too, so that a client that does not slow down stays out."""

    when: Condition | None = None
    """Which requests the limit is for; all unless given."""

    overrides: tuple[OverrideConfig, ...] = ()
    """Other amounts for some requests; the first that fits is taken."""

    group: PolicyName | None = None
    """Share the counters with the limits of the same group, name and key on other routes."""

    def check_limit(self) -> None:
        """Refuse what contradicts itself.

        :raises ValueError: naming the options and the remedy.
        """
        kinds = self.kinds
        if len(kinds) != 1:
            found = " and ".join(kinds) or "none of them"
            raise ValueError(f"a limit takes exactly one of rate, quota and concurrency, and this one has {found}")
        self.check_amounts(kinds)
        if self.quota is not None and self.window is None:
            raise ValueError("quota needs a window: add for example window: 1h")
        if self.concurrency is not None and self.cost != 1:
            raise ValueError("cost has no meaning for concurrency: remove it")
        if isinstance(self.cost, int):
            self._check_cost(self.cost)
        for override in self.overrides:
            self._check_override(override, kinds)

    def _check_cost(self, cost: int) -> None:
        burst = self.burst or (None if self.rate is None else max(1, -int(-self.rate // 1)))
        most = self.quota or burst
        if most is not None and cost > most:
            raise ValueError(f"a request that costs {cost} can never pass a limit of {most}: raise burst or quota")

    def _check_override(self, override: OverrideConfig, kinds: list[str]) -> None:
        if override.kinds and override.kinds != kinds:
            raise ValueError(f"an override of a {kinds[0]} cannot be a {override.kinds[0]}: make it a limit of its own")
        override.check_amounts(kinds)


class LimitConfig(LimitOptions):
    """One of several limits."""

    name: PolicyName
    """What clients, logs and metrics call the limit."""

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        self.check_limit()
        return self
