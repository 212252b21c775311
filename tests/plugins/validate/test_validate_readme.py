"""Every example of the README is a configuration that the gateway takes, and every option is in one."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml
from gateway_plugin_sdk.testing import PluginHarness
from gateway_plugin_validate import Validate
from gateway_plugin_validate.config import ValidateConfig

README = Path(__file__).parents[3] / "plugins" / "validate" / "README.md"
EXAMPLES = re.findall(r"```yaml\n(.*?)```", README.read_text(), re.DOTALL)
PETS = next(example for example in EXAMPLES if example.startswith("# pets.yaml"))
PROBLEM = json.loads(re.findall(r"```json\n(.*?)```", README.read_text(), re.DOTALL)[0])


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("pets.yaml").write_text(PETS)
    Path("schemas.yaml").write_text("{}")
    Path("order.json").write_text('{"$schema": "http://json-schema.org/draft-07/schema#", "type": "object"}')


@pytest.mark.parametrize("example", [example for example in EXAMPLES if example is not PETS])
def test_an_example_of_the_readme_loads(example: str) -> None:
    document = yaml.safe_load(example)
    bindings = [*document.get("plugins", ()), *(b for route in document.get("routes", ()) for b in route["plugins"])]
    configs = [ValidateConfig.model_validate(each["config"]) for each in bindings]

    assert [finding for config in configs for finding in Validate.check_config(config)] == []
    assert configs


def test_the_problem_of_the_readme_is_what_clients_get() -> None:
    with PluginHarness(Validate, {"openapi": "pets.yaml"}) as harness:
        kind = {"Content-Type": "application/json"}
        response = harness.request("POST", "/pets", headers=kind, body=b'{"age": -1}').response

    assert isinstance(response.body, bytes)
    given = json.loads(response.body)
    assert {key: given[key] for key in PROBLEM} == PROBLEM


def test_every_option_is_in_an_example_and_described() -> None:
    fields = ValidateConfig.model_fields

    assert [name for name in fields if not re.search(rf"\b{name}:", "".join(EXAMPLES))] == []
    assert all(field.description for field in fields.values())
