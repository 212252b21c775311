"""What distinguishes one state of a plugin's code from another, whatever version it says it is.

The code is what an import would find: the files that the distribution records, and the sources to which an editable
installation points. Those are found by the import system itself, without importing anything:

    top.plugin:Class, top is a package       everything below that package
    top.plugin:Class, top is a namespace     everything below top/plugin: other distributions may have parts of top
    a line of a recorded .pth file           every package and module in that directory
    MAPPING in a finder of setuptools        every package and module that it maps
"""

from __future__ import annotations

import ast
import hashlib
import importlib
import importlib.machinery
import site
import sys
from collections.abc import Iterable, Iterator, Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any, Final

import importlib_metadata

from gateway_core.packages.installed import Published

_IMPORTABLE: Final = tuple(importlib.machinery.all_suffixes())
_NOT_CODE: Final = {"RECORD", "INSTALLER", "REQUESTED", "direct_url.json", "uv_cache.json"}
"""Files of a distribution's metadata that differ from one installation to the next."""


def code_digest(published: Published) -> str:
    """Return the SHA-256 of a distribution's files, names and contents; of an editable one, of its sources. Blocks."""
    distribution = published.entry_point.dist
    paths = _recorded(distribution) if distribution is not None else {}
    sources = _module_files(published)
    if any(name.endswith(".py") and not _is_finder(name) for name in paths):
        # What an import would find counts also if no record lists it: a module that was put beside the others, or a
        # package of the same name in a directory that is searched before.
        sources = {name: path for name, path in sources.items() if name.endswith(_IMPORTABLE)}
    # An editable installation records a pointer to the sources, so these are what counts.
    paths = {**paths, **_editable_files(paths.items()), **sources}
    total = hashlib.sha256()
    for name in sorted(paths):
        total.update(f"{name}\0{hashlib.sha256(paths[name].read_bytes()).hexdigest()}\n".encode())
    return total.hexdigest()


def _recorded(distribution: Any) -> dict[str, Path]:
    files: Iterable[importlib_metadata.PackagePath] = distribution.files or ()
    located = {str(each): Path(str(each.locate())) for each in files if _counts(each.name, each.parts)}
    return {name: path for name, path in located.items() if path.is_file()}


def _counts(name: str, parts: tuple[str, ...]) -> bool:
    return not name.endswith(".pyc") and name not in _NOT_CODE and ".." not in parts


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


def _module_files(published: Published) -> dict[str, Path]:
    module = published.value.partition(":")[0].strip()
    if not module:
        return {}
    spec = _outermost_spec(module)
    if spec is None:
        read_path_files(published)
        spec = _outermost_spec(module)
    if spec is None or spec.origin is None or not Path(spec.origin).is_file():
        return {}
    return dict(_files_of(Path(spec.origin), spec.name))


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
        found = finder.find_spec(name, path)
        if found is not None:
            return found
    return None


def _files_of(origin: Path, name: str) -> Iterator[tuple[str, Path]]:
    """Yield a module's file, or every file of a package, with a name that does not depend on where it is."""
    if origin.name != "__init__.py":
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
                for origin in [*folder.glob("*.py"), *folder.glob("*/__init__.py")]:
                    found.update(_files_of(origin, origin.stem if origin.parent == folder else origin.parent.name))
        elif _is_finder(name):
            for module, place in _mapping_in(path).items():
                origin = Path(place) / "__init__.py" if Path(place).is_dir() else Path(place)
                if origin.is_file():
                    found.update(_files_of(origin, module))
    return found


def _directories_in(path_file: Path) -> Iterator[Path]:
    for line in path_file.read_text("utf-8", errors="replace").splitlines():
        text = line.strip()
        if text and not text.startswith(("#", "import ", "import\t")):
            folder = path_file.parent / text
            if folder.is_dir():
                yield folder


def _mapping_in(finder: Path) -> dict[str, str]:
    """Return the modules that a finder of setuptools maps to places; its code is read, not run."""
    try:
        for statement in ast.parse(finder.read_text("utf-8")).body:
            if isinstance(statement, ast.AnnAssign) and ast.unparse(statement.target) == "MAPPING" and statement.value:
                mapping: dict[str, str] = ast.literal_eval(statement.value)
                return mapping
    except (SyntaxError, ValueError):
        pass  # importing the plugin says what is wrong with it
    return {}
