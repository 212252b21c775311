"""What tells one state of a plugin's code from another, whatever version it says it is."""

from __future__ import annotations

import hashlib
import importlib
import importlib.machinery
import importlib.util
import site
from collections.abc import Iterable
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
    sources = _sources(published)
    if any(name.endswith(".py") for name in paths):
        # What an import would find counts also if no record lists it: a module that was put beside the others, or a
        # package of the same name in a directory that is searched before.
        sources = {name: path for name, path in sources.items() if name.endswith(_IMPORTABLE)}
    # An editable installation records a pointer to the source, so the source is what counts.
    paths = {**paths, **sources}
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
        site.addsitedir(str(Path(str(distribution.locate_file("")))))
        importlib.invalidate_caches()


def _sources(published: Published) -> dict[str, Path]:
    package = published.value.partition(":")[0].partition(".")[0]
    if not package:
        return {}
    spec = importlib.util.find_spec(package)
    if spec is None:
        read_path_files(published)
        spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        return {}
    origin = Path(spec.origin)
    if origin.name != "__init__.py":
        return {origin.name: origin}
    folder = origin.parent
    return {
        str(path.relative_to(folder.parent)): path
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
