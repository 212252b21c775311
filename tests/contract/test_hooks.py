"""A hook is a promise: it is documented, tested, and somebody in this repository keeps using it."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable, Iterator

import pytest
from gateway_core.hookspecs import ProcessHooks, RequestHooks

from tests.contract.repository import DISTRIBUTIONS, ROOT, tree_of

HOOKS: dict[str, Callable[..., object]] = {
    name: hook
    for declared in (RequestHooks, ProcessHooks)
    for name, hook in vars(declared).items()
    if name.startswith("gateway_")
}

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def implemented() -> Iterator[str]:
    """Yield the hooks that plugins, extensions and examples of this repository implement."""
    sources = [source for distribution in DISTRIBUTIONS for source in distribution.sources]
    for path in (*sources, *(ROOT / "examples").rglob("*.py")):
        if path.name != "hookspecs.py":
            functions = (node for node in ast.walk(tree_of(path)) if isinstance(node, FUNCTIONS))
            yield from {node.name for node in functions} & set(HOOKS)


def used_in_tests() -> Iterator[str]:
    """Yield the hooks that tests implement or call by name."""
    for path in (ROOT / "tests").rglob("*.py"):
        for node in ast.walk(tree_of(path)):
            if isinstance(node, FUNCTIONS):
                yield node.name
            elif isinstance(node, ast.Attribute):
                yield node.attr


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
    assert name in set(implemented()), f"no plugin, extension or example implements {name}"


@pytest.mark.parametrize("name", HOOKS)
def test_a_test_runs_it(name: str) -> None:
    assert name in set(used_in_tests()), f"no test has anything to do with {name}"
