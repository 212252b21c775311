"""Settings without effect: the problem, and the checks that upstreams and routes have in common."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from gateway_core.config import ConfigModel, RetriesConfig, RouteTimeoutsConfig, TimeoutsConfig

Found = Iterator[tuple[str, str]]
"""Key paths below what is looked at, and messages."""


def written(model: ConfigModel | None, *names: str) -> list[str]:
    """Return those of the keys that were written."""
    return [] if model is None else [name for name in names if name in model.model_fields_set]


def no_effect(prefix: str, names: Sequence[str], why: str) -> Found:
    """Yield that keys below ``prefix`` have no effect."""
    for name in names:
        yield f"{prefix}.{name}", f"{name} has no effect: {why}"


def retries_without_effect(retries: RetriesConfig, *, replaces: bool = False) -> Found:
    """Find settings of retries that change nothing.

    :param replaces: whether they stand in the place of others, so that no retries are an effect.
    """
    rest = written(retries, *sorted(RetriesConfig.model_fields.keys() - {"attempts"}))
    nothing = [name for name in ("attempts", "on", "methods") if not getattr(retries, name)]
    if nothing and (rest or not replaces):
        yield ".retries", f"retries has no effect: {nothing[0]} is {'0' if nothing[0] == 'attempts' else 'empty'}"
    elif not nothing and not retries.budget_percent and not retries.budget_minimum:
        yield ".retries", "retries has no effect: budget_percent and budget_minimum are 0"
    elif retries.attempts == 1:
        # The first pause is backoff_base at most.
        yield from no_effect(".retries", written(retries, "backoff_max"), "the pause grows only with a second retry")
    elif not retries.backoff_base:
        yield from no_effect(".retries", written(retries, "backoff_max"), "backoff_base is 0, and stays so")


def timeouts_without_effect(timeouts: TimeoutsConfig | RouteTimeoutsConfig, total: float | None) -> Found:
    """Find timeouts that the total ends before."""
    for name in written(timeouts, "connect", "response", "idle"):
        value = getattr(timeouts, name)
        if total and value is not None and value >= total:
            yield f".timeouts.{name}", f"{value:g}s is never reached: total is {total:g}s"


def hash_sources_without_effect(sources: Sequence[str], params: Iterable[str] | None = None) -> Found:
    """Find sources behind one that every request has, and those that no request has.

    :param params: what the paths of the routes capture; None if that is not known.
    """
    for index, source in enumerate(sources):
        if index and "client_ip" in sources[:index]:
            yield f".hash_on[{index}]", f"{source} is never looked at: every request has a client_ip"
        elif source in sources[:index]:
            yield f".hash_on[{index}]", f"{source} stands there already"
        elif params is not None and source.startswith("param:") and source.removeprefix("param:") not in params:
            where = ".hash_on" if len(sources) == 1 else f".hash_on[{index}]"
            known = ", ".join(f"param:{name}" for name in sorted(params)) or "none"
            yield where, f"no request has {source}: the paths of its routes capture {known}"
