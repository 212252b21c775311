"""What the configuration layer needs to know about plugins; the plugins layer answers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Protocol

from gateway_core.config.problems import ConfigFinding

HOOK_TIMES: Final = "hook-times"
"""What a plugin `needs` to be told what each hook took; the gateway itself provides it."""


@dataclass(frozen=True, slots=True)
class PluginDescription:
    """A plugin that an installed distribution publishes, loaded or not."""

    name: str
    distribution: str
    version: str
    schema: Mapping[str, Any] = field(default_factory=dict)
    """JSON Schema 2020-12 of the plugin's config."""
    is_sound: bool = False
    """Whether the schema itself is known to be valid, so that nobody needs to check it again."""
    load_error: str | None = None
    """Why the plugin cannot be used; ``None`` if it can."""
    default_on_error: Literal["deny", "continue"] = "deny"
    provides: frozenset[str] = frozenset()
    """What later bindings may rely on, such as ``identity``."""
    access_control: bool = False
    """Whether it decides who may pass: `gateway check` warns where such a binding can be passed by."""
    needs: frozenset[str] = frozenset()
    """What an earlier binding must provide."""
    secret_paths: frozenset[str] = frozenset()
    """Key paths in the config whose values are never shown, such as ``secret`` or ``providers.*.secret``."""
    check: Callable[[Mapping[str, Any]], Iterable[ConfigFinding]] | None = None
    """What the schema cannot say: takes a config that fits it, returns errors and warnings."""
    needs_of: Callable[[Mapping[str, Any]], Iterable[str]] | None = None
    """What a binding with this config needs, in place of ``needs``."""
    provides_of: Callable[[Mapping[str, Any]], Iterable[str]] | None = None
    """What a binding with this config provides, in place of ``provides``."""

    @property
    def label(self) -> str:
        """Name and version as they stand behind problems: ``ratelimit 1.0.0``."""
        return f"{self.name} {self.version}".rstrip()


class PluginCatalog(Protocol):
    """The plugins that are installed."""

    def describe(self, name: str) -> PluginDescription | None:
        """Return what is known about a plugin; ``None`` if none of that name is installed."""

    def names(self) -> Sequence[str]:
        """Return the names of all installed plugins, those that cannot be loaded included."""


FIRST_PARTY: Final = frozenset({"auth", "consul", "etcd", "kubernetes", "logger", "ratelimit"})
"""Plugins and extensions of this repository, each in the distribution ``gateway-plugin-NAME``."""


def install_advice(name: str) -> str:
    """Return the command that installs a plugin, or an empty text.

    Only for plugins of this project: advising it for any name would lead from a typo to a distribution that a stranger
    registered under it.
    """
    return f"pip install gateway-plugin-{name}" if name in FIRST_PARTY else ""
