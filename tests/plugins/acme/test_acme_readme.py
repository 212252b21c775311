"""Every example of the README and of the guide is a configuration that `gateway check` takes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from gateway_core.packages import PluginRegistry
from gateway_core.snapshot import load
from gateway_plugin_acme.config import AcmeConfig
from gateway_plugin_acme.source import AcmeSource
from gateway_plugin_sdk.testing import factory_config

ROOT = Path(__file__).parents[3]
PAGES = [ROOT / "plugins" / "acme" / "README.md", ROOT / "docs" / "certificates-acme.md"]
SECRETS = {"EAB_KEY": "c2VjcmV0", "ACME_SEAL": "a secret of all gateways"}
EXAMPLES = [text for page in PAGES for text in re.findall(r"```yaml\n(.*?)```", page.read_text(), re.DOTALL)]


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_has_no_warning_of_certificates_or_settings(example: str, tmp_path: Path) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_text(example)

    loaded = load([path], registry=PluginRegistry(), environ=SECRETS)

    assert [each.render() for each in loaded.warnings if each.code.startswith(("certificates", "setting"))] == []


def test_the_readme_shows_every_option() -> None:
    [example] = [each for each in EXAMPLES if "remote_quota" in each]
    [entry] = yaml.safe_load(example)["listen"][1]["tls"]["certificates"]

    assert entry["config"].keys() == AcmeConfig.model_fields.keys()
    assert factory_config(AcmeSource, entry["config"]).remote_quota == 100


def test_the_readme_names_every_metric() -> None:
    source = (ROOT / "plugins/acme/src/gateway_plugin_acme/orderer.py").read_text()
    text = PAGES[0].read_text()

    assert {name for name in re.findall(r'"(gateway_acme_\w+)"', source) if name not in text} == set()
