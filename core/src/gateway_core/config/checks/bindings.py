"""Bindings: plugins can be used, configs fit their schemas, and what they name is there."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from gateway_core.config.address import UNIX
from gateway_core.config.catalog import PluginDescription, install_advice
from gateway_core.config.checks.listeners import listeners
from gateway_core.config.checks.references import known_upstreams, unix_sockets
from gateway_core.config.checks.scope import (
    BindingView,
    Scope,
    all_bindings,
    bindings,
    mappings,
    targets_of,
    text,
    texts_at,
)
from gateway_core.config.config_file import (
    DIRECTORY_KEY,
    FILE_KEY,
    OUTPUT_KEY,
    STREAM_KEY,
    TRUSTED_KEY,
    UPSTREAM_KEY,
)
from gateway_core.config.documents import NUL, Document
from gateway_core.config.models.route import is_url
from gateway_core.config.plugin_words import core_form_of, option_hint, plugin_for
from gateway_core.config.problems import ConfigFinding, KeyPath
from gateway_core.config.redaction import secret_texts
from gateway_core.config.schema_errors import SchemaValidator
from gateway_core.config.secret import USERINFO_KEY
from gateway_core.config.suggestions import listed, quote, there_are


def check_plugins(scope: Scope) -> None:
    """Report plugins that cannot be used and configs that do not fit.

    A binding that is switched off names no plugin that must be there, and its config is not looked at.
    """
    validators: dict[str, SchemaValidator | None] = {}
    # Many routes bind a plugin with the very same config: one look is enough.
    fitting: set[tuple[str, str]] = set()
    for binding in all_bindings(scope.document):
        if not binding.enabled:
            continue
        description = _usable(scope, binding)
        if description is None:
            scope.broken.add(binding.path)
            continue
        if binding.name not in validators:
            validators[binding.name] = _validator(scope, binding, description)
        validator = validators[binding.name]
        if validator is None or binding.config is None:
            continue
        key = (binding.name, json.dumps(binding.config))
        if key not in fitting and _check_config(scope, binding, binding.config, description, validator):
            fitting.add(key)
    _check_together(scope)


def _check_together(scope: Scope) -> None:
    """Report bindings of one plugin that are valid alone, but not beside each other."""
    by_plugin: dict[str, dict[tuple[str, str], list[BindingView]]] = {}
    for binding in all_bindings(scope.document):
        if binding.enabled and binding.path not in scope.broken and binding.config is not None:
            key = (binding.id, json.dumps(binding.config))
            alike = by_plugin.setdefault(binding.name, {}).setdefault(key, [])
            # Of those that are the same on many routes two stand for all; a set counts where it is used.
            if not alike or (len(alike) == 1 and binding.path[0] == "routes"):
                alike.append(binding)
    for name, different in by_plugin.items():
        description = scope.catalog.describe(name)
        if description is None or description.check_bindings is None:
            continue
        most = 2 if description.checks_repeated_bindings else 1
        views = [binding for alike in different.values() for binding in alike[:most]]
        if len(views) < 2:
            continue
        try:
            found = list(description.check_bindings([(each.id, each.config or {}) for each in views]))
        except Exception as error:  # noqa: BLE001 - the plugin's own code
            message = f"the plugin fails on its bindings: {error}"
            found = [(0, ConfigFinding((), message, code="plugin.check-failed"))]
        for index, finding in found:
            scope.report(finding, (*views[index].path, "config"), description.label)


def _usable(scope: Scope, binding: BindingView) -> PluginDescription | None:
    description = scope.catalog.describe(binding.name)
    path = (*binding.path, "name")
    if description is None:
        names = scope.bindable()
        advice = scope.install_hint(path, binding.name) or scope.suggestion(binding.name, names)
        if peer := plugin_for(binding.name):
            how = "" if peer in names else install_advice(peer)
            advice = f"{peer} does what it does elsewhere{how and ': '}{how}"
        elif form := core_form_of(binding.name):
            advice = form
        message = f"no plugin {scope.shown(path, binding.name)} is installed"
        scope.add(path, message, code="plugin.not-installed", remedy=advice or _installed(names))
    elif description.load_error is not None:
        label = f"{description.distribution} {description.version}".strip()
        message = f"the plugin {quote(binding.name)} of {label} does not load: {description.load_error}"
        scope.add(path, message, code="plugin.not-loadable")
    else:
        return description
    return None


def _installed(names: list[str]) -> str:
    return f"installed {'is' if len(names) == 1 else 'are'} {listed(names, last='and')}" if names else "none is"


def _validator(scope: Scope, binding: BindingView, description: PluginDescription) -> SchemaValidator | None:
    try:
        return SchemaValidator(description.schema, description.secret_paths, is_sound=description.is_sound)
    except ValueError as error:
        _broken_schema(scope, binding, description, error)
        return None


def _broken_schema(scope: Scope, binding: BindingView, description: PluginDescription, error: ValueError) -> None:
    finding = ConfigFinding((), f"the plugin's own schema is broken: {error}", code="plugin.schema-broken")
    scope.report(finding, (*binding.path, "name"), description.label)


def _check_config(
    scope: Scope,
    binding: BindingView,
    config: Mapping[str, Any],
    description: PluginDescription,
    validator: SchemaValidator,
) -> bool:
    """Report what is found about a config; returns whether that is nothing at all."""
    base = (*binding.path, "config")
    # Also where this config is fine: its line may be the excerpt of another problem.
    scope.secrets.update(secret_texts(config, validator.secret_paths))

    def shown_at(path: KeyPath, value: object) -> str:
        return scope.shown((*base, *path), value)

    try:
        problems = validator.problems(config, shown_at)
    except ValueError as error:
        _broken_schema(scope, binding, description, error)
        scope.broken.add(binding.path)
        return False
    problems = [_with_hint(each, binding.name) for each in problems] or _further(description, config)
    if any(problem.severity == "error" for problem in problems):
        scope.broken.add(binding.path)
    for problem in problems:
        scope.report(problem, base, description.label)
    return not problems


def _with_hint(problem: ConfigFinding, plugin: str) -> ConfigFinding:
    hint = option_hint(plugin, str(problem.path[-1])) if problem.code == "key.unknown" and problem.path else ""
    return replace(problem, remedy=hint) if hint else problem


def _further(description: PluginDescription, config: Mapping[str, Any]) -> list[ConfigFinding]:
    if description.check is None:
        return []
    try:
        return list(description.check(config))
    except Exception as error:  # noqa: BLE001 - the plugin's own code
        return [ConfigFinding((), f"the plugin fails on this config: {error}", code="plugin.check-failed")]


def check_order_keys(scope: Scope) -> None:
    """Report ``order`` on bindings that are not gateway-wide, whose order is that of their list."""
    for path, parent, what in _own_bindings(scope.document):
        for inner, binding in mappings(parent, "plugins", path):
            if binding.get("order") is not None:
                message = f"order is for gateway-wide bindings, and {what} run in the order of their list"
                scope.add_key((*inner, "order"), message, code="binding.order-not-here", remedy="remove it")


def _own_bindings(document: Mapping[str, Any]) -> Iterator[tuple[KeyPath, Mapping[str, Any], str]]:
    for path, route in mappings(document, "routes"):
        yield path, route, "those of a route"
        for inner, target in mappings(route, "targets", path):
            yield inner, target, "those of a target"
    for path, upstream in mappings(document, "upstreams"):
        yield path, upstream, "those of an upstream"


def check_switched_off(scope: Scope) -> None:
    """Report what switches off a binding that it does not inherit; targets and upstreams inherit none."""
    for path, parent in (*targets_of(scope.document), *mappings(scope.document, "upstreams")):
        for binding in bindings(parent, path):
            if not binding.enabled:
                message = f"switches off nothing, as it replaces no other binding called {quote(binding.id)}"
                code = "binding.nothing-to-switch-off"
                scope.add((*binding.path, "enabled"), message, code=code, remedy="remove it")
    inherited = {binding.id for binding in bindings(scope.document)}
    for path, route in mappings(scope.document, "routes"):
        for binding in bindings(route, path):
            if binding.enabled or binding.id in inherited:
                continue
            replaces = id(scope.locator.find(binding.path).node) in scope.replacing
            # What the list replaces of the defaults may be named to say that it is meant.
            if not replaces and all(binding.id != each.id for each in scope.displaced(path)):
                scope.add(
                    (*binding.path, "enabled"),
                    f"switches off {quote(binding.id)}, which no gateway-wide binding is called",
                    code="binding.nothing-to-switch-off",
                    remedy=scope.suggestion(binding.id, inherited) or there_are(inherited),
                )


def check_config_files(scope: Scope, document_of: Callable[[str], Document]) -> list[Path]:
    """Report files that a document names which has no right to; return all others, which are to be watched.

    :param document_of: looks up a document by its name.
    """
    for path, name in (*section_files(scope.document), *_sockets(scope), *_factory_files(scope), *_unwatched(scope)):
        _allowed(scope, path, name, document_of)
    return [Path(name) for path, name in _values(scope, FILE_KEY) if _allowed(scope, path, name, document_of)]


def _allowed(scope: Scope, path: KeyPath, name: str, document_of: Callable[[str], Document]) -> bool:
    document = document_of(scope.place(path).file)
    if "files" in document.rights:
        return True
    message = f"{scope.shown(path, name)} names a file, which {document.name} may not"
    scope.add(
        path,
        message,
        code="file.not-allowed",
        remedy="give it in a file of this machine, or write allow: [files] there, for the source or for admin",
    )
    return False


def make_paths_absolute(scope: Scope, document_of: Callable[[str], Document]) -> None:
    """Make relative names of files start from the directory of the document that says them."""
    named = [
        *section_files(scope.document),
        *_factory_files(scope),
        *_values(scope, FILE_KEY),
        *_unwatched(scope),
    ]
    for path, name in named:
        directory = document_of(scope.place(path).file).directory
        if "\0" in name:
            scope.add(path, NUL, code="value.invalid", remedy="leave it out")
        elif name and directory is not None and not Path(name).is_absolute():
            _replace(scope.document, path, str(directory / name))


_SECTION_FILES: Final = (
    *(("listen", "*", "tls", key) for key in ("cert", "key", "client_ca", "client_crl")),
    *(("listen", "*", "tls", "certificates", "*", key) for key in ("cert", "key")),
    *(("upstreams", "*", "tls", key) for key in ("ca", "cert", "key")),
    *(("tracing", "otlp", key) for key in ("ca", "cert", "key")),
    *(("admin", "tls", key) for key in ("cert", "key", "client_ca")),
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


def _sockets(scope: Scope) -> Iterator[tuple[KeyPath, str]]:
    """Yield the unix sockets to listen on, and those that are spoken to.

    Such a listener makes a file, and removes the one that is there. What listens on a socket believes in the rights of
    its file: the gateway's own control socket, or that of a container engine.
    """
    yield from unix_sockets(scope.document)
    named = (*_values(scope, UPSTREAM_KEY), *_values(scope, USERINFO_KEY))
    yield from ((path, name) for path, name in named if name.startswith(UNIX))
    for path, listener in listeners(scope.document):
        address = listener.get("address")
        if isinstance(address, str) and address.startswith(UNIX):
            inner: Any = scope.document.get("listen")
            for step in path[1:]:
                inner = inner[step]
            yield (*path, "address") if isinstance(inner, Mapping) else path, address


def _factory_files(scope: Scope) -> Iterator[tuple[KeyPath, str]]:
    """Yield the files that discoveries and certificates of extensions name."""
    for path, upstream in mappings(scope.document, "upstreams"):
        yield from _named_by(scope, "discovery", (*path, "discovery"), upstream.get("discovery"))
    for path, listener in listeners(scope.document):
        tls = listener.get("tls")
        for inner, entry in mappings(tls, "certificates", (*path, "tls")):
            yield from _named_by(scope, "certificates", inner, entry)


def _named_by(scope: Scope, section: str, path: KeyPath, entry: object) -> Iterator[tuple[KeyPath, str]]:
    if isinstance(entry, Mapping) and isinstance(entry.get("config"), Mapping):
        for pattern in scope.marked_options(section, entry, FILE_KEY):
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
            remedy = scope.suggestion(name, names) or known_upstreams(names)
            scope.add(path, f"{scope.shown(path, name)} is not an upstream", code="upstream.unknown", remedy=remedy)


def check_trusted_fields(scope: Scope) -> None:
    """Warn of options about fields of trusted peers where no peer is trusted: such fields are always removed."""
    if any(part.get("trusted_proxies") for part in (scope.document, *(item for _, item in listeners(scope.document)))):
        return
    for path, _ in _values(scope, TRUSTED_KEY):
        message = "is about a field that only trusted peers may send, and no peer is trusted: no request has it"
        scope.warn(path, message, code="trust.no-effect", remedy="give the proxies in trusted_proxies")


def _values(scope: Scope, key: str) -> Iterator[tuple[KeyPath, str]]:
    """Yield the values in bindings that are not switched off and that the schemas of their plugins mark."""
    for binding in all_bindings(scope.document):
        if not binding.enabled or binding.config is None:
            continue
        for pattern in scope.marked(binding.name, key):
            yield from texts_at(binding.config, pattern, (*binding.path, "config"))


def _unwatched(scope: Scope) -> Iterator[tuple[KeyPath, str]]:
    """Yield the files that plugins write, and the directories that they read."""
    yield from _values(scope, DIRECTORY_KEY)
    yield from _values(scope, OUTPUT_KEY)
    yield from ((path, name) for path, name in _values(scope, STREAM_KEY) if name != "-")
