"""Every example of the README is a configuration that the extension takes, and no option is left out."""

from __future__ import annotations

import re
from pathlib import Path

import yaml
from gateway_plugin_kubernetes.options import KubernetesConfig, KubernetesSourceConfig

README = Path(__file__).parents[3] / "plugins" / "kubernetes" / "README.md"
EXAMPLES = [yaml.safe_load(text) for text in re.findall(r"```yaml\n(.*?)```", README.read_text(), re.DOTALL)]


def test_the_examples_load_and_have_every_option() -> None:
    configs = [each["discovery"]["config"] for example in EXAMPLES for each in example.get("upstreams", ())]

    for config in configs:
        KubernetesConfig.model_validate(config)
    assert {name for config in configs for name in config} == set(KubernetesConfig.model_fields)


def test_every_option_is_described() -> None:
    text = README.read_text()

    for name, field in KubernetesConfig.model_fields.items():
        assert field.description, name
        assert re.search(rf"^\| `{name}` \|", text, re.MULTILINE), name
    assert [name for name in KubernetesSourceConfig.model_fields if f"`{name}`" not in text] == []
