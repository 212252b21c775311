"""Loading: documents in, a valid configuration or every problem at once out."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from pydantic import ValidationError

from gateway_core.config.catalog import ConfiguredFactory, PluginCatalog
from gateway_core.config.checks.bindings import check_bindings
from gateway_core.config.checks.listeners import check_addresses, check_listeners, check_named_listeners, check_trust
from gateway_core.config.checks.references import (
    DISCOVERIES,
    STRATEGIES,
    check_certificates,
    check_grpc_targets,
    check_names,
    check_sets,
    check_sources,
    check_targets,
    check_tracing,
    check_upstreams,
)
from gateway_core.config.checks.rights import (
    check_admin_targets,
    check_config_files,
    make_paths_absolute,
    section_files,
    withhold_environment,
)
from gateway_core.config.checks.scope import Scope, bindings, fill_route_ids, has_bindings, mappings
from gateway_core.config.documents import Document, as_paths
from gateway_core.config.loaded import LoadedConfig, config_version
from gateway_core.config.merge_documents import Gatherer
from gateway_core.config.model_errors import Hints, explain_model_errors
from gateway_core.config.models.gateway import GatewayConfig
from gateway_core.config.problems import (
    ConfigError,
    ConfigProblem,
    KeyPath,
    Place,
    PlaceOf,
    format_path,
    missing_files_as_warnings,
    parse_path,
    sort_problems,
)
from gateway_core.config.redaction import masked, masked_words, schema_secret_paths, secret_texts
from gateway_core.config.shorthands import shorthand_hint
from gateway_core.config.substitution import Substitution
from gateway_core.config.synonyms import placement_hint, synonym_hint
from gateway_core.config.yaml_constructor import Constructor
from gateway_core.memory import collector_paused

ExtraCheck = Callable[[GatewayConfig, PlaceOf], Iterable[ConfigProblem]]
"""A check of another layer. It is given the valid part of a configuration; key paths count within that part."""


def load_config(
    path: Path | Sequence[Path],
    *,
    environ: Mapping[str, str],
    catalog: PluginCatalog,
    extra_documents: Sequence[Document] = (),
    extra_checks: Sequence[ExtraCheck] = (),
    strategies: Collection[str] = (),
    discoveries: Collection[str] = (),
    factories: Mapping[tuple[str, str], ConfiguredFactory] = MappingProxyType({}),
    offline: bool = False,
    is_partial: bool = False,
    patience: float = 0.0,
) -> LoadedConfig:
    """Load and check a configuration.

    :param path: files and directories of files, in YAML, JSON or TOML.
    :param environ: what ``${NAME}`` is looked up in.
    :param catalog: the plugins that are installed.
    :param extra_documents: documents that are not files, from other sources.
    :param extra_checks: checks of other layers.
    :param strategies: names of strategies that extensions provide.
    :param discoveries: names of discoveries that extensions provide.
    :param factories: what extensions make, by ``discovery`` or ``certificates`` and its name.
    :param offline: files that are missing are warnings: they are expected to be elsewhere.
    :param is_partial: there are further documents, which may define the names that these refer to.
    :param patience: seconds for which a file that is empty or cut off is read again, since it may be being written.
    :raises ConfigError: with every problem that was found.
    """
    gatherer = Gatherer(Substitution(environ), is_complete=not is_partial, patience=patience)
    known = STRATEGIES | set(strategies), DISCOVERIES | set(discoveries)
    with collector_paused():
        gatherer.add_paths(as_paths(path))
        for document in extra_documents:
            gatherer.add_document(document)
        return _load(gatherer, catalog, extra_checks, *known, factories, offline=offline)


def _load(
    gatherer: Gatherer,
    catalog: PluginCatalog,
    extra_checks: Sequence[ExtraCheck],
    strategies: frozenset[str],
    discoveries: frozenset[str],
    factories: Mapping[tuple[str, str], ConfiguredFactory],
    *,
    offline: bool,
) -> LoadedConfig:
    if not gatherer.roots:
        raise _error(gatherer, gatherer.problems)
    locator = gatherer.merged()
    constructor = Constructor(gatherer.substitution, gatherer.report, gatherer.document_of)
    value = constructor.construct(locator.root)
    plain: dict[str, Any] = value if isinstance(value, dict) else {}
    plain["include"] = gatherer.includes
    fill_route_ids(plain)
    scope = Scope(plain, locator, catalog, strategies, discoveries, constructor.substituted, factories)
    scope.secrets.update(constructor.hidden)
    scope.displaced_defaults = {route: id(defaults) for route, defaults in gatherer.displaced_defaults.items()}
    if gatherer.sets is not None:
        scope.replacing, scope.used_sets = gatherer.sets.replacing, gatherer.sets.used
    make_paths_absolute(scope, gatherer.document_of)
    withhold_environment(scope, gatherer.document_of, gatherer.substitution.environ)
    # Before anything opens a file: what it says to one may not be shown to who may not name it.
    gatherer.files.extend(check_config_files(scope, gatherer.document_of))
    check_admin_targets(scope, gatherer.document_of)
    if scope.problems:
        raise _error(gatherer, _mask(scope, [*gatherer.problems, *scope.problems]))
    config = _validate(scope, extra_checks)
    _check_document(scope, is_complete=gatherer.is_complete)
    problems = [*gatherer.problems, *_once(_without_echoes(scope.problems, gatherer.problems))]
    if problems:
        problems = _mask(scope, missing_files_as_warnings(problems) if offline else problems)
    if config is None or any(problem.is_error for problem in problems):
        raise _error(gatherer, problems)
    return LoadedConfig(
        config,
        _places(scope),
        _unique(gatherer.files, gatherer.substitution.files),
        config_version(config),
        _unique(gatherer.directories),
        sort_problems(problem.redacted() for problem in problems),
    )


def _error(gatherer: Gatherer, problems: Iterable[ConfigProblem]) -> ConfigError:
    files = _unique(gatherer.files, gatherer.substitution.files)
    return ConfigError(problems, files=files, directories=_unique(gatherer.directories))


def _unique(*paths: Iterable[Path]) -> tuple[Path, ...]:
    return tuple(dict.fromkeys(path for part in paths for path in part))


def _without_echoes(problems: Iterable[ConfigProblem], earlier: Iterable[ConfigProblem]) -> list[ConfigProblem]:
    """Leave out problems with a value that could not even be read."""
    places = {problem.place for problem in earlier}
    return [problem for problem in problems if problem.place not in places]


def _once(problems: Iterable[ConfigProblem]) -> list[ConfigProblem]:
    """Leave out repeated problems of one place, which every route that inherits from it reports."""
    first = {(problem.place, problem.code, problem.message): problem for problem in reversed(list(problems))}
    return list(reversed(first.values()))


@cache
def _own_secrets() -> frozenset[str]:
    """Return where the gateway's own sections have secrets; making the schema takes longer than most validations."""
    return schema_secret_paths(GatewayConfig.model_json_schema())


def _mask(scope: Scope, problems: Iterable[ConfigProblem]) -> list[ConfigProblem]:
    scope.secrets.update(secret_texts(scope.document, _own_secrets()))
    secrets = sorted(scope.secrets, key=len, reverse=True)
    return [
        replace(
            problem,
            message=masked_words(problem.message, secrets),
            remedy=masked_words(problem.remedy, secrets),
            excerpt=masked(problem.excerpt, secrets) if problem.excerpt else problem.excerpt,
            value=None if problem.value in scope.secrets else problem.value,
        )
        for problem in problems
    ]


def _check_document(scope: Scope, *, is_complete: bool) -> None:
    check_names(scope)
    check_listeners(scope)
    check_addresses(scope)
    check_trust(scope)
    check_upstreams(scope)
    check_certificates(scope)
    check_sources(scope)
    check_sets(scope)
    if is_complete:
        check_tracing(scope)
        check_named_listeners(scope)
        check_targets(scope)
        check_grpc_targets(scope)
    if has_bindings(scope.document):
        check_bindings(scope, is_complete=is_complete)


_HINTS: Final = Hints(synonym_hint, shorthand_hint, placement_hint)


def _validate(scope: Scope, extra_checks: Sequence[ExtraCheck]) -> GatewayConfig | None:
    document = dict(scope.document)
    try:
        config = GatewayConfig.model_validate(document)
    except ValidationError as error:
        failed: set[KeyPath] = set()
        for finding in explain_model_errors(GatewayConfig, error, scope.shown, _HINTS):
            scope.report(finding)
            path = finding.path
            failed.add(path[:2] if path[:1] in {("routes",), ("upstreams",)} else path[:1])
        _run_extra(scope, _rest(document, failed), extra_checks)
        return None
    _run_extra(scope, _Part(config, {}), extra_checks)
    return config


@dataclass(frozen=True, slots=True)
class _Part:
    """The valid part of a document, and which routes and upstreams it holds."""

    config: GatewayConfig
    kept: Mapping[str, Sequence[int]]

    def original(self, key_path: str) -> str:
        """Translate a key path within the part to one of the whole document."""
        match = _INDEXED.match(key_path)
        if match is None or match["key"] not in self.kept:
            return key_path
        kept = self.kept[match["key"]]
        index = int(match["index"])
        return f"{match['key']}[{kept[index] if index < len(kept) else index}]{key_path[match.end() :]}"


_INDEXED: Final = re.compile(r"(?P<key>routes|upstreams)\[(?P<index>\d+)\]")


def _rest(document: Mapping[str, Any], failed: set[KeyPath]) -> _Part | None:
    """Return what is left of a document without its invalid parts, so that other checks see as much as possible."""
    rest = {key: value for key, value in document.items() if (key,) not in failed}
    kept: dict[str, list[int]] = {}
    for key in ("routes", "upstreams"):
        items = rest.get(key)
        if isinstance(items, list):
            kept[key] = [index for index in range(len(items)) if (key, index) not in failed]
            rest[key] = [items[index] for index in kept[key]]
    try:
        return _Part(GatewayConfig.model_validate(rest), kept)
    except ValidationError:
        return None


def _run_extra(scope: Scope, part: _Part | None, checks: Sequence[ExtraCheck]) -> None:
    if part is None:
        return

    def place_of(key_path: str) -> Place:
        return scope.locator.place_of(part.original(key_path))

    for check in checks:
        for problem in check(part.config, place_of):
            excerpt = problem.excerpt or scope.locator.excerpt(problem.place)
            key_path = part.original(problem.key_path)
            value = scope.locator.value(parse_path(key_path))
            scope.problems.append(replace(problem, key_path=key_path, excerpt=excerpt, value=value))


def _places(scope: Scope) -> dict[str, Place]:
    places = {format_path(path): scope.locator.place(path) for path in _located(scope.document)}
    # A listener that stands alone is one of a list all the same.
    is_list = isinstance(scope.document.get("listen"), list)
    for path, _ in section_files(scope.document):
        shown = path if path[0] != "listen" or is_list else ("listen", 0, *path[1:])
        places[format_path(shown)] = scope.locator.place(path)
    return places


def _located(document: Mapping[str, Any]) -> Iterator[KeyPath]:
    listen = document.get("listen")
    for index in range(len(listen) if isinstance(listen, list) else 1):
        yield "listen", index
    admin = document.get("admin")
    for key in ("listen", "health_listen", "tls"):
        if isinstance(admin, Mapping) and key in admin:
            yield "admin", key
    yield from (binding.path for binding in bindings(document))
    for path, upstream in mappings(document, "upstreams"):
        yield path
        yield from (inner for inner, _ in mappings(upstream, "endpoints", path))
        yield from (binding.path for binding in bindings(upstream, path))
    for path, route in mappings(document, "routes"):
        yield path
        yield from (binding.path for binding in bindings(route, path))
        for inner, target in mappings(route, "targets", path):
            yield from (binding.path for binding in bindings(target, inner))
