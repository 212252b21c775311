"""What distinguishes one state of a plugin's code from another, whatever version it says it is.

The code is what an import would find: the files that the distribution records, and the sources to which an editable
installation points. Those are found by the import system itself, without importing anything:

    top.plugin:Class, top is a package       everything below that package
    top.plugin:Class, top is a namespace     everything below top/plugin: other distributions may have parts of top
    a line of a recorded .pth file           every package and module in that directory
    MAPPING in a finder of setuptools        every package and module that it maps
    a module in an archive                   the archive

Modules that the distribution records beside the one that the entry point names are looked for in the same way: what an
import finds under their names counts, and may be another file than the recorded one.
"""

from __future__ import annotations

import ast
import contextlib
import hashlib
import importlib
import importlib.machinery
import site
import sys
from collections.abc import Iterable, Iterator, Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path, PurePosixPath
from typing import Any, Final

from gateway_core.packages.distributions import recorded_names
from gateway_core.packages.installed import Published

_IMPORTABLE: Final = tuple(importlib.machinery.all_suffixes())
_NOT_CODE: Final = {"RECORD", "INSTALLER", "REQUESTED", "direct_url.json", "uv_cache.json"}
"""Files of a distribution's metadata that differ from one installation to the next."""


def code_digest(published: Published) -> str:
    """Return the SHA-256 of a distribution's files, names and contents; of an editable one, of its sources. Blocks.

    :raises OSError: a file cannot be read.
    :raises ValueError: none of the code is in files, or what says where it is cannot be understood.
    :raises ImportError: a finder of another distribution fails.
    """
    distribution = published.entry_point.dist
    paths = _recorded(distribution) if distribution is not None else {}
    recorded = [name for name in paths if name.endswith(_IMPORTABLE) and not _is_finder(name)]
    sources = _module_files(published, recorded)
    if recorded:
        # What an import would find counts also if no record lists it: a module that was put beside the others, or a
        # package of the same name in a directory that is searched before.
        sources = {name: path for name, path in sources.items() if name.endswith(_IMPORTABLE)}
    # An editable installation records a pointer to the sources, so these are what counts.
    sources = {**_editable_files(paths.items()), **sources}
    if not recorded and not sources:
        raise ValueError(f"no file of {published.value!r} is found")
    paths |= sources
    total = hashlib.sha256()
    for name in sorted(paths):
        total.update(f"{name}\0{hashlib.sha256(paths[name].read_bytes()).hexdigest()}\n".encode())
    return total.hexdigest()


def _recorded(distribution: Any) -> dict[str, Path]:
    located = {
        name: Path(str(distribution.locate_file(name)))
        for name in recorded_names(distribution)
        if _counts(PurePosixPath(name))
    }
    return {name: path for name, path in located.items() if path.is_file()}


def _counts(path: PurePosixPath) -> bool:
    return path.name not in _NOT_CODE and not {"__pycache__", ".."}.intersection(path.parts)


def read_path_files(published: Published) -> None:
    """Find a distribution that was installed in editable mode while we run: its .pth file was never read."""
    distribution = published.entry_point.dist
    if distribution is not None:
        folder = Path(str(distribution.locate_file("")))
        # The interpreter opens them all, and would wait for the writer of a named pipe.
        if all(path.is_file() for path in folder.glob("*.pth")):
            site.addsitedir(str(folder))
        importlib.invalidate_caches()


# -- what the entry point names


def _module_files(published: Published, recorded: Iterable[str]) -> dict[str, Path]:
    """Return the files of the module that the entry point names, and of what an import of recorded modules finds."""
    named = published.value.partition(":")[0].strip()
    if named and _outermost_spec(named) is None:
        read_path_files(published)
    found: dict[str, Path] = {}
    seen: set[str] = set()
    for module in filter(None, [named, *map(_module_of, recorded)]):
        parts = module.split(".")
        if seen.isdisjoint(".".join(parts[:count]) for count in range(1, len(parts) + 1)):
            spec = _outermost_spec(module)
            seen.add(module if spec is None else spec.name)
            found.update({} if spec is None else _spec_files(spec))
    return found


def _module_of(name: str) -> str:
    """Return the module that a recorded file is; empty if no import would find it under its name."""
    parts = [*PurePosixPath(name).parent.parts, PurePosixPath(name).name.partition(".")[0]]
    if parts[-1] == "__init__":
        del parts[-1]
    return ".".join(parts) if all(part.isidentifier() for part in parts) else ""


def _spec_files(spec: ModuleSpec) -> dict[str, Path]:
    if spec.origin is None:
        return {}
    origin = Path(spec.origin)
    if origin.is_file():
        return dict(_files_of(origin, spec.name, is_package=spec.submodule_search_locations is not None))
    # Of a module in an archive the whole archive counts.
    return {parent.name: parent for parent in origin.parents if parent.is_file()}


def _outermost_spec(module: str) -> ModuleSpec | None:
    """Return the spec of the first part of a dotted name that is no namespace; nothing is imported."""
    path: Sequence[str] | None = None
    name = ""
    for part in module.split("."):
        name = f"{name}.{part}" if name else part
        spec = _find_spec(name, path)
        if spec is None or spec.origin is not None or spec.submodule_search_locations is None:
            return spec
        path = list(spec.submodule_search_locations)
    return None


def _find_spec(name: str, path: Sequence[str] | None) -> ModuleSpec | None:
    """Return what an import would find; `importlib.util.find_spec` would import the parent of a dotted name."""
    for finder in sys.meta_path:
        try:
            found = finder.find_spec(name, path)
        except Exception as error:
            # Editable installations bring finders of their own.
            raise ImportError(f"{finder!r} fails with {type(error).__name__}: {error}") from error
        if found is not None:
            return found
    return None


def _files_of(origin: Path, name: str, *, is_package: bool) -> Iterator[tuple[str, Path]]:
    """Yield a module's file, or every file of a package, with a name that does not depend on where it is."""
    if not is_package:
        yield f"{name.rpartition('.')[0]}/{origin.name}".lstrip("/"), origin
        return
    folder = origin.parent
    for path in folder.rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            yield f"{name.replace('.', '/')}/{path.relative_to(folder)}", path


# -- what an editable installation points to


def _is_finder(name: str) -> bool:
    return name.startswith("__editable__") and name.endswith("_finder.py")


def _editable_files(recorded: Iterable[tuple[str, Path]]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for name, path in recorded:
        if name.endswith(".pth"):
            for folder in _directories_in(path):
                for module in folder.glob("*.py"):
                    found.update(_files_of(module, module.stem, is_package=False))
                for package in folder.glob("*/__init__.py"):
                    found.update(_files_of(package, package.parent.name, is_package=True))
        elif _is_finder(name):
            for module_name, place in _mapping_in(path).items():
                is_package = Path(place).is_dir()
                origin = Path(place) / "__init__.py" if is_package else Path(place)
                if origin.is_file():
                    found.update(_files_of(origin, module_name, is_package=is_package))
    return found


def _directories_in(path_file: Path) -> Iterator[Path]:
    for line in path_file.read_text("utf-8", errors="replace").splitlines():
        text = line.strip()
        if text and not text.startswith(("#", "import ", "import\t")):
            folder = path_file.parent / text
            with contextlib.suppress(OSError):  # no path at all; the interpreter skips the line as well
                if folder.is_dir():
                    yield folder


def _mapping_in(finder: Path) -> dict[str, str]:
    """Return the modules that a finder of setuptools maps to places; its code is read, not run."""
    with contextlib.suppress(SyntaxError, ValueError, RecursionError):  # importing the plugin says what is wrong
        for statement in ast.parse(finder.read_text("utf-8")).body:
            if isinstance(statement, ast.AnnAssign) and ast.unparse(statement.target) == "MAPPING" and statement.value:
                mapping = ast.literal_eval(statement.value)
                if isinstance(mapping, dict):
                    return {name: place for name, place in mapping.items() if {type(name), type(place)} == {str}}
    return {}
