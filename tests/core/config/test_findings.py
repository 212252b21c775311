"""What plugins find in their own configuration, beside their schemas."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

import pytest
from gateway_core.config import ConfigError, ConfigFinding, LoadedConfig, PluginDescription

from tests.core.config.conftest import Catalogue, Load

TEXT = """\
plugins:
  - {name: sign, config: {secret: abc, keys: [one]}}
routes: [{id: a, path: /, target: 'http://127.0.0.1:1'}]
"""


@pytest.fixture
def catalog() -> Catalogue:
    return Catalogue()


def sign(*findings: ConfigFinding) -> PluginDescription:
    def check(_config: Mapping[str, Any]) -> Iterable[ConfigFinding]:
        return findings

    return PluginDescription(
        "sign", "acme-sign", "1.0", {"type": "object"}, check=check, secret_paths=frozenset({"secret"})
    )


def with_plugin(catalog: Catalogue, description: PluginDescription) -> None:
    catalog.plugins = {**catalog.plugins, description.name: description}


WEAK = ConfigFinding(("keys", 0), "is weak: use more", code="sign.weak", severity="warning")


def test_a_warning_of_a_plugin_does_not_reject_and_has_a_place(catalog: Catalogue, load: Load) -> None:
    with_plugin(catalog, sign(WEAK))

    (warning,) = load(TEXT).warnings

    assert str(warning) == "gateway.yaml:2:47: plugins[0].config.keys[0]: warning: is weak: use more (sign 1.0)"
    assert (warning.code, warning.severity) == ("sign.weak", "warning")


def test_a_warning_shows_no_secret_of_its_line(catalog: Catalogue, load: Load) -> None:
    with_plugin(catalog, sign(WEAK))

    (warning,) = load(TEXT).warnings

    assert warning.excerpt is not None
    assert "abc" not in warning.excerpt


def test_an_error_of_a_plugin_rejects_and_takes_the_warnings_along(catalog: Catalogue, load: Load) -> None:
    with_plugin(catalog, sign(WEAK, dataclasses.replace(WEAK, code="sign.bad", severity="error")))

    with pytest.raises(ConfigError) as caught:
        load(TEXT)

    assert [problem.code for problem in caught.value.problems] == ["sign.bad"]
    assert [problem.code for problem in caught.value.warnings] == ["sign.weak"]


def test_warnings_travel_with_the_canonical_form(catalog: Catalogue, load: Load) -> None:
    with_plugin(catalog, sign(WEAK))
    loaded = load(TEXT)

    assert LoadedConfig.from_canonical(loaded.to_canonical()).warnings == loaded.warnings
