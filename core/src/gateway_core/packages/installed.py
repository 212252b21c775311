"""Which plugins the installed distributions publish; nothing is imported here.

Installers and deployments leave all kinds of remains behind: metadata without a name, an entry-point file that cannot
be parsed, directories of a distribution whose files are gone. One such distribution must neither hide the others nor
end what reads them, so each is read by itself as soon as reading all of them together fails, and what cannot be read
is reported as a `BrokenDistribution`.
"""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import importlib_metadata

from gateway_core.hookspecs import ENTRY_POINT_GROUP


@dataclass(frozen=True, slots=True)
class Published:
    """One entry point of one distribution."""

    name: str
    value: str
    """Where the plugin is, such as ``gateway_plugin_auth:Auth``."""

    distribution: str
    version: str
    record: str = field(repr=False)
    """SHA-256 of the distribution's list of files, which has a hash of each: the same version may be other code."""

    entry_point: importlib_metadata.EntryPoint = field(repr=False, compare=False)


_observers: list[Callable[[Published], None]] = []


def observe_imports(observer: Callable[[Published], None]) -> None:
    """Have every plugin reported before this process imports it, in case that is the last thing it does."""
    _observers.append(observer)


def report_import(published: Published) -> None:
    """Tell the observers that a plugin is about to be imported."""
    for observer in _observers:
        observer(published)


class BrokenDistribution(NamedTuple):
    """A distribution whose metadata cannot be read, so that its plugins are not seen."""

    path: str
    """Its metadata directory, or the directory that it is in."""

    reason: str

    def __str__(self) -> str:
        return f"the distribution at {self.path} cannot be read ({self.reason}): install it again, or remove it"


class InstalledPlugins(NamedTuple):
    """One reading of the environment."""

    plugins: Mapping[str, tuple[Published, ...]]
    """By name; more than one entry if several distributions publish it."""

    broken: tuple[BrokenDistribution, ...] = ()


def published_plugins() -> Mapping[str, tuple[Published, ...]]:
    """Return the plugins of `installed_plugins`."""
    return installed_plugins().plugins


def installed_plugins() -> InstalledPlugins:
    """Read the entry points of every installed distribution; takes some milliseconds and blocks.

    A distribution that is being installed or removed at this moment may be seen twice or not at all: trust what two
    readings, half a second apart, agree on.
    """
    importlib.invalidate_caches()
    found: dict[str, list[Published]] = {}
    broken: list[BrokenDistribution] = []
    for entry_point in _entry_points(broken):
        try:
            published = _published(entry_point)
        except Exception as error:  # noqa: BLE001 - importlib_metadata raises what its parsers do
            _report(broken, entry_point.dist, error)
            continue
        if published not in found.setdefault(published.name, []):
            found[published.name].append(published)
    plugins = {name: tuple(each) for name, each in sorted(found.items()) if each}
    return InstalledPlugins(plugins, tuple(dict.fromkeys(broken)))


def _entry_points(broken: list[BrokenDistribution]) -> Iterator[importlib_metadata.EntryPoint]:
    """Yield the entry points of plugins; what cannot be read is added to ``broken``."""
    try:
        yield from list(importlib_metadata.entry_points(group=ENTRY_POINT_GROUP))
    except Exception:  # noqa: BLE001 - see above; one distribution spoils them all
        seen: set[str] = set()
        for distribution in importlib_metadata.distributions():
            try:
                text = distribution.read_text("entry_points.txt") or ""
                # What is wrong with a distribution without plugins does not matter here.
                found = list(distribution.entry_points.select(group=ENTRY_POINT_GROUP)) if _mentions(text) else []
                name = distribution.name.lower() if found else ""
            except Exception as error:  # noqa: BLE001 - see above
                _report(broken, distribution, error)
                continue
            if found and name not in seen:  # the first one on the path is the one that is imported
                seen.add(name)
                yield from found


def _mentions(text: str) -> bool:
    return ENTRY_POINT_GROUP in text


def _published(entry_point: importlib_metadata.EntryPoint) -> Published:
    distribution = entry_point.dist
    if distribution is None:
        return Published(entry_point.name, entry_point.value, "", "", "", entry_point)
    record = distribution.read_text("RECORD")
    digest = "" if record is None else hashlib.sha256(record.encode()).hexdigest()
    return Published(entry_point.name, entry_point.value, distribution.name, distribution.version, digest, entry_point)


def _report(broken: list[BrokenDistribution], distribution: Any, error: Exception) -> None:
    # No public attribute tells where the metadata is; without it the directory must do.
    path = getattr(distribution, "_path", None)
    if path is None and distribution is not None:
        path = distribution.locate_file("")
    reason = " ".join(str(error).split())[:200]
    broken.append(BrokenDistribution(str(path), f"{type(error).__name__}: {reason}"))
