"""Every example of the README is a configuration that the extension takes, and no option is left out."""

from __future__ import annotations

import re
from pathlib import Path

import yaml
from gateway_plugin_consul.options import ConsulConfig, ConsulSourceConfig, TlsConfig

README = Path(__file__).parents[3] / "plugins" / "consul" / "README.md"
EXAMPLES = [yaml.safe_load(text) for text in re.findall(r"```yaml\n(.*?)```", README.read_text(), re.DOTALL)]


def test_the_examples_load_and_have_every_option() -> None:
    configs = [each["discovery"]["config"] for example in EXAMPLES for each in example.get("upstreams", ())]

    for config in configs:
        ConsulConfig.model_validate(config)
    assert {name for config in configs for name in config} == set(ConsulConfig.model_fields)
    assert {name for config in configs for name in config.get("tls", ())} == set(TlsConfig.model_fields)


def test_every_option_is_described() -> None:
    text = README.read_text()

    for model in (ConsulConfig, TlsConfig):
        for name, field in model.model_fields.items():
            assert field.description, name
            assert name == "tls" or re.search(rf"^\|[^|]*`(tls\.)?{name}`[^|]*\|", text, re.MULTILINE), name
    assert [name for name in ConsulSourceConfig.model_fields if f"`{name}`" not in text] == []
