from __future__ import annotations

import pytest
from gateway_core.config import RetriesConfig, RouteTimeoutsConfig
from gateway_core.snapshot.no_effect import (
    hash_sources_without_effect,
    no_effect,
    retries_without_effect,
    timeouts_without_effect,
    written,
)


def test_only_what_was_written_has_no_effect() -> None:
    retries = RetriesConfig.model_validate({"attempts": 2, "on": ["reset"]})

    assert written(retries, "on", "attempts", "methods") == ["on", "attempts"]
    assert list(no_effect(".x", ["on"], "why")) == [(".x.on", "on has no effect: why")]


@pytest.mark.parametrize(
    ("sources", "places"),
    [
        ((), []),
        (("client_ip",), []),
        (("cookie:a", "client_ip"), []),
        (("client_ip", "cookie:a", "client_ip"), [".hash_on[1]", ".hash_on[2]"]),
        (("cookie:a", "cookie:a"), [".hash_on[1]"]),
    ],
)
def test_what_stands_behind_a_source_that_every_request_has_is_never_looked_at(
    sources: tuple[str, ...], places: list[str]
) -> None:
    assert [place for place, _ in hash_sources_without_effect(sources)] == places


def test_retries_that_never_happen() -> None:
    never = RetriesConfig.model_validate({"attempts": 0, "on": ["reset"]})

    assert [place for place, _ in retries_without_effect(never)] == [".retries"]
    # To switch off those of the upstream is an effect.
    off = RetriesConfig.model_validate({"attempts": 0})
    assert list(retries_without_effect(off, replaces=True)) == []


def test_timeouts_that_the_total_ends_before() -> None:
    timeouts = RouteTimeoutsConfig.model_validate({"response": "5s", "idle": "1s"})

    assert [place for place, _ in timeouts_without_effect(timeouts, 5.0)] == [".timeouts.response"]
