"""A lock file: which plugins an environment should have, down to the bytes of their files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from gateway_core.errors import GatewayError
from gateway_core.plugins.code_digest import code_digest
from gateway_core.plugins.installed import published_plugins
from gateway_core.plugins.registry import PluginRegistry

FORMAT: Final = 1


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
        files, schema = code_digest(everything[info.name][0]), _digest(json.dumps(info.schema, sort_keys=True).encode())
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
