"""The plugins of this environment: found by entry point, loaded on demand, each by itself.

What it takes to load one is imported with the first that is loaded: many configurations and commands need none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from gateway_core.config import PluginDescription, did_you_mean
from gateway_core.errors import GatewayError
from gateway_core.packages.code_digest import code_digest
from gateway_core.packages.installed import Published, published_plugins
from gateway_core.packages.lock_file import LockedPlugin, LockError, distrust_byte_code, locked_plugins

if TYPE_CHECKING:
    from gateway_core.hooks.plugin import Plugin
    from gateway_core.packages.loading import Loaded

State = Literal["found", "loaded", "broken", "changed", "orphaned"]


class PluginUnavailableError(GatewayError):
    """A plugin that is not installed or did not load."""


@dataclass(frozen=True, slots=True)
class PluginInfo:
    """What there is to know of a plugin or extension."""

    name: str
    distribution: str
    version: str
    kind: str
    """``plugin``, ``extension``, or ``unknown`` as long as it is not loaded."""

    hooks: tuple[str, ...]
    state: State
    """``found`` (not asked for yet), ``loaded``, ``broken``, ``changed`` (another version is installed than runs) or
    ``orphaned`` (uninstalled, and still running); the last two need a restart."""

    error: str | None
    doc: str
    schema: Mapping[str, Any] | None
    cls: type[Plugin[Any]] | None

    def describe(self) -> dict[str, Any]:
        """Return what status pages show of it."""
        return {name: getattr(self, name) for name in ("name", "distribution", "version", "kind", "state", "error")}


@dataclass(frozen=True, slots=True)
class ScanReport:
    """What a scan found to be different, by name."""

    added: tuple[str, ...] = ()
    """Found for the first time, or in another version after it was broken: usable at once."""

    removed: tuple[str, ...] = ()
    """Gone, and never loaded here."""

    changed: tuple[str, ...] = ()
    """Loaded here, and installed in another version now."""

    orphaned: tuple[str, ...] = ()
    """Loaded here, and not installed any more."""

    @property
    def needs_restart(self) -> bool:
        return bool(self.changed or self.orphaned)


class _Entry:
    """One name: what is installed, and what came of loading it."""

    __slots__ = ("digest", "error", "installed", "loaded", "running")

    def __init__(self, installed: tuple[Published, ...]) -> None:
        self.installed = installed
        self.loaded: Loaded | None = None
        self.error: str | None = None
        self.running: Published | None = None
        """What was installed when it was loaded."""
        self.digest = ""
        """Of the code that was loaded."""

    @property
    def state(self) -> State:
        if self.error is not None:
            return "broken"
        if self.loaded is None:
            return "found"
        if not self.installed:
            return "orphaned"
        return "loaded" if self.installed == (self.running,) else "changed"


class PluginRegistry:
    """Plugins by name; a `gateway_core.config.PluginCatalog`."""

    def __init__(
        self,
        find: Callable[[], Mapping[str, tuple[Published, ...]]] = published_plugins,
        *,
        describes: bool = True,
        while_loading: Callable[[Published], AbstractContextManager[None]] = lambda _: nullcontext(),
    ) -> None:
        """Know nothing yet.

        :param describes: whether plugins are loaded with the schema of their configuration: who serves what another
            process checked does without, and makes one only when something is refused after all.
        :param while_loading: returns what is entered while a plugin is imported.
        """
        self._find = find
        self._describes = describes
        self._while_loading = while_loading
        self._entries: dict[str, _Entry] | None = None

    @property
    def _known(self) -> dict[str, _Entry]:
        if self._entries is None:
            self._entries = {name: _Entry(installed) for name, installed in self._find().items()}
        return self._entries

    def scan(self) -> ScanReport:
        """Look again at what is installed; nothing that is loaded changes. Blocks for some milliseconds."""
        known, found = self._known, dict(self._find())
        added, removed = [], []
        for name, entry in list(known.items()):
            if entry.running is not None and not entry.running.distribution:
                continue  # registered by hand
            installed = found.pop(name, ())
            if entry.loaded is not None:
                entry.installed = installed
            elif not installed:
                del known[name]
                removed.append(name)
            else:
                if entry.error is not None and installed != entry.installed:
                    added.append(name)
                # What was broken is tried again: what it lacked may be there now.
                known[name] = _Entry(installed)
        for name, installed in found.items():
            known[name] = _Entry(installed)
            added.append(name)
        return ScanReport(
            tuple(sorted(added)),
            tuple(sorted(removed)),
            tuple(sorted(name for name, entry in known.items() if entry.state == "changed")),
            tuple(sorted(name for name, entry in known.items() if entry.state == "orphaned")),
        )

    def register(self, plugin: Any, *, name: str | None = None, version: str = "0") -> None:
        """Add a plugin class (or an extension, with its name) that no distribution publishes, as tests do.

        :raises PluginDefectError: it cannot be used.
        """
        from gateway_core.packages.loading import inspect_target  # noqa: PLC0415 - see above

        name = plugin.name if name is None else name
        loaded = inspect_target(name, plugin).described()
        published = Published(name, getattr(plugin, "__qualname__", ""), "", version, "", _NO_ENTRY_POINT)
        entry = self._known[name] = _Entry((published,))
        entry.loaded, entry.running = loaded, published

    def names(self) -> Sequence[str]:
        """Return the names of everything that is published, without loading anything."""
        return sorted(self._known)

    def info(self, name: str) -> PluginInfo | None:
        """Load one plugin and say what there is to know of it; None if no distribution publishes the name."""
        entry = self._loaded(name)
        return None if entry is None else _info(name, entry)

    def infos(self) -> list[PluginInfo]:
        """Load everything and describe it, by name."""
        return [_info(name, entry) for name in self.names() if (entry := self._loaded(name)) is not None]

    def states(self) -> list[PluginInfo]:
        """Describe everything as it is, without loading anything."""
        return [_info(name, self._known[name]) for name in self.names()]

    def describe(self, name: str) -> PluginDescription | None:
        """Load one plugin and describe it for the configuration layer."""
        entry = self._loaded(name)
        if entry is None:
            return None
        distribution, version = _origin(entry)
        loaded = entry.loaded
        if loaded is None or loaded.kind != "plugin":
            error = entry.error or "it is an extension, which works without being bound: take it out of the list"
            return PluginDescription(name, distribution, version, load_error=error, is_extension=loaded is not None)
        from gateway_core.packages.schemas import description_of  # noqa: PLC0415 - see above

        loaded = entry.loaded = loaded.described()
        return description_of(name, distribution, version, loaded.target, loaded.schema or {}, loaded.secrets)

    def plugin(self, name: str) -> type[Plugin[Any]]:
        """Load one plugin and return its class.

        :raises PluginUnavailableError: it is not installed, did not load, or is an extension.
        """
        entry = self._loaded(name)
        if entry is None:
            described = {each: self.describe(each) for each in self.names()}
            hint = did_you_mean(name, [each for each, found in described.items() if found and not found.is_extension])
            raise PluginUnavailableError(f"plugin {name!r} is not installed" + (f": {hint}" if hint else ""))
        if entry.loaded is None:
            raise PluginUnavailableError(f"plugin {name!r} does not load: {entry.error}")
        if entry.loaded.kind != "plugin":
            raise PluginUnavailableError(f"{name!r} is an extension, not a plugin: it cannot be bound")
        plugin: type[Plugin[Any]] = entry.loaded.target
        return plugin

    def version(self, name: str) -> str:
        """Return the version that runs (or would run) under a name; empty if there is none."""
        entry = self._known.get(name)
        return "" if entry is None else _origin(entry)[1]

    def code(self, name: str) -> str:
        """Return version and digest of the code that runs under a name, such as ``1.0 (5f1d9cc0)``. Blocks.

        Of what is not loaded it is what would run. Empty if there is nothing of that name.
        """
        entry = self._known.get(name)
        if entry is None:
            return ""
        digest = _digest(entry) if entry.state == "found" else entry.digest
        return f"{_origin(entry)[1]} ({digest[:_DIGITS]})" if digest else _origin(entry)[1]

    def codes(self) -> dict[str, str]:
        """Return version and digest of everything that is loaded, or was tried to, by name."""
        if self._entries is None:
            return {}  # To look at what is installed takes some milliseconds, and nothing of it is loaded.
        return {name: self.code(name) for name, entry in self._entries.items() if entry.state != "found"}

    def loaded(self, names: Iterable[str] | None = None) -> Iterable[tuple[str, Loaded]]:
        """Load everything, or what has one of these names, and return what loaded, by name."""
        wanted = None if names is None else frozenset(names)
        for name in self.names():
            entry = self._loaded(name) if wanted is None or name in wanted else None
            if entry is not None and entry.loaded is not None:
                yield name, entry.loaded

    def _loaded(self, name: str) -> _Entry | None:
        entry = self._known.get(name)
        if entry is None or entry.loaded is not None or entry.error is not None:
            return entry
        if len(entry.installed) > 1:
            by = " and ".join(f"{each.distribution} {each.version}" for each in entry.installed)
            entry.error = f"several distributions publish the name {name!r}: {by}: uninstall all but one"
            return entry
        from gateway_core.packages.loading import PluginLoadError, load  # noqa: PLC0415 - see above

        try:
            # Before it is imported: if a file changes right now, what runs is newer than what we say, and is replaced.
            entry.digest = _digest(entry)
            _refuse_unlocked(entry.installed[0], entry.digest)
            with self._while_loading(entry.installed[0]):
                entry.loaded = load(entry.installed[0], describes=self._describes)
            entry.running = entry.installed[0]
        except PluginLoadError as error:
            entry.error = str(error)
        return entry


def _refuse_unlocked(published: Published, digest: str) -> None:
    """Keep a plugin from being imported that is not as it was locked, if plugins are locked.

    :raises PluginLoadError: it is not.
    """
    from gateway_core.packages.loading import PluginLoadError  # noqa: PLC0415 - see above

    try:
        locked = locked_plugins()
    except LockError as error:
        raise PluginLoadError(str(error)) from error
    if locked is None:
        return
    distrust_byte_code()
    name = published.name
    if name not in locked:
        raise PluginLoadError(f"{published.distribution} {published.version} is installed and not locked")
    now = LockedPlugin(name, published.distribution, published.version, digest, "")
    for difference in locked[name].differences(now):
        raise PluginLoadError(difference)


def _digest(entry: _Entry) -> str:
    try:
        return code_digest(entry.installed[0])
    except (OSError, ValueError, ImportError):
        return ""  # whatever is wrong with it, loading it says so


_NO_ENTRY_POINT: Final[Any] = None
_DIGITS: Final = 8


def _origin(entry: _Entry) -> tuple[str, str]:
    published = entry.running or entry.installed[0]
    return published.distribution, published.version


def _info(name: str, entry: _Entry) -> PluginInfo:
    distribution, version = _origin(entry)
    loaded = entry.loaded
    return PluginInfo(
        name=name,
        distribution=distribution,
        version=version,
        kind="unknown" if loaded is None else loaded.kind,
        hooks=() if loaded is None else loaded.hooks,
        state=entry.state,
        error=entry.error,
        doc="" if loaded is None else loaded.doc,
        schema=None if loaded is None else loaded.schema,
        cls=loaded.target if loaded is not None and loaded.kind == "plugin" else None,
    )
