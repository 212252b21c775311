from __future__ import annotations

from typing import Any

import pytest
from gateway_core.config import ConfigModel, PluginCatalog, PluginDescription, Secret, factory_config, factory_findings
from gateway_core.config.catalog import FIRST_PARTY, install_advice

from tests.contract.repository import ROOT
from tests.core.config.conftest import Catalogue


def test_label_is_name_and_version() -> None:
    assert PluginDescription("auth", "gateway-plugin-auth", "1.0.0").label == "auth 1.0.0"
    assert PluginDescription("auth", "gateway-plugin-auth", "").label == "auth"


def test_anything_that_describes_plugins_is_a_catalog() -> None:
    catalog: PluginCatalog = Catalogue()

    assert catalog.describe("gone") is None
    assert "auth" in catalog.names()


def test_the_list_is_that_of_the_repository() -> None:
    projects = [
        path for path in (ROOT / "plugins").glob("*/pyproject.toml") if 'name = "gateway-plugin-' in path.read_text()
    ]

    assert {path.parent.name for path in projects} == FIRST_PARTY


@pytest.mark.parametrize("name", ["ratelimt", "jwt", "Auth", "auth ", "auth; rm", "", "kubernetes2"])
def test_names_that_are_not_ours_are_not_advised(name: str) -> None:
    assert install_advice(name) == ""


def test_ours_are_advised() -> None:
    assert install_advice("auth") == "pip install gateway-plugin-auth"


class Options(ConfigModel):
    name: str
    count: int = 1
    token: Secret = Secret("")


class Modelled:
    config_model = Options


class Plain:
    config_model = None


def test_a_factory_is_given_an_instance_of_its_model() -> None:
    assert factory_config(Modelled, {"name": "a", "count": 2}) == Options(name="a", count=2)
    assert factory_config(Plain, {}) == {}


@pytest.mark.parametrize(
    ("config", "path", "message"),
    [
        ({}, ("name",), '"name" is missing'),
        ({"name": "a", "cuont": 1}, ("cuont",), 'unknown key "cuont": did you mean "count"?'),
        ({"name": "a", "count": "x"}, ("count",), "x"),
    ],
)
def test_what_a_model_refuses_is_told_by_key(config: dict[str, Any], path: tuple[str, ...], message: str) -> None:
    (finding,) = factory_findings(Modelled, config)

    assert finding.path == path
    assert message in finding.text
    with pytest.raises(ValueError, match=path[0]):
        factory_config(Modelled, config)


def test_a_secret_is_not_shown() -> None:
    (finding,) = factory_findings(Modelled, {"name": "a", "token": 12345678})

    assert "12345678" not in finding.text


def test_without_a_model_every_key_is_unknown() -> None:
    findings = factory_findings(Plain, {"a": 1, "b": 2})

    assert [finding.path for finding in findings] == [("a",), ("b",)]
    with pytest.raises(ValueError, match='a: unknown key "a": it takes no keys'):
        factory_config(Plain, {"a": 1})
