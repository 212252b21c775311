"""Compare the plugins of an environment with a lock file; what has drifted is never imported."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping

from gateway_core.packages.code_digest import code_digest
from gateway_core.packages.installed import Published, published_plugins
from gateway_core.packages.lock_file import (
    LockedPlugin,
    LockError,
    distrust_byte_code,
    locked_plugins,
    read_lock,
    write_lock,
)
from gateway_core.packages.registry import PluginRegistry


def installed_plugins(
    registry: PluginRegistry, locked: Mapping[str, LockedPlugin] | None = None
) -> dict[str, LockedPlugin]:
    """Take the measure of every plugin of the environment, by name.

    Its schema is known only by importing it. With a lock file a plugin is imported only if its files are those that
    were locked, and then from source.

    :raises LockError: one of them does not load.
    """
    found, everything = {}, published_plugins()
    if locked is not None:
        distrust_byte_code()
    for name in registry.names():
        published = everything.get(name, ())
        if len(published) == 1 and locked is not None:
            measured, before = _measured(published[0]), locked.get(name)
            if before is None or any(before.differences(measured)):
                found[name] = measured
                continue
        info = registry.info(name)
        if info is None:
            continue  # removed at this moment
        if info.error is not None:
            raise LockError(f"plugin {name!r} does not load: {info.error}")
        schema = _digest(json.dumps(info.schema, sort_keys=True).encode())
        found[name] = LockedPlugin(name, info.distribution, info.version, code_digest(published[0]), schema)
    return found


def _measured(published: Published) -> LockedPlugin:
    try:
        files = code_digest(published)
    except (OSError, ValueError, ImportError):
        files = ""
    return LockedPlugin(published.name, published.distribution, published.version, files, "")


def drift(locked: Mapping[str, LockedPlugin], found: Mapping[str, LockedPlugin]) -> Iterator[str]:
    """Yield what is not as it was locked, one line each."""
    for name in sorted(locked.keys() | found.keys()):
        before, now = locked.get(name), found.get(name)
        if before is None and now is not None:
            yield f"{name}: {now.distribution} {now.version} is installed and not locked"
        elif now is None and before is not None:
            yield f"{name}: {before.distribution} {before.version} is locked and not installed"
        elif before is not None and now is not None:
            differences = [*before.differences(now)]
            if now.schema not in {"", before.schema}:
                differences.append("its configuration has another schema")
            if differences:
                yield f"{name}: {', '.join(differences)}"


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


__all__ = ["LockError", "LockedPlugin", "drift", "installed_plugins", "locked_plugins", "read_lock", "write_lock"]
