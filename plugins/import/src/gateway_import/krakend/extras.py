"""What KrakenD's ``extra_config`` has, by namespace. A namespace that is not known may decide anything: a guard."""

from __future__ import annotations

from typing import Any, Final

from gateway_import.failures import CannotImportError
from gateway_import.krakend.martian import header_rules
from gateway_import.model import Binding, Imported, Route
from gateway_import.nodes import Node
from gateway_import.sections import Section

NAMESPACES: Final = {
    "github.com/devopsfaith/krakend-jose/validator": "auth/validator",
    "github.com/devopsfaith/krakend-jose/signer": "auth/signer",
    "github.com/devopsfaith/krakend-ratelimit/juju/router": "qos/ratelimit/router",
    "github.com/devopsfaith/krakend-ratelimit/juju/proxy": "qos/ratelimit/proxy",
    "github.com/devopsfaith/krakend-httpcache": "qos/http-cache",
    "github.com/devopsfaith/krakend-circuitbreaker/gobreaker": "qos/circuit-breaker",
    "github.com/devopsfaith/krakend-cors": "security/cors",
    "github.com/devopsfaith/krakend-httpsecure": "security/http",
    "github.com/devopsfaith/krakend-gologging": "telemetry/logging",
    "github.com/devopsfaith/krakend-metrics": "telemetry/metrics",
    "github.com/letgoapp/krakend-influx": "telemetry/influx",
    "github.com/devopsfaith/krakend-logstash": "telemetry/logstash",
    "github.com/devopsfaith/bloomfilter": "auth/revoker",
    "github.com/devopsfaith/krakend-opencensus": "telemetry/opencensus",
    "github.com/luraproject/lura/router/gin": "router",
    "github.com/devopsfaith/krakend/http": "backend/http",
    "github.com/devopsfaith/krakend/proxy": "proxy",
    "github.com/devopsfaith/krakend-martian": "modifier/martian",
    "github.com/devopsfaith/krakend-lua/proxy": "modifier/lua-proxy",
    "github.com/devopsfaith/krakend-cel": "validation/cel",
    "github.com/devopsfaith/krakend-jsonschema": "validation/json-schema",
    "github.com/devopsfaith/krakend-botdetector": "security/bot-detector",
}
"""Names of version 2, by which version 3 calls them."""
_HARMLESS: Final = frozenset({"grafana", "router", "backend/http", "backend/http/client", "qos/http-cache"})
_HARMLESS_STARTS: Final = ("telemetry/", "documentation/")
_ADVICE: Final = {
    "validation/json-schema": "bind validate with the schema",
    "validation/cel": "bind authorize, or write a plugin",
    "auth/api-keys": "bind auth with {scheme: api-key, keys_file: FILE}",
    "auth/basic": "bind auth with {scheme: basic, users_file: FILE}",
    "auth/client-credentials": "bind upstream-auth on the upstream",
    "security/policies": "bind authorize",
    "security/bot-detector": "write a route with a condition on user-agent that responds 403",
    "security/http": "see security of the plugin headers",
    "modifier/martian": "bind headers or transform",
    "modifier/lua-proxy": "write a plugin in Python",
    "modifier/lua-endpoint": "write a plugin in Python",
    "qos/http-cache": "bind cache on the route",
}


def known_name(name: str) -> str:
    """Return the name of a namespace in version 3; version 2 writes some with ``github_com``."""
    return NAMESPACES.get(name.replace("github_com/", "github.com/", 1), name)


def is_known(name: str) -> bool:
    """Whether something is known of a namespace, by its name of version 3."""
    is_harmless = name in _HARMLESS or name.startswith(_HARMLESS_STARTS)
    return is_harmless or name in _ADVICE or name in NAMESPACES.values()


def cors(imported: Imported, section: Section) -> Binding:
    """Return the binding of cors for ``security/cors``."""
    origins = section.texts("allow_origins") or ["*"]
    config: dict[str, Any] = {
        "origins": ["*"] if "*" in origins else [origin.lower().rstrip("/") for origin in origins]
    }
    if methods := section.texts("allow_methods"):
        config["methods"] = ["*"] if "*" in methods else [method.upper() for method in methods]
    if headers := section.texts("allow_headers"):
        config["headers"] = ["*"] if "*" in headers else headers
    if exposed := section.texts("expose_headers"):
        config["expose"] = exposed
    if age := section.text("max_age"):
        config["max_age"] = age
    if section.boolean("allow_credentials"):
        if "*" in origins:
            reason = "with every origin, each page of the web could act for your users"
            imported.lose(section.origin, "'allow_credentials' of security/cors", reason, "list the origins")
        else:
            config["credentials"] = True
    if section.boolean("allow_private_network"):
        config["private_network"] = True
    section.ignore("debug", "options_passthrough", "options_success_status")
    return Binding("cors", config, section.origin)


class EndpointExtras:
    """The ``extra_config`` of one endpoint, on its route."""

    def __init__(self, imported: Imported, route: Route, endpoint: Section) -> None:
        self.imported = imported
        self.route = route
        self.endpoint = endpoint

    def carry_over(self, extra: dict[str, Section], service_limits: Section | None) -> None:
        """Carry over what an endpoint has, in the order in which KrakenD decides."""
        limits = extra.pop("qos/ratelimit/router", None)
        validator = extra.pop("auth/validator", None)
        for section, group in ((service_limits, "krakend"), (limits, None)):
            if section is not None:
                self._limits(section, group)
        if validator is not None:
            self._validator(validator)
        for name, section in extra.items():
            self.unknown(name, section)

    def carry_over_backend(self, extra: dict[str, Section], backend: Section, *, is_only: bool) -> dict[str, Any]:
        """Carry over what a backend has; returns keys of its upstream.

        :param is_only: whether the response is that of this backend.
        """
        keys: dict[str, Any] = {}
        limit = extra.pop("qos/ratelimit/proxy", None)
        if limit is not None:
            rate, capacity = limit.number("max_rate") or limit.number("maxRate"), limit.integer("capacity")
            config = {"name": "proxy", "rate": rate, "per": limit.text("every") or "1s", "key": "constant"}
            if capacity:
                config["burst"] = capacity
            if is_only:
                self._bind("ratelimit", {"limits": [config]}, limit, "ratelimit-proxy")
            else:
                reason = "it limits one of several calls"
                self.imported.lose_guard(limit.origin, limit.what, reason, "set a limit of the upstream", [self.route])
            self._rest(limit)
        martian = extra.pop("modifier/martian", None)
        if martian is not None:
            self._martian(martian, is_only=is_only)
        breaker = extra.pop("qos/circuit-breaker", None)
        if breaker is not None:
            keys["circuit_breaker"] = self._breaker(breaker)
        for name, section in extra.items():
            section.what = f"{name!r} of {backend.what}"
            self.unknown(name, section)
        return keys

    def _breaker(self, section: Section) -> dict[str, Any]:
        errors = section.integer("max_errors") or section.integer("maxErrors") or 1
        window, pause = section.integer("interval") or 60, section.integer("timeout") or 10
        section.ignore("max_errors", "maxErrors", "name", "log_status_change", "logStatusChange")
        reason = "it opens by the share of failures, for each endpoint of the upstream"
        self.imported.note(section.origin, section.what, reason, "see circuit_breaker of the upstream")
        return {"minimum_requests": max(errors, 1), "window": f"{max(window, 1)}s", "open_for": f"{max(pause, 1)}s"}

    def cache_control(self, seconds: int) -> None:
        """Have responses say how long they may be kept, as KrakenD does for GET."""
        if any(each.name == "auth" for each in self.route.plugins):
            reason = "a cache in between would give a response for one caller to all"
            what = f"'cache_ttl' of {self.endpoint.what}"
            self.imported.note(self.endpoint.origin, what, reason, "set Cache-Control by headers if it is for all")
            return
        rules = {"statuses": ["2xx"], "default": {"Cache-Control": f"public, max-age={seconds}"}}
        origin = self.endpoint.origin_of("cache_ttl")
        self.route.plugins.append(Binding("headers", {"response": rules}, origin, "cache-control"))

    def _martian(self, section: Section, *, is_only: bool) -> None:
        rules = header_rules(self.imported, section) if is_only else None
        if rules is None:
            self.unknown("modifier/martian", section)
        elif rules:
            self._bind("headers", rules, section, "martian")

    def unknown(self, name: str, section: Section) -> None:
        """Report a namespace that is not carried over; all but the harmless ones are guards."""
        advice = _ADVICE.get(name, "see the plugins of this gateway")
        has_limit = name == "router" and "max_payload" in section
        if not has_limit and (name in _HARMLESS or name.startswith(_HARMLESS_STARTS)):
            self.imported.lose(section.origin, section.what, "it is not carried over", advice)
        else:
            self.imported.lose_guard(section.origin, section.what, "it may decide who gets what", advice, [self.route])

    def _bind(self, plugin: str, config: dict[str, Any], section: Section, binding: str | None = None) -> None:
        self.route.plugins.append(Binding(plugin, config, section.origin, binding, comments=[section.what]))

    def _guard(self, section: Section, key: str, reason: str, proposal: str) -> None:
        what = f"{key!r} of {section.what}"
        self.imported.lose_guard(section.origin_of(key), what, reason, proposal, [self.route])

    def _rest(self, section: Section) -> None:
        for key, node in list(section.rest()):
            if node.value not in (False, "") and node.value != []:
                self._guard(section, key, "there is nothing like it", "see the plugin's README")

    def _limits(self, section: Section, group: str | None) -> None:
        per = section.text("every") or "1s"
        limits: list[dict[str, Any]] = []
        whole = section.number("max_rate") or section.number("maxRate")
        client = section.number("client_max_rate") or section.number("clientMaxRate")
        section.ignore("max_rate", "maxRate", "client_max_rate", "clientMaxRate", "cleanup_period", "cleanup_threads")
        section.ignore("num_shards")
        if whole:
            limits.append({"name": "all", "rate": whole, "per": per, "key": "constant"})
            if burst := section.integer("capacity"):
                limits[-1]["burst"] = burst
        strategy, key = section.text("strategy") or "ip", section.text("key")
        if client:
            limits.append({"name": "client", "rate": client, "per": per, "key": self._key(section, strategy, key)})
            if burst := section.integer("client_capacity"):
                limits[-1]["burst"] = burst
        for limit in limits:
            if group is not None:
                limit["group"] = group
        if limits:
            self._bind("ratelimit", {"limits": limits}, section, "ratelimit-service" if group else None)
        self._rest(section)

    def _key(self, section: Section, strategy: str, key: str | None) -> str:
        if strategy == "header" and key:
            return f"header:{key}"
        if strategy == "param" and key:
            return f"param:{key}"
        if strategy != "ip":
            self._guard(section, "strategy", f"it counts by {strategy!r}", "choose a key of ratelimit")
        return "client_ip" if strategy != "ip" or not key else f"header:{key}"

    def _validator(self, section: Section) -> None:
        section = _with_underscores(section)
        algorithm = section.text("alg") or "RS256"
        provider: dict[str, Any] = {"scheme": "jwt", "algorithms": [algorithm]}
        url, path = section.text("jwk_url"), section.text("jwk_local_path")
        if url:
            provider["jwks_url"] = url
            if section.boolean("disable_jwk_security"):
                provider["fetch"] = {"allow_http": True}
            elif not url.startswith("https:"):
                reason = "KrakenD fetches no keys without TLS unless disable_jwk_security is true"
                self._guard(section, "jwk_url", reason, "use https, or set fetch: {allow_http: true} of auth")
        elif path:
            provider["jwks_file"] = path
        else:
            self._guard(section, "jwk_url", "no key set is named", "give jwks_url or jwks_file")
            return
        if issuer := section.text("issuer"):
            provider["issuer"] = issuer
        if audience := section.texts("audience"):
            provider |= {"audience": audience, "audience_match": "all"}
        self._access(section, provider)
        section.ignore("roles_key_is_nested", "scopes_matcher", "scopes_key", "disable_jwk_security")
        header, cookie = section.text("auth_header_name") or "Authorization", section.text("cookie_key")
        provider["token_from"] = [{"header": header, "scheme": "Bearer"}, *([{"cookie": cookie}] if cookie else [])]
        if passed := self._propagated(section):
            provider["claims_to_headers"] = passed
        section.ignore("cache", "cache_duration", "operation_debug", "cipher_suites", "key_identify_strategy")
        section.ignore("failed_jwk_key_cooldown")
        if section.nodes("jwk_fingerprints") or section.text("jwk_local_ca"):
            self._guard(section, "jwk_local_ca", "the server of the key set is pinned", "set fetch: {ca: FILE} of auth")
        self._bind("auth", {"providers": {"jwt": provider}, "require": "jwt"}, section)
        self._rest(section)

    def _propagated(self, section: Section) -> dict[str, str]:
        """Return the claims that the upstream gets, by the names of their fields."""
        passed: dict[str, str] = {}
        for node in section.nodes("propagate_claims"):
            match [each.value for each in node.value] if isinstance(node.value, list) else []:
                case [str(claim), str(header)] if claim and header:
                    passed[header] = claim
                case _:
                    reason = "it is no pair of a claim and a header"
                    advice = "set claims_to_headers of auth"
                    self.imported.lose(node.origin, "an entry of 'propagate_claims'", reason, advice)
        return passed

    def _access(self, section: Section, provider: dict[str, Any]) -> None:
        roles, roles_key = section.texts("roles"), section.text("roles_key") or "roles"
        if roles:
            provider["roles"] = {
                "any": roles,
                "claim": _claim(roles_key, nested=bool(section.boolean("roles_key_is_nested"))),
            }
        scopes = section.texts("scopes")
        if scopes and (section.text("scopes_key") or "scope") not in {"scope", "scp"}:
            self._guard(section, "scopes_key", "scopes are in scope or scp", "write a rule of claims")
        elif scopes:
            provider["scopes"] = {section.text("scopes_matcher") or "any": scopes}


def _with_underscores(section: Section) -> Section:
    """Return the same keys as version 3 writes them: version 2 has ``jwk-url``, and ``propagate-claims``."""
    value = section.node.value
    assert isinstance(value, dict)
    renamed = {key: key.replace("-", "_") for key in value}
    if len(set(renamed.values())) < len(renamed):
        raise CannotImportError(section.origin, f"{section.what} has a key twice, with - and with _: leave one out")
    return Section(Node(section.origin, {renamed[key]: each for key, each in value.items()}), section.what)


def _claim(name: str, *, nested: bool) -> str:
    """Return a path of a claim; a dot of a name that is no path is escaped."""
    return name if nested else name.replace("\\", "\\\\").replace(".", "\\.")
