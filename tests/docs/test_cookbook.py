"""Every recipe of the cookbook, of bodies.md and of plugin-runtime.md is a plugin in order, and its tests pass."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import pytest
from gateway_plugin_sdk import Plugin
from gateway_plugin_sdk.testing import assert_plugin_ok

from tests.plugins.ratelimit.stores.conftest import Valkey

DOCS = Path(__file__).parents[2] / "docs"
SECTIONS = {
    title: text
    for page in ("cookbook.md", "bodies.md", "calling-upstreams.md", "plugin-runtime.md")
    for title, text in re.findall(
        r"^## ([^\n]*)\n(.*?)(?=^## |\Z)", (DOCS / page).read_text("utf-8"), re.MULTILINE | re.DOTALL
    )
}
CONFIGS: dict[str, dict[str, Any]] = {
    "ask-first": {"url": "http://127.0.0.1:1"},
    "blocklist": {"file": "/dev/null"},
    "blocked-agents": {"file": __file__},
    "entitled": {"upstream": "http://accounts.test"},
    "sign": {"key": "k" * 20},
    "tickets": {"tickets": {"alice": "T-1234567890"}},
    "unrepeated": {"valkey": {"url": "valkey://127.0.0.1:1"}},
}
NEEDS_A_SERVICE = {"ask-first"}


@pytest.fixture
def valkey_url(tmp_path: Path) -> Iterator[str]:
    server = Valkey(tmp_path)
    yield server.url
    server.kill()


def load(section: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Return a section's blocks as one module."""
    blocks = re.findall(r"^```python\n(.*?)^```$", SECTIONS[section], re.MULTILINE | re.DOTALL)
    module = ModuleType(f"cookbook_{re.sub('[^a-z]', '_', section.lower())}")
    # Models look their annotations up in their module.
    monkeypatch.setitem(sys.modules, module.__name__, module)
    for block in blocks:
        exec(compile(block, section, "exec"), module.__dict__)
    return module


@pytest.mark.parametrize("section", SECTIONS)
def test_a_recipe_works(section: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    module = load(section, monkeypatch)
    tests = [each for name, each in vars(module).items() if name.startswith("test_") and isinstance(each, FunctionType)]

    for test in tests:
        test(**{name: request.getfixturevalue(name) for name in inspect.signature(test).parameters})
        if "upstream" in inspect.signature(test).parameters:
            request.getfixturevalue("upstream").clear()

    assert tests


@pytest.mark.parametrize("section", SECTIONS)
def test_a_recipes_plugin_is_in_order(section: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module = load(section, monkeypatch)
    (plugin,) = [
        each
        for each in vars(module).values()
        if isinstance(each, type) and issubclass(each, Plugin) and each is not Plugin
    ]

    if plugin.name not in NEEDS_A_SERVICE:
        assert_plugin_ok(plugin, CONFIGS.get(plugin.name))
