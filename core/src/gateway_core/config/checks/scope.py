"""What every check is given."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from gateway_core.config.catalog import ConfiguredFactory, PluginCatalog, install_advice
from gateway_core.config.location import KeyPath, Place
from gateway_core.config.problems import ConfigFinding, ConfigProblem
from gateway_core.config.suggestions import did_you_mean, quote, shown
from gateway_core.config.yaml_constructor import Locator


@dataclass(slots=True)
class Scope:
    """The document as plain values, where everything is written, and the problems so far."""

    document: Mapping[str, Any]
    locator: Locator
    catalog: PluginCatalog
    strategies: frozenset[str]
    discoveries: frozenset[str]
    substituted: set[int]
    """``id`` of the nodes whose values came from the environment or a file."""
    factories: Mapping[tuple[str, str], ConfiguredFactory] = field(default_factory=dict)
    """What extensions make by name, by ``discovery`` or ``certificates`` and its name."""
    problems: list[ConfigProblem] = field(default_factory=list)
    broken: set[KeyPath] = field(default_factory=set)
    """Bindings whose plugin or config cannot be used."""
    comparisons_left: int = 20_000
    """Names that may still be compared for suggestions: a renamed upstream of 3,000 routes must not take minutes."""
    secrets: set[str] = field(default_factory=set)
    """Literal texts that must not be shown."""

    def add(self, path: KeyPath, message: str, *, code: str, remedy: str = "", related: Iterable[KeyPath] = ()) -> None:
        """Report an error in a value, and the paths of what else has a part in it."""
        places = [self.place(other) for other in related]
        self.problems.append(self.locator.problem(path, message, code=code, remedy=remedy, related=places))

    def add_key(self, path: KeyPath, message: str, *, code: str, remedy: str = "") -> None:
        """Report an error in a key."""
        self.problems.append(self.locator.key_problem(path, message, code=code, remedy=remedy))

    def warn(self, path: KeyPath, message: str, *, code: str, remedy: str = "") -> None:
        """Report a value that is valid and unlikely to be meant."""
        self.problems.append(self.locator.problem(path, message, code=code, remedy=remedy, severity="warning"))

    def report(self, finding: ConfigFinding, base: KeyPath = (), reporter: str = "") -> None:
        """Report what was found about the value at ``base``, by the plugin or discovery that found it if one did."""
        make = self.locator.key_problem if finding.is_key else self.locator.problem
        path = (*base, *finding.path)
        problem = make(path, finding.message, code=finding.code, remedy=finding.remedy, severity=finding.severity)
        self.problems.append(replace(problem, reporter=reporter))

    def place(self, path: KeyPath) -> Place:
        """Return where a value is written."""
        return self.locator.place(path)

    def suggestion(self, name: str, candidates: Collection[str]) -> str:
        """Return ``did you mean "x"?`` if a candidate is close and there is time to look, else an empty text."""
        if self.comparisons_left < len(candidates):
            return ""
        self.comparisons_left -= len(candidates)
        return did_you_mean(name, candidates)

    def install_hint(self, path: KeyPath, name: str) -> str:
        """Return how a plugin or extension could be installed, if its name may be shown."""
        if self.shown(path, name) != shown(name):
            return ""
        return install_advice(name)

    def shown(self, path: KeyPath, value: object) -> str:
        """Name a value in a message; what came from the environment is named as it is written."""
        found = self.locator.find(path)
        if id(found.node) in self.substituted:
            return quote(str(found.node.value))
        return shown(value)
