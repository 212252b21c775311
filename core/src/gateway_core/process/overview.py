"""What the processes of a gateway show together: their state, and what of their metrics is in force."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, get_args

from gateway_core.config import BindingConfig, GatewayConfig
from gateway_core.metrics.catalogue import (
    CONFIG_INFO,
    CONFIG_LAST_FAILURE,
    CONFIG_LAST_OK,
    CONFIG_LAST_SECONDS,
    CONFIG_LAST_SUCCESS,
    CONFIG_RELOADS,
    CONFIG_WARNINGS,
    SOURCE_CONFIRMED,
    SOURCE_DOCUMENTS,
    SOURCE_REJECTED,
    SOURCE_STALE,
)
from gateway_core.metrics.ledger import InForce
from gateway_core.metrics.samples import Samples
from gateway_core.reload.history import ReloadHistory, Result
from gateway_core.reload.overrides import endpoint_subject

PROGRAM: Final = "program"
"""What `Program` reports its own metrics to the ledger as."""


def status_of(
    version: str | None,
    replies: Sequence[tuple[int, int, Mapping[str, Any]]],
    serving: Iterable[int],
    missing: Sequence[Mapping[str, Any]],
) -> dict[str, Any]:
    """Return the version in force, each worker's state, and why others are missing.

    :param replies: of each worker that reported in time its number, its process id and its state.
    :param serving: the numbers of the workers that accept connections.
    """
    numbers = sorted(serving)
    return {
        "version": version,
        "serving": len(numbers),
        "workers": [
            {"number": number, "pid": pid, **{name: value for name, value in state.items() if name != "upstreams"}}
            for number, pid, state in replies
        ],
        "missing_workers": list(missing),
        "silent_workers": sorted(set(numbers) - {number for number, _, _ in replies}),
        "upstreams": [{"worker": number, **each} for number, _, state in replies for each in state["upstreams"]],
    }


def with_overrides(status: Mapping[str, Any], overrides: Mapping[tuple[str, ...], Any]) -> Mapping[str, Any]:
    """Return a status whose endpoints show what operators override of them.

    :param overrides: by `endpoint_subject`, ready for JSON.
    """
    if not overrides:
        return status
    upstreams = [
        {
            **each,
            "endpoints": [
                {**one, "override": overrides.get(endpoint_subject(each["name"], one["id"]))}
                for one in each["endpoints"]
            ],
        }
        for each in status.get("upstreams", ())
    ]
    return {**status, "upstreams": upstreams}


def in_force_of(config: GatewayConfig) -> InForce:
    """Return the routes and bindings of a configuration, by the names that metrics have for them."""
    bindings = {name for owner, each in _bindings_of(config) for name in (each.id, f"{owner}{each.id}")}
    return InForce(frozenset(route.id for route in config.routes), frozenset(bindings))


def _bindings_of(config: GatewayConfig) -> Iterator[tuple[str, BindingConfig]]:
    """Yield each binding behind what its path begins with (see `gateway_core.hooks.binding.binding_path`)."""
    for binding in config.plugins:
        yield "", binding
    for upstream in config.upstreams:
        for binding in upstream.plugins:
            yield f"upstreams/{upstream.name}/", binding
    for route in config.routes:
        for target in route.targets:
            for binding in target.plugins:
                yield f"upstreams/{target.target}/", binding
        for binding in route.plugins:
            yield f"{route.id}/", binding


def put_configuration(samples: Samples, history: ReloadHistory, version: str, warnings: int) -> None:
    """Add what became of reloads, and which configuration is in force."""
    counts = {**dict.fromkeys(get_args(Result), 0), **history.counts}
    samples.put(CONFIG_RELOADS, [((result,), number) for result, number in counts.items()])
    samples.one(CONFIG_INFO, 1, version)
    samples.one(CONFIG_WARNINGS, warnings)
    samples.one(CONFIG_LAST_OK, history.is_ok)
    samples.one(CONFIG_LAST_SECONDS, 0.0 if history.last is None else history.last.seconds)
    samples.one(CONFIG_LAST_SUCCESS, history.in_force_at)
    samples.one(CONFIG_LAST_FAILURE, 0.0 if history.last_failure is None else history.last_failure.at)


def put_sources(samples: Samples, sources: Sequence[Mapping[str, Any]]) -> None:
    """Add how the sources of the configuration are, as status pages show them."""
    for source in sources:
        name = source["source"]
        samples.one(SOURCE_STALE, source["stale"], name)
        samples.one(SOURCE_CONFIRMED, source["confirmed_at"], name)
        samples.one(SOURCE_DOCUMENTS, len(source["documents"]), name)
        samples.one(SOURCE_REJECTED, len(source["rejected"]), name)
