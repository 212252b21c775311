"""Tests wait for what they wait for: a sleep of some length is a guess, too short on a busy machine.

A loop that looks again after a short sleep is a wait for what knows no event. Whatever else sleeps for a part of a
second says why beside it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.contract.repository import ROOT, tree_of

LOOPS = (ast.While, ast.For, ast.AsyncFor)


def sleeps_outside_of_loops(node: ast.AST, in_loop: bool = False) -> Iterator[ast.Call]:
    """Yield the calls of ``sleep`` with a time that is not zero, which no loop repeats within their function."""
    for child in ast.iter_child_nodes(node):
        is_function = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        if not in_loop and isinstance(child, ast.Call) and ast.unparse(child.func) in {"time.sleep", "asyncio.sleep"}:
            time = child.args[0]
            value = time.value if isinstance(time, ast.Constant) else 0.5
            if not isinstance(value, int | float) or 0 < value < 1:
                yield child
        yield from sleeps_outside_of_loops(child, not is_function and (in_loop or isinstance(child, LOOPS)))


def guesses(path: Path) -> Iterator[str]:
    text = path.read_text()
    lines = text.splitlines()
    for call in sleeps_outside_of_loops(tree_of(path)) if ".sleep(" in text else ():
        if "#" not in lines[call.lineno - 1]:
            yield f"{path.relative_to(ROOT)}:{call.lineno}: {ast.unparse(call)}"


def waits(path: Path) -> Iterator[str]:
    for node in ast.walk(tree_of(path)) if "wait_for" in path.read_text() else ():
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "asyncio.wait_for":
            yield f"{path.relative_to(ROOT)}:{node.lineno}"


def test_no_wait_swallows_a_cancellation() -> None:
    # Python 3.11's wait_for does, if what it waits for is done in the same turn of the loop (bpo-37658).
    sources = [path for path in ROOT.glob("*/src") for path in path.rglob("*.py")]
    sources += [path for path in ROOT.glob("plugins/*/src") for path in path.rglob("*.py")]
    assert len(sources) > 500
    assert [each for path in sorted(sources) for each in waits(path)] == []


def test_no_test_sleeps_for_a_state() -> None:
    assert [each for path in sorted((ROOT / "tests").rglob("*.py")) for each in guesses(path)] == []
