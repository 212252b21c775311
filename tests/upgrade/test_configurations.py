"""Configurations of earlier versions are still valid. A release adds its examples as a folder that is never changed."""

from __future__ import annotations

from pathlib import Path

import pytest
from gateway_core.config import ConfigError
from gateway_core.packages import PluginRegistry
from gateway_core.snapshot import load

FOLDER = Path(__file__).parent
CONFIGURATIONS = sorted(FOLDER.glob("*/*.yaml"))


@pytest.mark.parametrize("path", CONFIGURATIONS, ids=[str(path.relative_to(FOLDER)) for path in CONFIGURATIONS])
def test_a_configuration_of_an_earlier_version_loads(path: Path) -> None:
    registry = PluginRegistry()
    registry.scan()

    try:
        loaded = load([path], registry=registry, environ={"JWT_SECRET": "s" * 32}, offline=True)
    except ConfigError as error:
        pytest.fail(error.render())

    assert loaded.config.routes


def test_each_version_has_configurations() -> None:
    assert {path.parent.name for path in CONFIGURATIONS} >= {"0.1"}
