"""What extensions add to the process: discovery, configuration sources, strategies and commands."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel

from gateway_core.hooks.failure_log import describe
from gateway_core.hooks.hook_inspection import checked_manager
from gateway_core.packages.loading import Loaded
from gateway_core.packages.registry import PluginRegistry

if TYPE_CHECKING:
    import click

    from gateway_core.config import ConfiguredFactory
    from gateway_core.config.sources import SourceFactory
    from gateway_core.hooks.certificates import CertificateFactory
    from gateway_core.upstreams.discovery import DiscoveryFactory
    from gateway_core.upstreams.strategies import StrategyFactory

OfferT = TypeVar("OfferT")


@dataclass(frozen=True, slots=True)
class ExtensionProblem:
    """An extension whose offer cannot be used; everything else it offers still can."""

    extension: str
    hook: str
    message: str

    def __str__(self) -> str:
        return f"extension {self.extension!r}: {self.hook}: {self.message}"


class Extensions:
    """The offers of every extension, by the names that configurations use.

    Of two extensions that offer one name, the first in the order of their own names wins, and the other is a problem.
    """

    def __init__(self, loaded: Iterable[tuple[str, Loaded]], taken: Mapping[str, Iterable[str]] | None = None) -> None:
        """Collect the offers; whatever an extension does wrong becomes a problem.

        :param taken: by hook, the names that the gateway itself uses and no extension may offer.
        """
        self.problems: list[ExtensionProblem] = []
        self._taken = {hook: dict.fromkeys(names, "the gateway") for hook, names in (taken or {}).items()}
        self._loaded = sorted(loaded, key=lambda each: each[0])
        self.discoveries: Mapping[str, DiscoveryFactory] = self._collect_named("gateway_discovery")
        self.config_sources: Mapping[str, SourceFactory] = self._collect_named("gateway_config_sources")
        self.strategies: Mapping[str, StrategyFactory] = self._collect_named("gateway_strategies")
        self.certificates: Mapping[str, CertificateFactory] = self._collect_named("gateway_certificates")

    @classmethod
    def of(cls, registry: PluginRegistry, taken: Mapping[str, Iterable[str]] | None = None) -> Extensions:
        """Load everything that is installed and collect what it offers."""
        return cls(registry.loaded(), taken)

    def factories(self) -> dict[tuple[str, str], ConfiguredFactory]:
        """Return what makes things by name from a configuration, by the section that names it and its name."""
        return {
            **{("discovery", name): factory for name, factory in self.discoveries.items()},
            **{("strategy", name): factory for name, factory in self.strategies.items()},
            **{("certificates", name): factory for name, factory in self.certificates.items()},
            **{("source", scheme): factory for scheme, factory in self.config_sources.items()},
        }

    def commands(self) -> Sequence[click.Command]:
        """Return the commands that extensions offer."""
        found: dict[str, click.Command] = {}
        for extension, offer in self._offers("gateway_commands"):
            if not isinstance(offer, Sequence):
                self._refuse(extension, "gateway_commands", f"returned {offer!r}: return a list of click commands")
                continue
            for command in offer:
                name = getattr(command, "name", None)
                if not isinstance(name, str):
                    self._refuse(extension, "gateway_commands", f"{command!r} is not a click command with a name")
                elif self._claims(extension, "gateway_commands", name):
                    found[name] = command
        return list(found.values())

    def _collect_named(self, hook: str) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for extension, offer in self._offers(hook):
            if not isinstance(offer, Mapping):
                self._refuse(extension, hook, f"returned {offer!r}: return a mapping of names to classes")
                continue
            for name, factory in offer.items():
                if defect := _defect(factory):
                    self._refuse(extension, hook, f"{name!r} is {factory!r}, {defect}")
                elif self._claims(extension, hook, name):
                    found[name] = factory
        return found

    def _offers(self, hook: str) -> Iterable[tuple[str, Any]]:
        for extension, loaded in self._loaded:
            if hook not in loaded.hooks:
                continue
            for implementation in getattr(checked_manager(loaded.target, extension).hook, hook).get_hookimpls():
                try:
                    offer = implementation.function()
                except (Exception, SystemExit) as error:  # noqa: BLE001 - an extension's own code
                    self._refuse(extension, hook, f"failed: {describe(error)}")
                else:
                    yield extension, offer

    def _claims(self, extension: str, hook: str, name: str) -> bool:
        owner = self._taken.setdefault(hook, {}).setdefault(name, extension)
        if owner != extension:
            self._refuse(extension, hook, f"{name!r} is already offered by {owner}")
        return owner == extension

    def _refuse(self, extension: str, hook: str, message: str) -> None:
        self.problems.append(ExtensionProblem(extension, hook, message))


def _defect(factory: object) -> str:
    """Return what is wrong with a factory; empty if nothing is."""
    if not isinstance(factory, type):
        return "which is not a class: offer the class, which is called with its configuration"
    model = getattr(factory, "config_model", None)
    if model is None:
        return ""
    is_model = isinstance(model, type) and issubclass(model, BaseModel)
    return "" if is_model else f"whose config_model {model!r} is not a pydantic model class"
