"""Bindings: plugins can be used, configs fit their schemas, what they name is there, and keys go with their place."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from gateway_core.config.catalog import PluginDescription, install_advice
from gateway_core.config.checks.chains import OrderCheck, check_displaced_defaults, check_responses
from gateway_core.config.checks.listeners import listeners
from gateway_core.config.checks.references import known_upstreams
from gateway_core.config.checks.scope import (
    BindingView,
    Scope,
    all_bindings,
    bindings,
    mappings,
    marked_texts,
    targets_of,
    text,
)
from gateway_core.config.config_file import (
    TRUSTED_KEY,
    UPSTREAM_KEY,
)
from gateway_core.config.models.route import is_url
from gateway_core.config.plugin_words import core_form_of, option_hint, plugin_for
from gateway_core.config.problems import ConfigFinding, KeyPath
from gateway_core.config.redaction import secret_texts
from gateway_core.config.schema_errors import SchemaValidator
from gateway_core.config.suggestions import listed, quote, there_are


def check_bindings(scope: Scope, *, is_complete: bool) -> None:
    """Report what is wrong with bindings and with the chains that they are in.

    :param is_complete: no other document defines the names that they refer to.
    """
    check_trusted_fields(scope)
    check_plugins(scope)
    check_order_keys(scope)
    check_when(scope)
    check_responses(scope)
    check_displaced_defaults(scope)
    if is_complete:
        check_upstream_names(scope)
        check_switched_off(scope)
        OrderCheck(scope).run()


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


def check_when(scope: Scope) -> None:
    """Report conditions on parameters where there is no route whose parameters they could be."""
    for path, parent in (((), scope.document), *mappings(scope.document, "upstreams")):
        for inner, binding in mappings(parent, "plugins", path):
            when = binding.get("when")
            if isinstance(when, Mapping) and when.get("params") is not None:
                message = "params are those of a route, and this binding belongs to none"
                where, remedy = (*inner, "when", "params"), "list the binding on the routes"
                scope.add_key(where, message, code="value.inconsistent", remedy=remedy)


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


def check_upstream_names(scope: Scope) -> None:
    """Report names of upstreams that there are not."""
    names = {name for _, item in mappings(scope.document, "upstreams") if (name := text(item, "name"))}
    for path, name in marked_texts(scope, UPSTREAM_KEY):
        if name and not is_url(name) and name not in names:
            remedy = scope.suggestion(name, names) or known_upstreams(names)
            scope.add(path, f"{scope.shown(path, name)} is not an upstream", code="upstream.unknown", remedy=remedy)


def check_trusted_fields(scope: Scope) -> None:
    """Warn of options about fields of trusted peers where no peer is trusted: such fields are always removed."""
    if any(part.get("trusted_proxies") for part in (scope.document, *(item for _, item in listeners(scope.document)))):
        return
    for path, _ in marked_texts(scope, TRUSTED_KEY):
        message = "is about a field that only trusted peers may send, and no peer is trusted: no request has it"
        scope.warn(path, message, code="trust.no-effect", remedy="give the proxies in trusted_proxies")
