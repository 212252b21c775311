from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from gateway_core.config import ConfigError, PluginDescription, load_config

SCHEMA: Mapping[str, Any] = {"type": "object"}


class Catalog:
    """Two plugins: one that responds, and one that does not."""

    def names(self) -> list[str]:
        return ["logger", "pages"]

    def describe(self, name: str) -> PluginDescription | None:
        if name not in self.names():
            return None
        provides = frozenset({"response"} if name == "pages" else ())
        return PluginDescription(name=name, distribution="d", version="1", schema=SCHEMA, provides=provides)


def problems(folder: Path, plugins: str, top: str = "") -> list[str]:
    path = folder / "gateway.yaml"
    path.write_text(f"{top}\nroutes: [{{id: r, path: /, plugins: {plugins}}}]\n")
    try:
        load_config(path, environ={}, catalog=Catalog())
    except ConfigError as error:
        return [problem.message for problem in error.problems]
    return []


@pytest.mark.parametrize(
    ("plugins", "top", "is_fine"),
    [
        ("[{name: pages}]", "", True),
        ("[{name: logger}]", "", False),
        ("[{name: logger}]", "plugins: [{name: pages}]", True),
        ("[{name: pages, enabled: false}, {name: logger}]", "plugins: [{name: pages}]", False),
        ("[]", "", False),
    ],
)
def test_a_route_without_target_has_a_binding_that_responds(
    tmp_path: Path, plugins: str, top: str, is_fine: bool
) -> None:
    found = problems(tmp_path, plugins, top)

    assert (found == []) is is_fine
    assert all("lacks a key" in message for message in found)
