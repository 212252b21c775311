from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.contract.repository import CORE, DISTRIBUTIONS, PLUGINS, SDK, imports_of, named, tree_of


def offenders(sources: list[Path], is_wrong: Callable[[str], bool]) -> list[str]:
    return [
        f"{named(source)}:{line}: imports {module}"
        for source in sources
        for module, line in imports_of(source)
        if is_wrong(module)
    ]


def is_in(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


@pytest.mark.parametrize("plugin", PLUGINS, ids=lambda plugin: plugin.name)
def test_plugins_know_only_the_sdk(plugin: object) -> None:
    assert plugin in PLUGINS
    sources = next(each for each in PLUGINS if each == plugin).sources

    assert offenders(sources, lambda module: is_in(module, "gateway_core")) == []


@pytest.mark.parametrize("name", ["gateway-plugin-auth", "gateway-plugin-logger", "gateway-plugin-ratelimit"])
def test_the_plugins_of_the_request_path_need_nothing_that_is_not_promised(name: str) -> None:
    sources = next(each for each in PLUGINS if each.name == name).sources

    assert offenders(sources, lambda module: module == "gateway_plugin_sdk.unstable") == []


def test_the_core_knows_neither_the_sdk_nor_a_plugin() -> None:
    assert offenders(CORE.sources, lambda module: module.startswith("gateway_plugin_")) == []


def test_the_sdk_knows_no_plugin() -> None:
    def is_plugin(module: str) -> bool:
        return module.startswith("gateway_plugin_") and not is_in(module, "gateway_plugin_sdk")

    assert offenders(SDK.sources, is_plugin) == []


def test_only_auth_and_oidc_verify_tokens_with_what_they_share() -> None:
    others = [each for each in DISTRIBUTIONS if each.name not in {"gateway-plugin-auth", "gateway-plugin-oidc"}]
    sources = [path for each in others for path in each.sources if each.name != "gateway-tokens"]

    assert offenders(sources, lambda module: is_in(module, "gateway_tokens")) == []


def test_authlib_is_for_tests_only() -> None:
    sources = [path for each in DISTRIBUTIONS for path in each.sources]

    assert offenders(sources, lambda module: is_in(module, "authlib")) == []
    assert not [each.name for each in DISTRIBUTIONS if "authlib" in (each.folder / "pyproject.toml").read_text("utf-8")]


def test_tasks_are_started_in_one_place() -> None:
    """A task that nobody keeps may vanish, and its failure with it: `gateway_core.tasks.spawn` sees to both."""
    started = [
        f"{named(source)}:{node.lineno}"
        for distribution in DISTRIBUTIONS
        for source in distribution.sources
        if source != CORE.package / "tasks.py"
        for node in ast.walk(tree_of(source))
        if isinstance(node, ast.Attribute) and node.attr in {"create_task", "ensure_future"}
    ]

    assert started == []


def test_only_the_composition_imports_every_layer() -> None:
    """Whoever may import everything soon does: the command line goes through the process layer, not around it."""
    sources = [path for path in CORE.sources if "process" not in path.parts and "testing" not in path.parts]

    assert offenders(sources, lambda module: is_in(module, "gateway_core.process.composition")) == [
        f"core/src/gateway_core/cli/run.py:{line}: imports gateway_core.process.composition"
        for path in (CORE.package / "cli" / "run.py",)
        for module, line in imports_of(path)
        if module == "gateway_core.process.composition"
    ]
