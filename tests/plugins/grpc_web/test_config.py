from __future__ import annotations

import pytest
from gateway_plugin_grpc_web.config import GrpcWebConfig
from pydantic import ValidationError


def test_the_limit_of_texts_is_a_size() -> None:
    assert GrpcWebConfig().max_text_bytes == 4 << 20
    assert GrpcWebConfig.model_validate({"max_text_bytes": "1MiB"}).max_text_bytes == 1 << 20


@pytest.mark.parametrize("config", [{"max_text_bytes": 0}, {"max_text_bytes": "much"}, {"max_bytes": 1}])
def test_what_cannot_be_meant_is_refused(config: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        GrpcWebConfig.model_validate(config)
