"""Every source file has its test file: ``core/src/gateway_core/a/b.py`` has ``tests/core/a/test_b.py``.

A file whose rules are best tested through another one is listed in ``covered_elsewhere.toml`` with the tests that do.
"""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path

from tests.contract.repository import DISTRIBUTIONS, ROOT, named, tree_of

LIST = Path(__file__).with_name("covered_elsewhere.toml")
COVERED: dict[str, str] = {
    f"{folder}/{name}": test
    for folder, files in tomllib.loads(LIST.read_text()).items()
    for name, test in files.items()
}


def expected_tests() -> dict[str, Path]:
    """Return for each source the test file that mirrors it; packages and programs have none of their own."""
    return {
        named(source): distribution.tests / source.relative_to(distribution.package).parent / f"test_{source.name}"
        for distribution in DISTRIBUTIONS
        for source in distribution.sources
        if not source.name.startswith("__")
    }


def has_tests(path: Path) -> bool:
    nodes = (node for node in ast.walk(tree_of(path)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return any(node.name.startswith("test_") for node in nodes)


def test_every_source_file_has_its_test_file() -> None:
    alone = [
        f"{source} has no {named(test)}"
        for source, test in expected_tests().items()
        if source not in COVERED and not test.exists()
    ]

    assert alone == [], f"write them, or name the tests that cover them in {named(LIST)}"


def test_the_list_of_what_is_covered_elsewhere_is_true() -> None:
    expected = expected_tests()

    untrue = [f"{source}: there is no such file" for source in COVERED if source not in expected]
    untrue += [f"{source}: it has a test file of its own" for source in COVERED if expected.get(source, ROOT).is_file()]
    untrue += [
        f"{source}: {test} has no tests"
        for source, test in COVERED.items()
        if not (ROOT / test).is_file() or not has_tests(ROOT / test)
    ]

    assert untrue == [], f"mend {named(LIST)}"


def test_every_mirrored_test_file_has_tests() -> None:
    assert [named(test) for test in expected_tests().values() if test.is_file() and not has_tests(test)] == []
