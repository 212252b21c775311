"""Which plugins the installed distributions publish; nothing is imported here.

Installers and deployments leave all kinds of remains behind: metadata without a name, an entry-point file that cannot
be parsed or is no file, directories of a distribution whose files are gone. One such distribution must neither hide
the others nor end what reads them, so each is read by itself, and what cannot be read is reported as a
`BrokenDistribution`.
"""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import importlib_metadata

from gateway_core.config import ConfigProblem, Place
from gateway_core.hookspecs import ENTRY_POINT_GROUP
from gateway_core.packages.distributions import (
    InstalledDistribution,
    MetadataError,
    MetadataStamp,
    distributions,
    is_want_of_resources,
    metadata_stamp,
    recorded_names,
)


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

    :raises OSError: what is installed cannot be seen now, for want of descriptors or memory.
    """
    importlib.invalidate_caches()
    found: dict[str, list[Published]] = {}
    broken: list[BrokenDistribution] = []
    for distribution in distributions():
        try:
            published = list(_published(distribution))
        except Exception as error:
            if is_want_of_resources(error):
                raise
            broken.append(_broken(distribution, error))
            continue
        for each in published:
            if each not in found.setdefault(each.name, []):
                found[each.name].append(each)
    plugins = {name: tuple(each) for name, each in sorted(found.items())}
    return InstalledPlugins(plugins, tuple(broken))


class RememberedPlugins:
    """The plugins of the last reading, which is done again only after what was read has changed."""

    def __init__(self, stamp: Callable[[], MetadataStamp] = metadata_stamp) -> None:
        """Remember none yet.

        :param stamp: returns something else after a change: `metadata_stamp` after that of any file, `path_stamp`
            after an installation or a removal.
        """
        self._stamp_now = stamp
        self._stamp: MetadataStamp | None = None
        self._plugins: Mapping[str, tuple[Published, ...]] = {}

    def find(self) -> Mapping[str, tuple[Published, ...]]:
        """Return what `published_plugins` does.

        :raises OSError: what is installed cannot be seen now, for want of descriptors or memory.
        """
        stamp = self._stamp_now()
        if stamp != self._stamp:
            self._plugins = published_plugins()
            # Taken before it was read: what is installed meanwhile differs from it.
            self._stamp = stamp
        return self._plugins


def broken_distributions() -> Iterator[ConfigProblem]:
    """Yield a warning of each distribution whose plugins, if it has any, cannot be known."""
    for broken in installed_plugins().broken:
        yield ConfigProblem(Place(broken.path), "", str(broken), code="plugin.distribution-broken", severity="warning")


def with_broken_distributions(problems: Sequence[ConfigProblem]) -> tuple[ConfigProblem, ...]:
    """Return problems where those of plugins that are not installed name the distributions that may have them."""
    if all(problem.code != "plugin.not-installed" for problem in problems):
        return tuple(problems)
    broken = [str(each) for each in installed_plugins().broken]
    return tuple(
        replace(problem, remedy="; ".join(filter(None, (problem.remedy, *broken))))
        if problem.code == "plugin.not-installed"
        else problem
        for problem in problems
    )


def _published(distribution: importlib_metadata.Distribution) -> Iterator[Published]:
    # What is wrong with a distribution without plugins does not matter here.
    if ENTRY_POINT_GROUP not in (distribution.read_text("entry_points.txt") or ""):
        return
    for entry_point in distribution.entry_points.select(group=ENTRY_POINT_GROUP):
        recorded_names(distribution)
        record = distribution.read_text("RECORD")
        digest = "" if record is None else hashlib.sha256(record.encode()).hexdigest()
        name, version = distribution.name, distribution.version
        yield Published(entry_point.name, entry_point.value, name, version, digest, entry_point)


def _broken(distribution: importlib_metadata.Distribution, error: Exception) -> BrokenDistribution:
    path = distribution.path if isinstance(distribution, InstalledDistribution) else distribution.locate_file("")
    reason = " ".join(str(error).split())[:200]
    return BrokenDistribution(
        str(path), reason if isinstance(error, MetadataError) else f"{type(error).__name__}: {reason}"
    )
