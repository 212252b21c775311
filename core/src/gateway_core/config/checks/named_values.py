"""Values in the configurations of plugins that name something: files, and upstreams."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel

from gateway_core.config.checks.listeners import listeners
from gateway_core.config.checks.references import known_upstreams
from gateway_core.config.checks.scope import Scope
from gateway_core.config.config_file import FILE_KEY, OUTPUT_KEY, UPSTREAM_KEY
from gateway_core.config.document_view import all_bindings, mappings, text
from gateway_core.config.documents import Document
from gateway_core.config.location import KeyPath
from gateway_core.config.models.route import is_url
from gateway_core.config.redaction import marked_paths, texts_at


def check_config_files(scope: Scope, document_of: Callable[[str], Document]) -> list[Path]:
    """Report files that a document names which has no right to; return all others, which are to be watched.

    :param document_of: looks up a document by its name.
    """
    for path, name in (*section_files(scope.document), *_factory_files(scope), *_values(scope, OUTPUT_KEY)):
        _allowed(scope, path, name, document_of)
    return [Path(name) for path, name in _values(scope, FILE_KEY) if _allowed(scope, path, name, document_of)]


def _allowed(scope: Scope, path: KeyPath, name: str, document_of: Callable[[str], Document]) -> bool:
    document = document_of(scope.place(path).file)
    if "files" in document.rights:
        return True
    message = (
        f"{scope.shown(path, name)} names a file, which {document.name} may not: give it in a file of this machine, "
        "or name the source in sources there with allow: [files]"
    )
    scope.add(path, message, code="file.not-allowed")
    return False


def make_paths_absolute(scope: Scope, document_of: Callable[[str], Document]) -> None:
    """Make relative names of files start from the directory of the document that says them."""
    named = [
        *section_files(scope.document),
        *_factory_files(scope),
        *_values(scope, FILE_KEY),
        *_values(scope, OUTPUT_KEY),
    ]
    for path, name in named:
        directory = document_of(scope.place(path).file).directory
        if name and directory is not None and not Path(name).is_absolute():
            _replace(scope.document, path, str(directory / name))


_SECTION_FILES: Final = (
    *(("listen", "*", "tls", key) for key in ("cert", "key", "client_ca", "client_crl")),
    *(("listen", "*", "tls", "certificates", "*", key) for key in ("cert", "key")),
    *(("upstreams", "*", "tls", key) for key in ("ca", "cert", "key")),
)
"""Where the gateway's own sections name files."""


def section_files(document: Mapping[str, Any]) -> Iterator[tuple[KeyPath, str]]:
    """Yield the files that the gateway's own sections name, with their key paths."""
    for pattern in _SECTION_FILES:
        yield from texts_at(document, pattern)
    if isinstance(document.get("listen"), Mapping):
        for pattern in _SECTION_FILES:
            if pattern[0] == "listen":
                yield from texts_at(document, (pattern[0], *pattern[2:]))


def _factory_files(scope: Scope) -> Iterator[tuple[KeyPath, str]]:
    """Yield the files that discoveries and certificates of extensions name."""
    for path, upstream in mappings(scope.document, "upstreams"):
        yield from _named_by(scope, "discovery", (*path, "discovery"), upstream.get("discovery"))
    for path, listener in listeners(scope.document):
        tls = listener.get("tls")
        for inner, entry in mappings(tls, "certificates", (*path, "tls")):
            yield from _named_by(scope, "certificates", inner, entry)


def _named_by(scope: Scope, section: str, path: KeyPath, entry: object) -> Iterator[tuple[KeyPath, str]]:
    if not isinstance(entry, Mapping):
        return
    factory = scope.factories.get((section, text(entry, "name") or ""))
    model: type[BaseModel] | None = None if factory is None else getattr(factory, "config_model", None)
    if model is not None and isinstance(entry.get("config"), Mapping):
        for pattern in marked_paths(model.model_json_schema(), FILE_KEY):
            yield from texts_at(entry["config"], pattern, (*path, "config"))


def _replace(document: Mapping[str, Any], path: KeyPath, value: str) -> None:
    inner: Any = document
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = value


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
