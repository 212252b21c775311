"""Options that choose requests."""

from __future__ import annotations

from typing import Literal

from gateway_plugin_sdk import ConfigModel, Duration, StatusRange
from pydantic import Field, field_validator

from gateway_plugin_logger.filters.expression import compile_predicate


class Conditions(ConfigModel):
    """Conditions on a request that is over; they hold if any one of them does. ``when`` can demand several at once."""

    statuses: tuple[StatusRange, ...] = ()
    """Statuses of the response: 404, 500-599 or 5xx."""
    methods: tuple[str, ...] = ()
    """Methods, in capitals."""
    routes: tuple[str, ...] = ()
    """Ids of routes."""
    paths: tuple[str, ...] = ()
    """Paths as routes match them; one that ends in ``*`` stands for all that begin so."""
    hosts: tuple[str, ...] = ()
    """Hosts that were asked for, without a port."""
    produced_by: tuple[str, ...] = ()
    """Who responded: ``upstream``, ``gateway`` or the id of a binding."""
    slower_than: Duration | None = None
    """Durations longer than this."""
    retried: bool = False
    """Requests that took more than one try."""
    aborted: bool = False
    """Responses that did not reach their end."""
    failed: bool = False
    """Requests that the gateway could not get a response for."""
    when: str | None = None
    """An expression over fields, such as ``status >= 500 and not starts_with(path, '/internal/')``."""

    @field_validator("when")
    @classmethod
    def _check_expression(cls, when: str | None) -> str | None:
        if when is not None:
            compile_predicate(when, undecided=True)
        return when


class Sampling(ConfigModel):
    """Which share of the requests gets a line."""

    rate: float = Field(default=1.0, ge=0.0, le=1.0)
    """Share of the requests, from 0 to 1."""
    by: Literal["chance", "request_id", "trace_id", "client_ip"] = "chance"
    """What decides: chance, or the share into which an id falls, which is the same on every gateway."""
    first: int = Field(default=0, ge=0)
    """This many requests of each interval get a line in any case."""
    interval: Duration = Field(default=1.0, gt=0)
    """Length of an interval."""
    always: Conditions = Conditions()
    """Requests that always get a line."""
