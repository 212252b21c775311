"""What texts of a configuration name that is not there.

Plugins read path parameters by name, and one that nothing captures is always missing: a field would never be written,
and a limit would count by something else. Texts of `respond` and `error_pages` are sent as they are, so what stands for
a value elsewhere reaches the client.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Final

from gateway_core.config import (
    BindingConfig,
    ConfigProblem,
    ErrorPageConfig,
    GatewayConfig,
    KeyPath,
    PlaceOf,
    PluginCatalog,
    format_path,
)
from gateway_core.config.suggestions import did_you_mean, listed, quote
from gateway_core.snapshot.route_effects import params_of

if TYPE_CHECKING:
    from gateway_core.config import ExtraCheck

_PLACEHOLDER: Final = re.compile(
    # nginx, APISIX
    r"\$(?:remote_addr|host|server_name|request_uri|uri|scheme|args|request_id|request_method|status)\b"
    r"|\$(?:http|arg|cookie)_\w"
    # Caddy, and the templates of the plugin headers
    r"|\{http\.[\w.-]{1,80}\}|\{(?:client_ip|remote_host|identity|request_id)\}|\{(?:header|param|query|claim|cookie):[\w.-]{1,80}\}"
    # Envoy, HAProxy
    r"|%[A-Z][A-Z_]{2,80}(?:\([^%()\s]{0,80}\))?%|%\[[a-z][^\[\]\s]{0,80}\]"
)


def check_params(catalog: PluginCatalog) -> ExtraCheck:
    """Return a check that finds parameters in plugins' configurations that no route captures."""

    def check(config: GatewayConfig, place_of: PlaceOf) -> Iterator[ConfigProblem]:
        captured: set[str] = set()
        are_known = True
        for index, route in enumerate(config.routes):
            params = params_of(route)
            if params is None:
                are_known = False  # An error of its own.
                continue
            captured.update(params)
            bound = [(f"routes[{index}].plugins", route.plugins)]
            bound += [(f"routes[{index}].targets[{i}].plugins", each.plugins) for i, each in enumerate(route.targets)]
            for list_path, bindings in bound:
                for position, binding in enumerate(bindings):
                    where = f"{list_path}[{position}].config"
                    for path, name in _missing(binding, params, catalog):
                        key_path = _below(where, path)
                        yield ConfigProblem(
                            place_of(key_path),
                            key_path,
                            f"no path and no host of route {quote(route.id)} captures a parameter {quote(name)}",
                            code="param.unknown",
                            remedy=did_you_mean(name, params) or _there_are(params),
                        )
        if not are_known or not config.routes:
            return
        for position, binding in enumerate(config.plugins):
            for path, name in _missing(binding, captured, catalog):
                key_path = _below(f"plugins[{position}].config", path)
                yield ConfigProblem(
                    place_of(key_path),
                    key_path,
                    f"no route captures a parameter {quote(name)}",
                    code="param.unknown",
                    severity="warning",  # A route that a source adds may.
                    remedy=did_you_mean(name, captured) or _there_are(captured),
                )

    return check


def _missing(binding: BindingConfig, params: Collection[str], catalog: PluginCatalog) -> Iterator[tuple[KeyPath, str]]:
    if not binding.enabled:
        return
    description = catalog.describe(binding.name)
    if description is None or description.params_of is None:
        return
    for path, name in description.params_of(binding.config):
        if name not in params:
            yield path, name


def _below(where: str, path: KeyPath) -> str:
    inner = format_path(path)
    return where + (inner if inner.startswith("[") else f".{inner}" if inner else "")


def _there_are(params: Collection[str]) -> str:
    if not params:
        return "name it in the path, as in /users/:id"
    return f"{'there is' if len(params) == 1 else 'there are'} {listed(sorted(params), last='and')}"


def check_placeholders(config: GatewayConfig, place_of: PlaceOf) -> Iterator[ConfigProblem]:
    """Warn of texts that were probably meant to depend on the request."""
    texts = list(_pages("error_pages", config.error_pages))
    for index, route in enumerate(config.routes):
        where = f"routes[{index}]"
        texts += _pages(f"{where}.error_pages", route.error_pages)
        if route.respond is not None:
            texts.append((f"{where}.respond.body", route.respond.body))
            headers = route.respond.headers.items()
            texts += [(f"{where}.{format_path(('respond', 'headers', name))}", value) for name, value in headers]
    for key_path, text in texts:
        if found := _PLACEHOLDER.search(text):
            yield ConfigProblem(
                place_of(key_path),
                key_path,
                f"has {found[0]!r}, which is sent literally",
                code="value.placeholder",
                remedy="leave it out, as such texts are the same for all requests: the plugin headers sets fields of "
                "responses to values of the request",
                severity="warning",
            )


def _pages(where: str, pages: Sequence[ErrorPageConfig]) -> Iterator[tuple[str, str]]:
    for index, page in enumerate(pages):
        if page.body is not None:
            yield f"{where}[{index}].body", page.body
