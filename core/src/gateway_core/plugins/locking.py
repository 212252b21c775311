"""A lock file: which plugins an environment should have, down to the bytes of their files."""

from __future__ import annotations

import hashlib
import importlib.util
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import importlib_metadata

from gateway_core.errors import GatewayError
from gateway_core.plugins.installed import Published, published_plugins
from gateway_core.plugins.registry import PluginRegistry

FORMAT: Final = 1
_NOT_CODE: Final = {"RECORD", "INSTALLER", "REQUESTED", "direct_url.json", "uv_cache.json"}
"""Files of a distribution's metadata that differ from one installation to the next."""


class LockError(GatewayError):
    """A lock file that cannot be read."""


@dataclass(frozen=True, slots=True)
class LockedPlugin:
    """One plugin as it was, or is, installed."""

    name: str
    distribution: str
    version: str
    files: str
    """SHA-256 of the distribution's files, names and contents."""

    schema: str
    """SHA-256 of the configuration's schema."""


def installed_plugins(registry: PluginRegistry) -> dict[str, LockedPlugin]:
    """Load every plugin of the environment and take its measure, by name.

    :raises LockError: one of them does not load.
    """
    found, everything = {}, published_plugins()
    for info in registry.infos():
        if info.error is not None:
            raise LockError(f"plugin {info.name!r} does not load: {info.error}")
        files, schema = _files_hash(everything[info.name][0]), _digest(json.dumps(info.schema, sort_keys=True).encode())
        found[info.name] = LockedPlugin(info.name, info.distribution, info.version, files, schema)
    return found


def write_lock(path: Path, plugins: Mapping[str, LockedPlugin]) -> None:
    """Write a lock file; the same plugins give the same bytes."""
    entries = [asdict(plugins[name]) for name in sorted(plugins)]
    path.write_text(json.dumps({"format": FORMAT, "plugins": entries}, indent=2) + "\n", "utf-8")


def read_lock(path: Path) -> dict[str, LockedPlugin]:
    """Read a lock file.

    :raises LockError: it is not there or is not one.
    """
    try:
        document: Any = json.loads(path.read_text("utf-8"))
        if document["format"] != FORMAT:
            raise LockError(
                f"{path} has format {document['format']!r}, not {FORMAT}: write it anew by `gateway plugins lock`"
            )
        return {entry["name"]: LockedPlugin(**entry) for entry in document["plugins"]}
    except FileNotFoundError:
        raise LockError(f"there is no lock file {str(path)!r}: write one by `gateway plugins lock`") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise LockError(f"{path} is no lock file: {error}") from error


def drift(locked: Mapping[str, LockedPlugin], found: Mapping[str, LockedPlugin]) -> Iterator[str]:
    """Yield what is not as it was locked, one line each."""
    for name in sorted(locked.keys() | found.keys()):
        before, now = locked.get(name), found.get(name)
        if before is None and now is not None:
            yield f"{name}: {now.distribution} {now.version} is installed and not locked"
        elif now is None and before is not None:
            yield f"{name}: {before.distribution} {before.version} is locked and not installed"
        elif before is not None and now is not None and before != now:
            yield f"{name}: {', '.join(_differences(before, now))}"


def _differences(before: LockedPlugin, now: LockedPlugin) -> Iterator[str]:
    if (before.distribution, before.version) != (now.distribution, now.version):
        yield f"{before.distribution} {before.version} is locked, {now.distribution} {now.version} is installed"
    elif before.files != now.files:
        yield f"the files of {now.distribution} {now.version} are not those that were locked"
    if before.schema != now.schema:
        yield "its configuration has another schema"


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _files_hash(published: Published) -> str:
    distribution = published.entry_point.dist
    paths = _recorded(distribution) if distribution is not None else {}
    if not any(name.endswith(".py") for name in paths):
        # An editable installation records a pointer to the source, so the source is what counts.
        paths = {**paths, **_sources(published.value)}
    total = hashlib.sha256()
    for name in sorted(paths):
        total.update(f"{name}\0{_digest(paths[name].read_bytes())}\n".encode())
    return total.hexdigest()


def _recorded(distribution: Any) -> dict[str, Path]:
    files: Iterable[importlib_metadata.PackagePath] = distribution.files or ()
    located = {str(each): Path(str(each.locate())) for each in files if _counts(each.name, each.parts)}
    return {name: path for name, path in located.items() if path.is_file()}


def _counts(name: str, parts: tuple[str, ...]) -> bool:
    return not name.endswith(".pyc") and name not in _NOT_CODE and ".." not in parts


def _sources(value: str) -> dict[str, Path]:
    package = value.partition(":")[0].partition(".")[0]
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
