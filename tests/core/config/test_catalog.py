from __future__ import annotations

from gateway_core.config import PluginCatalog, PluginDescription

from tests.core.config.conftest import Catalogue


def test_label_is_name_and_version() -> None:
    assert PluginDescription("auth", "gateway-plugin-auth", "1.0.0").label == "auth 1.0.0"
    assert PluginDescription("auth", "gateway-plugin-auth", "").label == "auth"


def test_anything_that_describes_plugins_is_a_catalog() -> None:
    catalog: PluginCatalog = Catalogue()

    assert catalog.describe("gone") is None
    assert "auth" in catalog.names()
