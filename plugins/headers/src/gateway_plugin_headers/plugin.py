"""The plugin: changes the fields of requests before they go upstream, and of all responses."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from gateway_plugin_sdk import (
    EarlyHead,
    EarlyPass,
    FieldNames,
    Plugin,
    PluginContext,
    Request,
    Response,
    hookimpl,
)

from gateway_plugin_headers.config import HeadersConfig, RequestRules, ResponseRules, SecurityConfig
from gateway_plugin_headers.operations import Additions, Step, additions_of, apply_to_request, compile_rules
from gateway_plugin_headers.security import SecurityFields
from gateway_plugin_headers.template import needs_identity, required_params

_SOFTWARE: Final = FieldNames(
    ["server", "x-powered-by", "x-aspnet-version", "x-aspnetmvc-version", "x-generator", "x-runtime"]
)


class StatusRules:
    """The steps for responses with some statuses."""

    __slots__ = ("_statuses", "additions", "steps")

    def __init__(self, rules: ResponseRules) -> None:
        self._statuses = rules.statuses
        self.steps = compile_rules(rules)
        self.additions = additions_of(rules)

    def are_for(self, status: int) -> bool:
        return not self._statuses or any(status in each for each in self._statuses)


class HeaderRules(Plugin[HeadersConfig]):
    """Sets, adds, removes and renames header fields."""

    name = "headers"
    config_model = HeadersConfig
    responses = "all"

    def __init__(self, config: HeadersConfig, context: PluginContext) -> None:
        super().__init__(config, context)
        self.needs = frozenset({"identity"} if _needs_identity(config) else ())
        # A client must not fill in what is missing, also where this binding fails or only watches.
        self.reserved_headers = frozenset(_names_of_identity(config))
        self._of_request: tuple[Step, ...] = () if config.request is None else compile_rules(config.request)
        self._additions: Additions | None = None if config.request is None else additions_of(config.request)
        of_response = config.response if isinstance(config.response, tuple) else (config.response,)
        self._of_response = tuple(StatusRules(rules) for rules in of_response)
        security = SecurityConfig() if config.security is True else config.security or None
        self._over_http, self._over_https = SecurityFields(security, "http"), SecurityFields(security, "https")
        self._overrides = security is not None and security.override
        self._hides = config.hide_server
        self._protects = bool(self._over_https.values)
        self._is_announced = self._protects and not self._hides and not self._of_response
        additions = self._additions
        self._unless = None if additions is None else additions.unless
        self.early_headers = frozenset() if additions is None else additions.names
        self._pass_http, self._pass_https = (
            EarlyPass(
                None if additions is None else additions.fields,
                (fields.block, fields.names) if self._is_announced else None,
            )
            for fields in (self._over_http, self._over_https)
        )
        idle = {
            "gateway_pre_proxy": not self._of_request and not self._is_announced,
            "passes_early": additions is None and bool(self._of_request),
            "gateway_response": not self._of_response and not self._protects and not self._hides,
        }
        self.idle_hooks = frozenset(name for name, is_idle in idle.items() if is_idle)

    @classmethod
    def params_of(cls, config: HeadersConfig) -> Iterator[tuple[tuple[str | int, ...], str]]:
        """Return the parameters in templates."""
        for where, rules in _placed_rules(config):
            for key in ("set", "default", "add", "append"):
                texts: dict[str, str] = getattr(rules, key)
                for field, text in texts.items():
                    for name in required_params(text):
                        yield (*where, key, field), name

    @hookimpl
    def gateway_pre_proxy(self, request: Request) -> None:
        """Change the fields of a request; announce what its response gets, if that is the same for all."""
        if self._is_announced:
            fields = self._over_https if request.scheme == "https" else self._over_http
            request.announced[self] = fields.block, fields.names
        additions = self._additions
        if additions is None or not request.add_fields(additions.fields, additions.unless):
            apply_to_request(self._of_request, request)

    def passes_early(self, head: EarlyHead) -> EarlyPass | None:
        """Say what a request gets that has none of the fields which the rules are about, and its response."""
        if self._unless is not None and head.has_any(self._unless):
            return None
        return self._pass_https if head.origin.scheme == "https" else self._pass_http

    @hookimpl
    def gateway_response(self, request: Request, response: Response) -> None:
        """Change the fields of a response."""
        if self._hides:
            response.headers.remove_any(_SOFTWARE)
        if self._protects:
            self._protect(response, request)
        for rules in self._of_response:
            if rules.are_for(response.status):
                additions = rules.additions
                if additions is not None and response.add_fields(additions.fields, additions.unless):
                    continue
                headers = response.headers
                for step in rules.steps:
                    step(headers, request, response)

    def _protect(self, response: Response, request: Request) -> None:
        fields = self._over_https if request.scheme == "https" else self._over_http
        if response.add_fields(fields.block, unless=fields.names):  # as almost always: the upstream sent none
            return
        headers = response.headers
        for name, value in fields.values.items():
            if self._overrides or name not in headers:
                headers[name] = value


def _names_of_identity(config: HeadersConfig) -> list[str]:
    """Return the request fields whose values say who is calling."""
    texts = {} if config.request is None else config.request.set
    return [name.lower() for name, text in texts.items() if needs_identity(text)]


def _placed_rules(config: HeadersConfig) -> Iterator[tuple[tuple[str | int, ...], RequestRules | ResponseRules]]:
    """Yield all rules, each with its key path."""
    if config.request is not None:
        yield ("request",), config.request
    if isinstance(config.response, tuple):
        for index, rules in enumerate(config.response):
            yield ("response", index), rules
    else:
        yield ("response",), config.response


def _needs_identity(config: HeadersConfig) -> bool:
    return any(
        needs_identity(text)
        for _, each in _placed_rules(config)
        for texts in (each.set, each.default, each.add, each.append)
        for text in texts.values()
    )
