"""The options of the plugin."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from gateway_plugin_sdk import ConfigModel, Duration, HeaderName
from pydantic import Field, model_validator

Percent = Annotated[float, Field(strict=True, ge=0, le=100)]


class DelayConfig(ConfigModel):
    """Requests that wait before they go on."""

    percent: Percent = 100
    """The share of requests, 0 to 100."""

    duration: Duration
    """How long they wait; with ``to`` at least."""

    to: Duration | None = None
    """How long they wait at most: each a random time between both."""

    @model_validator(mode="after")
    def _is_a_range(self) -> Self:
        if self.to is not None and self.to < self.duration:
            raise ValueError("to is shorter than duration: swap them")
        if not self.duration and not self.to:
            raise ValueError("duration is 0, which delays nothing: write for example 200ms")
        return self


class AbortConfig(ConfigModel):
    """Requests that get a failure in place of the upstream's response."""

    percent: Percent = 100
    """The share of requests, 0 to 100."""

    status: Annotated[int, Field(ge=400, le=599)] | Literal["reset"] = 503
    """The status, 400 to 599; ``reset`` closes the client's connection without a response."""

    message: str = "this failure was made on purpose"
    """The detail of the problem that the client gets."""


class FaultConfig(ConfigModel):
    """Delays and failures on purpose, to see what clients make of them.

    With both, a request that is aborted may have waited before.
    """

    delay: DelayConfig | None = None
    """Delays."""

    abort: AbortConfig | None = None
    """Failures."""

    header: HeaderName | None = None
    """Only for requests with this field."""

    max_active: Annotated[int, Field(strict=True, ge=1)] = 1000
    """Requests that wait at once, in each worker; more are not delayed."""

    @model_validator(mode="after")
    def _does_something(self) -> Self:
        if self.delay is None and self.abort is None:
            raise ValueError("makes no fault: write delay or abort")
        return self
