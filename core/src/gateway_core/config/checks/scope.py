"""What every check is given: the document as it was written, where everything is, and the problems so far.

Plain documents are seen through the keys that references and names live in, and the ids that are derived from them: so
a wrong type in one place does not hide an unknown name in another.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import chain
from typing import Any

from pydantic import BaseModel

from gateway_core.config.catalog import ConfiguredFactory, PluginCatalog, install_advice
from gateway_core.config.expansion import DEFAULTS
from gateway_core.config.problems import ConfigFinding, ConfigProblem, KeyPath, Place
from gateway_core.config.redaction import all_marked_paths
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
    replacing: set[int] = field(default_factory=set)
    """``id`` of the nodes of bindings that stand in the place of one from a set."""
    displaced_defaults: Mapping[int, int] = field(default_factory=dict)
    """``id`` of the node of the defaults, by that of routes whose own ``plugins`` replace those of the defaults."""
    used_sets: set[str] = field(default_factory=set)
    """Names of the sets of plugins that are used somewhere."""
    comparisons_left: int = 20_000
    """Names that may still be compared for suggestions: a renamed upstream of 3,000 routes must not take minutes."""
    secrets: set[str] = field(default_factory=set)
    """Literal texts that must not be shown."""
    _bindable: list[str] | None = None
    _defaults: dict[int, list[BindingView]] | None = None
    _marked: dict[str, Mapping[str, frozenset[tuple[str, ...]]]] = field(default_factory=dict)

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

    def marked(self, plugin: str, key: str) -> frozenset[tuple[str, ...]]:
        """Return the key paths of options of a plugin whose schema has a key that is true."""
        if plugin not in self._marked:
            description = self.catalog.describe(plugin)
            self._marked[plugin] = {} if description is None else all_marked_paths(description.schema)
        return self._marked[plugin].get(key, frozenset())

    def marked_options(self, section: str, entry: Mapping[str, Any], key: str) -> frozenset[tuple[str, ...]]:
        """Return the key paths of options of an extension whose schema has a key that is true.

        :param section: ``discovery`` or ``certificates``.
        :param entry: the section's value, which names what the extension makes.
        """
        factory = self.factories.get((section, text(entry, "name") or ""))
        model: type[BaseModel] | None = None if factory is None else getattr(factory, "config_model", None)
        return frozenset() if model is None else all_marked_paths(_schema_of(model)).get(key, frozenset())

    def place(self, path: KeyPath) -> Place:
        """Return where a value is written."""
        return self.locator.place(path)

    def suggestion(self, name: str, candidates: Collection[str]) -> str:
        """Return ``did you mean "x"?`` if a candidate is close and there is time to look, else an empty text."""
        if self.comparisons_left < len(candidates):
            return ""
        self.comparisons_left -= len(candidates)
        return did_you_mean(name, candidates)

    def displaced(self, path: KeyPath) -> list[BindingView]:
        """Return the bindings of ``route_defaults`` that the route at ``path`` replaces by its own list."""
        if self._defaults is None:
            found = mappings(self.document, DEFAULTS)
            self._defaults = {id(self.locator.find(each).node): bindings(item, each) for each, item in found}
        return self._defaults.get(self.displaced_defaults.get(id(self.locator.find(path).node), 0), [])

    def bindable(self) -> list[str]:
        """Return the names of what is installed and no extension: what a binding may mean."""
        if self._bindable is None:
            described = {name: self.catalog.describe(name) for name in sorted(self.catalog.names())}
            self._bindable = [name for name, found in described.items() if found is None or not found.is_extension]
        return self._bindable

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


@dataclass(frozen=True, slots=True)
class BindingView:
    """A binding whose name and id are texts."""

    path: KeyPath
    name: str
    id: str
    enabled: bool
    is_conditional: bool
    """Whether it is not in force for every request: it has ``when``, or is in shadow mode."""
    order: str | None
    config: Mapping[str, Any] | None
    """``None`` if it is not a mapping."""


def mappings(parent: object, key: str, path: KeyPath = ()) -> Iterator[tuple[KeyPath, Mapping[str, Any]]]:
    """Yield path and value of the mappings in the list ``parent[key]``."""
    items = parent.get(key) if isinstance(parent, Mapping) else None
    if isinstance(items, list):
        for index, item in enumerate(items):
            if isinstance(item, Mapping):
                yield (*path, key, index), item


def text(item: Mapping[str, Any], key: str) -> str | None:
    """Return ``item[key]`` if it is a text that is not empty."""
    value = item.get(key)
    return value if isinstance(value, str) and value else None


@cache
def _schema_of(model: type[BaseModel]) -> Mapping[str, Any]:
    return model.model_json_schema()


def texts_at(value: object, pattern: tuple[str, ...], path: KeyPath = ()) -> Iterator[tuple[KeyPath, str]]:
    """Yield the texts in ``value`` at a key path with ``*``, each with its own path."""
    if not pattern:
        if isinstance(value, str):
            yield path, value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            if pattern[0] in {key, "*"}:
                yield from texts_at(inner, pattern[1:], (*path, key))
    elif isinstance(value, (list, tuple)) and pattern[0] == "*":
        for index, inner in enumerate(value):
            yield from texts_at(inner, pattern[1:], (*path, index))


def bindings(parent: object, path: KeyPath = ()) -> list[BindingView]:
    """Return the bindings in ``parent["plugins"]``, leaving out those without a name."""
    views = []
    for binding_path, item in mappings(parent, "plugins", path):
        name = text(item, "name")
        if name is None:
            continue
        config = {} if item.get("config") is None else item["config"]
        views.append(
            BindingView(
                binding_path,
                name,
                text(item, "id") or name,
                item.get("enabled") is not False,
                item.get("when") is not None or item.get("mode") == "shadow",
                text(item, "order"),
                config if isinstance(config, Mapping) else None,
            )
        )
    return views


def targets_of(document: Mapping[str, Any]) -> Iterator[tuple[KeyPath, Mapping[str, Any]]]:
    """Yield path and value of every entry of ``targets`` of every route."""
    for path, route in mappings(document, "routes"):
        yield from mappings(route, "targets", path)


def all_bindings(document: Mapping[str, Any]) -> Iterator[BindingView]:
    """Yield the gateway-wide bindings, then those of routes, of targets, of upstreams and of sets."""
    yield from bindings(document)
    of_routes = (*mappings(document, "routes"), *targets_of(document))
    for path, parent in (*of_routes, *mappings(document, "upstreams"), *mappings(document, "plugin_sets")):
        yield from bindings(parent, path)


def has_bindings(document: Mapping[str, Any]) -> bool:
    """Return whether anything is bound in a document, in whatever form."""
    listed = (item for key in ("routes", "upstreams", "plugin_sets") for _, item in mappings(document, key))
    of_targets = (target for _, target in targets_of(document))
    return any(parent.get("plugins") for parent in chain((document,), listed, of_targets))


def marked_texts(scope: Scope, key: str) -> Iterator[tuple[KeyPath, str]]:
    """Yield the values in bindings that are not switched off and that the schemas of their plugins mark."""
    for binding in all_bindings(scope.document):
        if not binding.enabled or binding.config is None:
            continue
        for pattern in scope.marked(binding.name, key):
            yield from texts_at(binding.config, pattern, (*binding.path, "config"))


_LONGEST = 180


def fill_route_ids(document: dict[str, Any]) -> None:
    """Give every route without an id one made from its methods and path; repetitions are numbered."""
    numbers: dict[str, int] = {}
    taken = {name for _, route in mappings(document, "routes") if (name := text(route, "id"))}
    for _, route in mappings(document, "routes"):
        if isinstance(route, dict) and route.get("id") is None:
            base = name = _from_path(route)
            while name in taken:
                numbers[base] = numbers.get(base, 1) + 1
                name = f"{base} #{numbers[base]}"
            taken.add(name)
            route["id"] = name


def _from_path(route: dict[str, Any]) -> str:
    methods = route.get("methods")
    words = [word for word in methods if isinstance(word, str)] if isinstance(methods, list) else []
    path = "route"
    grpc = route.get("grpc")
    if isinstance(grpc, Mapping):
        path = f"/{text(grpc, 'service') or '*'}/{text(grpc, 'method') or '*'}"
    for key, form in (("path", "{}"), ("path_prefix", "{}/**"), ("path_regex", "~{}")):
        written = route.get(key)
        value = written[0] if isinstance(written, list) and written else written
        if isinstance(value, str) and value:
            path = form.format(value.rstrip("/") if key == "path_prefix" else value)
            break
    name = f"{','.join(words)} {path}"
    printable = "".join("_" if character in "\"'" or not character.isprintable() else character for character in name)
    return printable.strip()[:_LONGEST].strip() or "route"
