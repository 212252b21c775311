"""Values in the configurations of plugins that name something: files, and upstreams."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from gateway_core.config.checks.references import known_upstreams
from gateway_core.config.checks.scope import Scope
from gateway_core.config.config_file import FILE_KEY, UPSTREAM_KEY
from gateway_core.config.models.route import is_url
from gateway_core.config.place import KeyPath
from gateway_core.config.redaction import marked_paths, texts_at
from gateway_core.config.views import all_bindings, mappings, text


def check_config_files(scope: Scope, is_local: Callable[[str], bool]) -> list[Path]:
    """Report files that a document names which is not of this machine; return all others, which are to be watched.

    :param is_local: whether the document of a name is a file.
    """
    files = []
    for path, name in _values(scope, FILE_KEY):
        document = scope.place(path).file
        if is_local(document):
            files.append(Path(name))
            continue
        message = f"{scope.shown(path, name)} names a file, which {document} may not: give it in a file of this machine"
        scope.add(path, message, code="file.not-allowed")
    return files


def check_upstream_names(scope: Scope) -> None:
    """Report names of upstreams that there are not."""
    names = {name for _, item in mappings(scope.document, "upstreams") if (name := text(item, "name"))}
    for path, name in _values(scope, UPSTREAM_KEY):
        if name and not is_url(name) and name not in names:
            hint = scope.suggestion(name, names) or known_upstreams(names)
            scope.add(path, f"{scope.shown(path, name)} is not an upstream{hint}", code="upstream.unknown")


def _values(scope: Scope, key: str) -> Iterator[tuple[KeyPath, str]]:
    """Yield the values in bindings that are not switched off and that the schemas of their plugins mark."""
    patterns: dict[str, frozenset[tuple[str, ...]]] = {}
    for binding in all_bindings(scope.document):
        if not binding.enabled or binding.config is None:
            continue
        if binding.name not in patterns:
            patterns[binding.name] = _marked(scope, binding.name, key)
        for pattern in patterns[binding.name]:
            yield from texts_at(binding.config, pattern, (*binding.path, "config"))


def _marked(scope: Scope, plugin: str, key: str) -> frozenset[tuple[str, ...]]:
    description = scope.catalog.describe(plugin)
    schema: Mapping[str, Any] = {} if description is None else description.schema
    return marked_paths(schema, key)
