"""Which plugins the installed distributions publish; nothing is imported here."""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field

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


def published_plugins() -> Mapping[str, tuple[Published, ...]]:
    """Read the entry points of every installed distribution, by name; takes some milliseconds and blocks.

    A name has more than one entry if several distributions publish it. A distribution that is being installed or
    removed at this moment may be seen twice or not at all: trust what two readings, half a second apart, agree on.
    """
    importlib.invalidate_caches()
    found: dict[str, list[Published]] = {}
    for entry_point in importlib_metadata.entry_points(group=ENTRY_POINT_GROUP):
        distribution = entry_point.dist
        name = distribution.name if distribution is not None else ""
        version = distribution.version if distribution is not None else ""
        record = _digest(distribution)
        published = Published(entry_point.name, entry_point.value, name or "", version or "", record, entry_point)
        if published not in found.setdefault(entry_point.name, []):
            found[entry_point.name].append(published)
    return {name: tuple(each) for name, each in sorted(found.items())}


def _digest(distribution: importlib_metadata.Distribution | None) -> str:
    text = None if distribution is None else distribution.read_text("RECORD")
    return "" if text is None else hashlib.sha256(text.encode()).hexdigest()
