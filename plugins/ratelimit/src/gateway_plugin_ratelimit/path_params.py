"""The path parameters that limits read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from gateway_plugin_ratelimit.config import LimitOptions, RateLimitConfig

_PARAM = "param:"


def path_params(config: RateLimitConfig) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Yield each parameter with the key path of what names it."""
    for index, condition in enumerate(config.exempt):
        yield from _of_condition(condition, ("exempt", index))
    limits: Sequence[LimitOptions] = config.limits or (config,)
    for index, limit in enumerate(limits):
        base = ("limits", index) if config.limits else ()
        for source in limit.key:
            if source.startswith(_PARAM):
                yield (*base, "key"), source.removeprefix(_PARAM)
        yield from _of_condition(limit.when or {}, (*base, "when"))
        for number, override in enumerate(limit.overrides):
            yield from _of_condition(override.when, (*base, "overrides", number, "when"))


def _of_condition(
    condition: Mapping[str, object], base: tuple[str | int, ...]
) -> Iterator[tuple[tuple[str | int, ...], str]]:
    for source in condition:
        if source.startswith(_PARAM):
            yield (*base, source), source.removeprefix(_PARAM)
