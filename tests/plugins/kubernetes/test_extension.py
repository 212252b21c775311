from __future__ import annotations

from gateway_core.packages import Extensions, PluginRegistry


def test_the_installed_extension_offers_a_discovery_and_a_source() -> None:
    registry = PluginRegistry()
    extensions = Extensions((name, loaded) for name, loaded in registry.loaded() if name == "kubernetes")

    assert extensions.problems == []
    assert set(extensions.discoveries) == {"kubernetes"}
    assert set(extensions.config_sources) == {"kubernetes"}
