"""All options of the plugin."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from gateway_plugin_sdk import ConfigModel
from pydantic import Field, model_validator

from gateway_plugin_ratelimit.config.limits import LimitConfig, LimitOptions, PolicyName
from gateway_plugin_ratelimit.config.redis import RedisConfig
from gateway_plugin_ratelimit.config.words import Condition

HeaderStyle = Literal["standard", "x-ratelimit", "ratelimit"]


class RefusalConfig(ConfigModel):
    """The response to a refused request."""

    status: Annotated[int, Field(ge=400, le=599)] = 429
    """The status."""

    detail: str = "too many requests"
    """What the problem details tell the client."""

    retry_jitter: Annotated[float, Field(ge=0, le=10)] = 0.1
    """Spread the retries: up to this share of the wait is added to ``Retry-After`` at random, in whole seconds."""


class RateLimitConfig(LimitOptions):
    """Limits how often, how much or how many at once.

    One limit is written right here; several are a list in ``limits``, and a request must pass all of them.
    """

    name: PolicyName | None = None
    """What clients, logs and metrics call the limit; the binding's id unless given."""

    limits: tuple[LimitConfig, ...] = ()
    """Several limits; a request that one of them refuses is charged to none."""

    exempt: tuple[Condition, ...] = ()
    """Requests that are not limited: those that fit one of these."""

    store: Literal["local", "redis"] = "local"
    """Where counters are: on this machine, shared by all workers; or on a Redis server, shared by all gateways."""

    redis: RedisConfig | None = None
    """The server, with ``store: redis``."""

    max_keys: Annotated[int, Field(ge=64, le=10**8)] = 100_000
    """Counters on this machine at most, over all limits with the same ``max_keys``; 48 bytes each if workers share
    them. When they are full, the one that would be forgotten first makes room."""

    headers: tuple[HeaderStyle, ...] = ("standard", "x-ratelimit")
    """Which fields responses carry: ``standard`` (RateLimit-Policy and RateLimit of the IETF draft), ``x-ratelimit``
    (X-RateLimit-Limit, -Remaining, -Reset) and ``ratelimit`` (RateLimit-Limit, -Remaining, -Reset of early drafts)."""

    refusal: RefusalConfig = RefusalConfig()
    """The response to a refused request."""

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if self.limits:
            self._check_limits()
        else:
            self.check_limit()
        if self.redis is not None and self.store != "redis":
            raise ValueError("redis belongs to store: redis: add it or remove redis")
        return self

    def _check_limits(self) -> None:
        here = sorted(self.model_fields_set & (LimitOptions.model_fields.keys() | {"name"}))
        if here:
            raise ValueError(f"{', '.join(here)} stands beside limits: move it into each of them")
        names = [limit.name for limit in self.limits]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two limits are called {name!r}: give each its own name")

    def named_limits(self, binding: str) -> list[tuple[str, LimitOptions]]:
        """Return the limits, each with its name."""
        if self.limits:
            return [(limit.name, limit) for limit in self.limits]
        return [(self.name or binding, self)]
