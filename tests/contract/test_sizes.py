from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.contract.repository import all_python, named, tree_of

FILE_LINES = 400
FUNCTION_LINES = 60


def functions_of(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def test_no_file_is_longer_than_somebody_reads_at_once() -> None:
    lengths = {named(path): len(path.read_text("utf-8").splitlines()) for path in all_python()}

    assert {path: lines for path, lines in lengths.items() if lines > FILE_LINES} == {}


def test_no_function_is_longer_than_a_screen() -> None:
    too_long = [
        f"{named(path)}:{function.lineno}: {function.name} has {lines} lines"
        for path in all_python()
        for function in functions_of(path)
        if (lines := (function.end_lineno or function.lineno) - function.lineno + 1) > FUNCTION_LINES
    ]

    assert too_long == []


def test_no_module_is_named_after_nothing() -> None:
    empty_words = {"utils", "util", "helpers", "helper", "common", "misc", "manager", "managers", "data", "info"}

    assert [named(path) for path in all_python() if {path.stem, path.parent.name} & empty_words] == []
