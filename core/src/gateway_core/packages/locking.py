"""Compare the plugins of an environment with a lock file; what has drifted is never imported."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from gateway_core.config import ConfigError, ConfigProblem, Place
from gateway_core.packages.code_digest import code_digest
from gateway_core.packages.installed import Published, published_plugins
from gateway_core.packages.lock_file import (
    LOCK_VARIABLE,
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
        try:
            files = code_digest(published[0])
        except (OSError, ValueError, ImportError) as error:
            raise LockError(f"plugin {name!r}: the files of {info.distribution} cannot be hashed: {error}") from error
        found[name] = LockedPlugin(name, info.distribution, info.version, files, schema)
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


def check_lock(paths: Sequence[Path], environ: Mapping[str, str]) -> None:
    """Refuse every configuration while the installed plugins are not as they were locked (``gateway run --locked``).

    Before a plugin is imported, and in whatever process validates next: the path of the lock file travels in the
    environment.

    :param paths: the files and directories of the configuration, which stay watched.
    :raises ConfigError: with a problem for each plugin that is not.
    """
    path = environ.get(LOCK_VARIABLE)
    if not path:
        return
    try:
        # A registry of its own: the caller's goes on to know which plugins the configuration made it load.
        locked = read_lock(Path(path))
        differences = list(drift(locked, installed_plugins(PluginRegistry(), locked)))
    except LockError as error:
        differences = [str(error)]
    if differences:
        problems = [ConfigProblem(Place(path), "", text, code="plugin.not-as-locked") for text in differences]
        files = [each for each in paths if not each.is_dir()]
        raise ConfigError(problems, files=[*files, Path(path)], directories=[each for each in paths if each.is_dir()])


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


__all__ = [
    "LockError",
    "LockedPlugin",
    "check_lock",
    "drift",
    "installed_plugins",
    "locked_plugins",
    "read_lock",
    "write_lock",
]
