from __future__ import annotations

import pytest
from gateway_core.config import PluginCatalog, PluginDescription
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
    assert {path.name for path in (ROOT / "plugins").iterdir() if (path / "pyproject.toml").is_file()} == FIRST_PARTY


@pytest.mark.parametrize("name", ["ratelimt", "jwt", "Auth", "auth ", "auth; rm", "", "kubernetes2"])
def test_names_that_are_not_ours_are_not_advised(name: str) -> None:
    assert install_advice(name) == ""


def test_ours_are_advised() -> None:
    assert install_advice("auth") == "pip install gateway-plugin-auth"
