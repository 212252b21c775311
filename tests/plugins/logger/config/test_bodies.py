from __future__ import annotations

import pytest
from gateway_plugin_logger.config.bodies import BodyOptions
from pydantic import ValidationError


def test_a_condition_is_checked_when_the_configuration_is_read() -> None:
    assert BodyOptions(when="status >= 400").when == "status >= 400"
    with pytest.raises(ValidationError, match="no expression"):
        BodyOptions(when="status >=")


@pytest.mark.parametrize("size", ["0", "2MiB"])
def test_bodies_have_a_limit(size: str) -> None:
    with pytest.raises(ValidationError, match="max_bytes"):
        BodyOptions.model_validate({"max_bytes": size})
