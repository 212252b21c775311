"""The repository as the contract tests see it: its distributions, their sources and the tests of these."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[2]


@dataclass(frozen=True)
class Distribution:
    """One folder that pip installs."""

    folder: Path
    package: Path
    """The folder of its import package."""
    tests: Path
    """The folder that mirrors ``package``."""

    @property
    def name(self) -> str:
        name: str = self.settings["project"]["name"]
        return name

    @cached_property
    def settings(self) -> dict[str, Any]:
        return tomllib.loads((self.folder / "pyproject.toml").read_text("utf-8"))

    @cached_property
    def sources(self) -> list[Path]:
        """Its modules; what only becomes a module when a template is filled in is none."""
        return sorted(path for path in self.package.rglob("*.py") if "template" not in path.parts)


def _distributions() -> Iterator[Distribution]:
    for folder in (ROOT / "core", ROOT / "plugin-sdk", *sorted((ROOT / "plugins").iterdir())):
        if (folder / "pyproject.toml").exists():
            packages = [path.parent for path in (folder / "src").glob("*/__init__.py")]
            assert len(packages) == 1, f"{folder} has the packages {packages}"
            tests = ROOT / "tests" / folder.relative_to(ROOT)
            if folder.parent.name == "plugins":
                # Named as modules are: mypy takes files of one name in two folders with a hyphen for one module.
                tests = tests.with_name(folder.name.replace("-", "_"))
            yield Distribution(folder, packages[0], tests)


DISTRIBUTIONS: Final = tuple(_distributions())
CORE: Final = DISTRIBUTIONS[0]
SDK: Final = DISTRIBUTIONS[1]
PLUGINS: Final = DISTRIBUTIONS[2:]


def named(path: Path) -> str:
    """Return a path as messages show it."""
    return path.relative_to(ROOT).as_posix()


def all_python() -> list[Path]:
    """Return every Python file of ours: sources, tests and benchmarks."""
    others = [path for name in ("tests", "benchmarks", "examples") for path in (ROOT / name).rglob("*.py")]
    return sorted([*(source for distribution in DISTRIBUTIONS for source in distribution.sources), *others])


@cache
def tree_of(path: Path) -> ast.Module:
    """Return a file's syntax tree."""
    return ast.parse(path.read_text("utf-8"), str(path))


@cache
def imports_of(path: Path) -> list[tuple[str, int]]:
    """Return the modules that a file imports, at its top or anywhere below, with their lines."""
    return list(_imports_of(path))


def _imports_of(path: Path) -> Iterator[tuple[str, int]]:
    for node in ast.walk(tree_of(path)):
        match node:
            case ast.Import(names=names):
                yield from ((alias.name, node.lineno) for alias in names)
            case ast.ImportFrom(module=str(module), level=0):
                yield module, node.lineno
            case ast.Call(func=ast.Attribute(attr="import_module"), args=[ast.Constant(value=str(module)), *_]):
                yield module, node.lineno
