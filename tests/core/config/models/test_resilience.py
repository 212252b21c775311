from __future__ import annotations

import pytest
from gateway_core.config import RetriesConfig, RouteTimeoutsConfig, TimeoutsConfig, UpstreamTlsConfig
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


def test_certificate_needs_its_key() -> None:
    with pytest.raises(ValidationError):
        UpstreamTlsConfig(cert="c")


@pytest.mark.parametrize("name", ["connect", "response", "idle", "total"])
def test_0_is_no_limit_for_every_timeout(name: str) -> None:
    assert getattr(TimeoutsConfig.model_validate({name: 0}), name) == 0
    assert getattr(RouteTimeoutsConfig.model_validate({name: 0}), name) == 0
