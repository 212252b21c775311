from __future__ import annotations

from typing import Any

import pytest
from gateway_plugin_compress import Compress
from gateway_plugin_compress.config import CompressConfig, LevelsConfig, RequestsConfig
from gateway_plugin_sdk.testing import InvalidConfigError, assert_plugin_ok, one_route


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"codings": []}, "compresses and decompresses nothing"),
        ({"codings": ["deflate"]}, "codings[0]"),
        ({"codings": ["br", "br"]}, "names one twice"),
        ({"types": ["json"]}, "write for example text/*, application/json"),
        ({"types": []}, "types"),
        ({"min_size": "1 KiB"}, "min_size"),
        ({"levels": {"br": 12}}, "levels.br"),
        ({"requests": {}}, "max_size"),
        ({"requests": {"max_size": 0}}, "max_size"),
        ({"requests": {"max_size": "1MiB", "codings": []}}, "codings"),
        ({"brotli": True}, "brotli"),
    ],
)
def test_what_cannot_be_meant_is_a_problem_with_its_place(gateway: Any, config: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidConfigError) as caught:
        gateway(one_route("http://127.0.0.1:9", {"name": "compress", "config": config}), plugins=[Compress])

    assert message in str(caught.value)
    assert "routes[0].plugins[0].config" in str(caught.value)


def test_every_option_is_described() -> None:
    models = (CompressConfig, LevelsConfig, RequestsConfig)

    assert all(field.description for model in models for field in model.model_fields.values())


def test_the_plugin_keeps_to_what_plugins_should() -> None:
    assert_plugin_ok(Compress, {"requests": {"max_size": "1MiB"}})
