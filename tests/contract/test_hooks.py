"""A hook is a promise: it is documented, tested, and somebody in this repository keeps using it."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable
from functools import cache

import pytest
from gateway_core.hooks.process_hooks import ProcessHooks
from gateway_core.hookspecs import RequestHooks

from tests.contract.repository import DISTRIBUTIONS, ROOT, tree_of

HOOKS: dict[str, Callable[..., object]] = {
    name: hook
    for declared in (RequestHooks, ProcessHooks)
    for name, hook in vars(declared).items()
    if name.startswith("gateway_")
}

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


@cache
def implemented() -> frozenset[str]:
    """Return the hooks that plugins, extensions, examples and recipes of this repository implement."""
    sources = [source for distribution in DISTRIBUTIONS for source in distribution.sources]
    specifications = {"hookspecs.py", "process_hooks.py"}
    paths = [path for path in (*sources, *(ROOT / "examples").rglob("*.py")) if path.name not in specifications]
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "cookbook.md").read_text("utf-8"), re.DOTALL)
    trees = [*map(tree_of, paths), *map(ast.parse, blocks)]
    return frozenset(node.name for tree in trees for node in ast.walk(tree) if isinstance(node, FUNCTIONS)) & frozenset(
        HOOKS
    )


@cache
def used_in_tests() -> frozenset[str]:
    """Return the hooks that tests implement or call by name."""
    paths = (path for path in (ROOT / "tests").rglob("*.py") if any(hook in path.read_text() for hook in HOOKS))
    nodes = [node for path in paths for node in ast.walk(tree_of(path))]
    names = {node.name for node in nodes if isinstance(node, FUNCTIONS)}
    names |= {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    return frozenset(HOOKS) & names


@pytest.mark.parametrize("name", HOOKS)
def test_documentation_tells_when_it_runs_its_arguments_and_its_result(name: str) -> None:
    hook = HOOKS[name]
    doc = inspect.getdoc(hook) or ""

    summary, _, rest = doc.partition("\n\n")
    assert re.fullmatch(r"[A-Z][^\n]*\.", summary), "begin with one sentence of purpose"
    assert "Runs once" in rest, "say when it runs"
    documented = re.findall(r":param (\w+):", doc)
    assert documented == [argument for argument in inspect.signature(hook).parameters if argument != "self"]
    assert name == "gateway_log" or ":returns:" in doc


@pytest.mark.parametrize("name", HOOKS)
def test_somebody_in_this_repository_implements_it(name: str) -> None:
    assert name in implemented(), f"no plugin, extension or example implements {name}"


@pytest.mark.parametrize("name", HOOKS)
def test_a_test_runs_it(name: str) -> None:
    assert name in used_in_tests(), f"no test has anything to do with {name}"
