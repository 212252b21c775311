from __future__ import annotations

import pytest
from gateway_core.config import (
    HealthCheckConfig,
    OutlierDetectionConfig,
    RetriesConfig,
    RouteTimeoutsConfig,
    TimeoutsConfig,
)
from pydantic import ValidationError


def test_conditions_may_be_numbers() -> None:
    assert RetriesConfig.model_validate({"on": [502, "reset"]}).on == ("502", "reset")


def test_posts_are_not_retried_unless_said_so() -> None:
    assert "POST" not in RetriesConfig().methods
    assert RetriesConfig(methods=("POST",)).methods == ("POST",)


@pytest.mark.parametrize(
    "value", [{"on": [200]}, {"on": ["5xx"]}, {"attempts": -1}, {"attempts": 11}, {"backoff_base": "1s"}]
)
def test_unreasonable_retries_are_refused(value: object) -> None:
    with pytest.raises(ValidationError):
        RetriesConfig.model_validate(value)


@pytest.mark.parametrize("name", ["connect", "response", "idle", "total"])
def test_0_is_no_limit_for_every_timeout(name: str) -> None:
    assert getattr(TimeoutsConfig.model_validate({name: 0}), name) == 0
    assert getattr(RouteTimeoutsConfig.model_validate({name: 0}), name) == 0


def test_expected_statuses_are_numbers_or_ranges() -> None:
    check = HealthCheckConfig.model_validate({"expected_statuses": ["200-299", 404]})

    assert [str(statuses) for statuses in check.expected_statuses] == ["200-299", "404"]


@pytest.mark.parametrize("statuses", [[], ["2x"], ["399-200"], ["99"], [True], ["200-"]])
def test_other_statuses_are_refused(statuses: list[object]) -> None:
    with pytest.raises(ValidationError):
        HealthCheckConfig.model_validate({"expected_statuses": statuses})


@pytest.mark.parametrize("path", ["", "health", "/a b", "/ü", "/a\r\nx: y"])
def test_paths_must_be_ready_to_send(path: str) -> None:
    with pytest.raises(ValidationError):
        HealthCheckConfig(path=path)


def test_header_injection_is_refused() -> None:
    with pytest.raises(ValidationError):
        HealthCheckConfig.model_validate({"headers": {"x": "a\r\nb: c"}})
    with pytest.raises(ValidationError):
        HealthCheckConfig(host="a\nb")


def test_longest_ejection_is_not_shorter_than_the_first() -> None:
    with pytest.raises(ValidationError):
        OutlierDetectionConfig.model_validate({"base_ejection_time": "2m", "max_ejection_time": "1m"})
