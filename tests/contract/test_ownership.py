"""Who owns what in the data path can be seen: no cycles of imports, and no attribute is written by two files.

An attribute belongs to the file of its class.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

from tests.contract.repository import CORE, imports_of, tree_of

PROXY = CORE.package / "proxy"

OTHERS = {"request", "response", "record", "found", "snapshot", "endpoint", "admission"}
"""What messages and lower layers are called: their attributes are public or theirs."""


def classes() -> Iterator[tuple[Path, ast.ClassDef]]:
    for path in sorted(PROXY.rglob("*.py")):
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.ClassDef) and not any(
                ast.unparse(base).startswith("Protocol") for base in node.bases
            ):
                yield path, node


def attributes_of(node: ast.ClassDef) -> Iterator[str]:
    for statement in node.body:
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            yield statement.target.id
        elif isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "__slots__":
            yield from ast.literal_eval(statement.value)
        elif isinstance(statement, ast.Assign):
            yield from (target.id for target in statement.targets if isinstance(target, ast.Name))
    for each in ast.walk(node):
        if isinstance(each, ast.Attribute) and isinstance(each.ctx, ast.Store) and ast.unparse(each.value) == "self":
            yield each.attr


def foreign_writes() -> dict[str, set[str]]:
    """Return the attributes that other files than that of their class assign, with the places."""
    owners: dict[str, set[tuple[Path, str]]] = defaultdict(set)
    for path, node in classes():
        for name in attributes_of(node):
            owners[name].add((path, node.name))
    found: dict[str, set[str]] = defaultdict(set)
    for path in sorted(PROXY.rglob("*.py")):
        for each in ast.walk(tree_of(path)):
            if not isinstance(each, ast.Attribute) or isinstance(each.ctx, ast.Load):
                continue
            target = ast.unparse(each.value)
            if target in {"self", "cls"} or target.rpartition(".")[2].strip("_") in OTHERS:
                continue
            if each.attr in owners and not any(owner == path for owner, _ in owners[each.attr]):
                names = {f"{name}.{each.attr}" for _, name in owners[each.attr]}
                found[" or ".join(sorted(names))].add(f"{path.relative_to(PROXY)}:{each.lineno}: {ast.unparse(each)}")
    return found


def test_no_attribute_is_written_by_two_files() -> None:
    assert foreign_writes() == {}


def targets_of(path: Path, modules: dict[str, Path]) -> Iterator[str]:
    """Return what a file imports: the module that a name stands for, or the one that has it."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                yield name if name in modules else str(node.module)


def test_no_imports_of_the_core_are_a_cycle() -> None:
    """Those for types count as well: a module that needs another one to be understood should not be needed by it."""
    modules = {".".join(path.relative_to(CORE.package.parent).with_suffix("").parts): path for path in CORE.sources}
    modules = {name.removesuffix(".__init__"): path for name, path in modules.items()}
    graph = {name: {each for each in targets_of(path, modules) if each in modules} for name, path in modules.items()}

    try:
        TopologicalSorter(graph).prepare()
        cycle: list[str] = []
    except CycleError as error:
        cycle = error.args[1]

    assert cycle == []


def test_no_class_of_the_core_leaves_methods_to_its_subclasses() -> None:
    stubs = [
        f"{path.relative_to(CORE.package)}:{node.lineno}"
        for path in CORE.sources
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Name) and node.id == "NotImplementedError"
    ]

    assert stubs == []


def test_a_connection_and_its_exchange_know_each_other_by_one_protocol() -> None:
    """An exchange responds through `ResponseWriter`; no class of the client's side is named beside its types."""
    downstream = [
        module
        for module, _ in imports_of(PROXY / "exchange.py")
        if module.startswith("gateway_core.proxy.downstream") and not module.endswith(".client")
    ]

    assert downstream == []
