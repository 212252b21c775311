"""Warnings about limits that a client can evade by what it sends."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from gateway_plugin_sdk import ConfigFinding

from gateway_plugin_ratelimit.config import LimitOptions, RateLimitConfig
from gateway_plugin_ratelimit.limits import gives_more

CODE = "client-chosen"
"""The code of all warnings of this module."""

_CLIENTS_OWN = ("header:", "cookie:", "query:")
_REMEDY = "use client_ip, or identity or a claim behind auth"


def find_loopholes(config: RateLimitConfig) -> Iterator[ConfigFinding]:
    """Yield a warning for each place where what a client sends decides that it is not limited."""
    for index, condition in enumerate(config.exempt):
        if (source := _claimable(condition)) is not None:
            yield _warning(("exempt", index), f"any client that sends {source} is exempt: {_REMEDY}")
    limits: Sequence[LimitOptions] = config.limits or (config,)
    for index, limit in enumerate(limits):
        base = ("limits", index) if config.limits else ()
        yield from _loopholes_of(limit, base)


def _loopholes_of(limit: LimitOptions, base: tuple[str | int, ...]) -> Iterator[ConfigFinding]:
    for index, override in enumerate(limit.overrides):
        source = _claimable(override.when)
        if source is None or not (override.unlimited or gives_more(limit, override)):
            continue
        gain = "is not limited at all" if override.unlimited else "gets the larger amount"
        yield _warning((*base, "overrides", index), f"any client that sends {source} {gain}: {_REMEDY}")
    left_out = next((source for source in limit.key if source.startswith(_CLIENTS_OWN)), None)
    if limit.when_missing == "skip" and left_out is not None:
        text = f"any client that leaves out {left_out} is not limited at all: use client_ip, share or refuse"
        yield _warning((*base, "when_missing"), text)


def _claimable(condition: Mapping[str, object]) -> str | None:
    """Return a source that a client writes if it writes all of them, so that nothing else is needed."""
    return next(iter(condition)) if all(source.startswith(_CLIENTS_OWN) for source in condition) else None


def _warning(path: tuple[str | int, ...], message: str) -> ConfigFinding:
    return ConfigFinding(path, message, code=CODE, severity="warning")
