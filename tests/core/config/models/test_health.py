from __future__ import annotations

import pytest
from gateway_core.config import HealthCheckConfig, OutlierDetectionConfig
from pydantic import ValidationError


@pytest.mark.parametrize("statuses", [["200"], [200], ["200-399", 404], ["200-200"]])
def test_statuses_are_numbers_or_ranges(statuses: list[object]) -> None:
    check = HealthCheckConfig.model_validate({"expected_statuses": statuses})

    assert all(isinstance(status, str) for status in check.expected_statuses)


@pytest.mark.parametrize("statuses", [[], ["2xx"], ["399-200"], ["600"], [True], ["200-"]])
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
