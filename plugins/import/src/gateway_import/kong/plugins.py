"""Plugins of Kong other than authentication: what they are here, for one route.

A plugin that is not in the tables may be anything, so it counts as a guard: its routes are closed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from gateway_import.failures import CannotImportError
from gateway_import.kong.entities import KongPlugin
from gateway_import.kong.secrets import secret
from gateway_import.model import Binding, Imported, Route, keeps_secret
from gateway_import.nodes import Node
from gateway_import.sections import Section

_SECONDS: Final = {"second": 1, "minute": 60, "hour": 3600, "day": 86400, "month": 2592000, "year": 31536000}
_KEYS: Final = {
    "consumer": "identity",
    "credential": "identity",
    "ip": "client_ip",
    "service": "constant",
    "path": "path",
}
CONSUMER_HEADER: Final = "X-Consumer-Username"
"""Where auth puts the name of the consumer."""
_MEGABYTES: Final = {"megabytes": 1024 * 1024, "kilobytes": 1024, "bytes": 1}


@dataclass(slots=True)
class Placed:
    """A plugin on the routes of one route of Kong."""

    imported: Imported
    plugin: KongPlugin
    routes: list[Route]
    has_identity: bool
    """Whether an authentication stands before it."""
    when: Mapping[str, Any] | None = None
    """The condition of its bindings."""
    config: Section = field(init=False)

    def __post_init__(self) -> None:
        given = self.plugin.config
        self.config = given if given is not None else Section(Node(self.plugin.origin, {}), self.plugin.what)

    def bind(self, name: str, config: Mapping[str, Any], *, id: str | None = None) -> None:  # noqa: A002 - the key is called so
        for route in self.routes:
            taken = {each.id or each.name for each in route.plugins}
            wanted = id or (None if name not in taken else self.plugin.name)
            if (wanted or name) in taken:
                wanted = next(each for n in range(2, len(taken) + 3) if (each := f"{wanted or name}-{n}") not in taken)
            keys = {} if self.when is None else {"when": dict(self.when)}
            comments = [self.plugin.what]
            route.plugins.append(Binding(name, dict(config), self.plugin.origin, wanted, keys, comments))

    def lose(self, key: str, reason: str, proposal: str = "") -> None:
        """Record that a key was lost that guards nothing."""
        self.imported.lose(self.config.origin_of(key), f"{key!r} of {self.plugin.what}", reason, proposal)

    def guard(self, key: str, reason: str, proposal: str = "") -> None:
        """Record that a key was lost that guards, and close the routes."""
        what = f"{key!r} of {self.plugin.what}" if key else self.plugin.what
        place = self.config.origin_of(key) if key else self.plugin.origin
        self.imported.lose_guard(place, what, reason, proposal, self.routes)

    def rest(self, *, is_guard: bool) -> None:
        """Report the keys that were not read."""
        for key, node in list(self.config.rest()):
            if node.value or (node.value == 0 and node.value is not False):
                report = self.guard if is_guard else self.lose
                report(key, "there is nothing like it", "see the plugin's README")


def _cors(at: Placed) -> None:
    config = at.config
    origins: list[Any] = []
    for origin in config.texts("origins") or ["*"]:
        is_plain = origin == "*" or ("://" in origin and not set(origin) & set("\\^$+?()[]|*"))
        origins.append(origin.lower() if is_plain else {"regex": origin.removeprefix("^").removesuffix("$")})
    result: dict[str, Any] = {"origins": ["*"] if "*" in origins else origins}
    if config.boolean("credentials"):
        if "*" in origins:
            at.lose(
                "credentials", "with every origin, each page of the web could act for your users", "list the origins"
            )
        else:
            result["credentials"] = True
    methods, headers, exposed = config.texts("methods"), config.texts("headers"), config.texts("exposed_headers")
    if methods:
        result["methods"] = [method.upper() for method in methods]
    if headers:
        result["headers"] = headers
    if exposed:
        result["expose"] = exposed
    if (age := config.integer("max_age")) is not None:
        result["max_age"] = f"{age}s"
    if config.boolean("preflight_continue"):
        result["forward_preflights"] = True
    if config.boolean("private_network"):
        result["private_network"] = True
    config.ignore("allow_origin_absent")
    at.bind("cors", result)
    at.rest(is_guard=False)


def _ip(at: Placed) -> None:
    config = at.config
    allow = config.texts("allow") or config.texts("whitelist")
    deny = config.texts("deny") or config.texts("blacklist")
    result: dict[str, Any] = {key: value for key, value in (("allow", allow), ("deny", deny)) if value}
    if (status := config.integer("status")) is not None:
        result["status"] = status
    if (message := config.text("message")) is not None:
        result["message"] = message
    at.bind("ip", result)
    at.rest(is_guard=True)


def _rate_limiting(at: Placed) -> None:
    config = at.config
    key = config.text("limit_by") or "consumer"
    name = config.text("header_name")
    if key == "header" and name:
        source = f"header:{name}"
    elif key == "path":
        source, name = f"constant:{config.text('path') or ''}", None
    elif key in _KEYS:
        source = _KEYS[key] if key not in {"consumer", "credential"} or at.has_identity else "client_ip"
    else:
        at.guard("limit_by", f"it counts by {key!r}", "choose a key of ratelimit")
        return
    limits = [
        {"name": unit, "quota": quota, "window": f"{seconds}s", "fixed": True, "key": source, "group": at.plugin.scope}
        for unit, seconds in _SECONDS.items()
        if (quota := config.integer(unit)) is not None
    ]
    policy = config.text("policy") or "local"
    if policy != "local":
        at.lose(
            "policy",
            f"counters of {policy!r} are shared by all nodes, and these are not",
            "set store: redis, and redis",
        )
    config.ignore("redis", "sync_rate", "redis_host", "redis_port", "redis_password", "redis_timeout", "redis_database")
    config.ignore(
        "redis_username", "redis_ssl", "redis_ssl_verify", "redis_server_name", "fault_tolerant", "header_name"
    )
    _bind_limits(at, limits)


def _bind_limits(at: Placed, limits: list[dict[str, Any]]) -> None:
    config = at.config
    result: dict[str, Any] = {"limits": limits}
    if config.boolean("hide_client_headers"):
        result["headers"] = []
    status, message = config.integer("error_code"), config.text("error_message")
    refusal: dict[str, Any] = {} if status in (None, 429) else {"status": status}
    if message is not None and message != "API rate limit exceeded":
        refusal["detail"] = message
    if refusal:
        result["refusal"] = refusal
    at.bind("ratelimit", result)
    at.rest(is_guard=True)


def _rate_limiting_advanced(at: Placed) -> None:
    config = at.config
    quotas, windows = config.integers("limit"), config.integers("window_size")
    identifier = config.text("identifier") or "consumer"
    header = config.text("header_name")
    source = f"header:{header}" if identifier == "header" else _KEYS.get(identifier)
    if source is None or not quotas or len(quotas) != len(windows):
        at.guard("identifier", f"it counts by {identifier!r}", "write limits for ratelimit")
        return
    if source == "identity" and not at.has_identity:
        source = "client_ip"
    fixed = {"fixed": True} if config.text("window_type") == "fixed" else {}
    group = config.text("namespace") or at.plugin.scope
    limits = [
        {"name": f"{window}s", "quota": quota, "window": f"{window}s", **fixed, "key": source, "group": group}
        for quota, window in zip(quotas, windows, strict=True)
    ]
    if (config.text("strategy") or "local") != "local":
        at.lose("strategy", "counters are shared by all nodes, and these are not", "set store: redis, and redis")
    config.ignore("redis", "sync_rate", "dictionary_name", "retry_after_jitter_max", "enforce_consumer_groups")
    config.ignore("consumer_groups", "lock_dictionary_name", "disable_penalty", "path")
    _bind_limits(at, limits)


def _request_size(at: Placed) -> None:
    config = at.config
    size, unit = config.integer("allowed_payload_size"), config.text("size_unit") or "megabytes"
    number = (128 if size is None else size) * _MEGABYTES.get(unit, 1024 * 1024)
    for route in at.routes:
        route.keys["max_body_bytes"] = number
    at.rest(is_guard=True)


def _request_termination(at: Placed) -> None:
    config = at.config
    status, body, message = config.integer("status_code") or 503, config.text("body"), config.text("message")
    content_type = config.text("content_type")
    if "trigger" in config:
        at.guard("trigger", "it responds to some requests only", "write a route with headers or query")
        return
    respond: dict[str, Any] = {"status": status}
    if content_type is not None or body is None:
        respond["headers"] = {"content-type": content_type or "application/json; charset=utf-8"}
    respond["body"] = body if body is not None else f'{{"message":"{message or "Service unavailable"}"}}'
    for route in at.routes:
        for key in ("target", "strip_path", "rewrite", "preserve_host"):
            route.keys.pop(key, None)
        route.keys["respond"] = respond
    at.rest(is_guard=True)


def _pairs(section: Section, key: str) -> list[tuple[str, str]]:
    found = []
    for text in section.texts(key):
        name, _, value = text.partition(":")
        if not name.strip():
            raise CannotImportError(section.origin_of(key), f"has {text!r} in {section.what}, which is no name:value")
        found.append((name.strip(), value.strip()))
    return found


def _is_template(value: str) -> bool:
    return "$(" in value


_HEADER_RULES: Final = {"remove": "remove", "rename": "rename", "replace": "set", "add": "default", "append": "add"}
_TRANSFORMING_GUARDS: Final = frozenset({"remove", "rename", "replace"})
"""What takes something from the upstream that a client sent: lost, the upstream would get it."""


def _transformer(at: Placed, side: str) -> None:
    config = at.config
    result: dict[str, Any] = {}
    query: dict[str, Any] = {}
    for action in _HEADER_RULES:
        section = config.section(action)
        if section is not None:
            section.what = f"{action!r} of {at.plugin.what}"
            _header_rules(at, section, action, result)
            _other_rules(at, section, action, query)
    if config.text("http_method"):
        at.guard("http_method", "the method stays as it is", "write a plugin of your own")
    for route in at.routes if query else ():
        route.keys["rewrite"] = {**route.keys.get("rewrite", {}), "query": query}
    if result:
        at.bind("headers", {side: result}, id=at.plugin.name)
    at.rest(is_guard=False)


def _header_rules(at: Placed, section: Section, action: str, result: dict[str, Any]) -> None:
    if action == "remove":
        if names := section.texts("headers"):
            result["remove"] = names
        return
    rules: dict[str, Any] = {}
    for name, value in _pairs(section, "headers"):
        if _is_template(value):
            shown = "a template" if keeps_secret(name) else f"the template {value!r}"
            at.guard(action, f"{name} has {shown}", "see the values of the plugin headers")
        elif action != "rename" and keeps_secret(name, value):
            origin = section.origin_of("headers")
            rules[name] = secret(at.imported, value, name, f"value of {name} in {at.plugin.what}", origin)
        else:
            # Names of variables in braces are those of the plugin headers.
            rules[name] = value if action == "rename" else value.replace("{", "{{").replace("}", "}}")
    if rules:
        result[_HEADER_RULES[action]] = rules


def _other_rules(at: Placed, section: Section, action: str, query: dict[str, Any]) -> None:
    lose = at.guard if action in _TRANSFORMING_GUARDS else at.lose
    parameters = section.texts("querystring")
    if parameters and action == "remove":
        query["remove"] = parameters
    elif parameters:
        lose(action, "it changes the query", "write rewrite: {query: ...} on the route")
    uri = section.text("uri")
    if uri and action == "replace" and uri.startswith("/") and not set(uri) & set(":*?$"):
        for route in at.routes:
            kept = {key: value for key, value in route.keys.get("rewrite", {}).items() if key in {"host", "query"}}
            route.keys.pop("strip_path", None)
            route.keys["rewrite"] = {**kept, "template": uri}
    elif uri:
        at.guard(action, f"it sends the path {uri!r}", "write rewrite: {template: ...} on the route")
    for key, node in list(section.rest()):
        if node.value not in ([], {}):
            lose(action, f"it changes the {key}", "see the plugin transform")


def _request_transformer(at: Placed) -> None:
    _transformer(at, "request")


def _response_transformer(at: Placed) -> None:
    _transformer(at, "response")


def _proxy_cache(at: Placed) -> None:
    config = at.config
    ttl = config.integer("cache_ttl")
    result: dict[str, Any] = {"default_ttl": f"{300 if ttl is None else ttl}s"}
    if vary := config.texts("vary_headers"):
        result["vary"] = vary
    config.ignore(
        "strategy", "memory", "cache_control", "response_code", "request_method", "content_type", "storage_ttl"
    )
    reason = "what a response says of its caching counts, and responses to credentials are not shared"
    at.imported.note(at.plugin.origin, at.plugin.what, reason, "see docs/caching.md")
    at.bind("cache", result)
    at.rest(is_guard=False)


def _correlation_id(at: Placed) -> None:
    header = at.config.text("header_name") or "Kong-Request-ID"
    echo = bool(at.config.boolean("echo_downstream"))
    at.config.ignore("generator")
    value = {"default": {header: "{request_id}"}}
    at.bind("headers", {"request": value, **({"response": value} if echo else {})}, id="correlation-id")
    at.rest(is_guard=False)


def _file_log(at: Placed) -> None:
    path = at.config.text("path") or "-"
    at.bind("logger", {"format": "json", "path": "-" if path == "/dev/stdout" else path}, id=at.plugin.name)
    at.config.ignore("reopen")
    at.rest(is_guard=False)


def _grpc_web(at: Placed) -> None:
    at.bind("grpc-web", {})
    at.config.ignore("allow_origin_header", "pass_stripped_path")
    at.rest(is_guard=False)


def _nothing(reason: str, proposal: str) -> Callable[[Placed], None]:
    def lose(at: Placed) -> None:
        at.imported.lose(at.plugin.origin, at.plugin.what, reason, proposal)

    return lose


_METRICS: Final = _nothing("metrics are at /metrics of the admin listener", "set admin, and scrape it")
_LOGS: Final = _nothing("where and how it writes is of its own", "bind logger with a sink: see its README")
_TRACES: Final = _nothing("there is no exporter in this configuration", "see the plugins for traces")

PLUGINS: Final[dict[str, Callable[[Placed], None]]] = {
    # In the order in which Kong runs them, which is that of the bindings.
    "correlation-id": _correlation_id,
    "zipkin": _TRACES, "opentelemetry": _TRACES,
    "cors": _cors,
    "ip-restriction": _ip,
    "request-size-limiting": _request_size,
    "rate-limiting": _rate_limiting,
    "rate-limiting-advanced": _rate_limiting_advanced,
    "grpc-web": _grpc_web,
    "request-transformer": _request_transformer, "request-transformer-advanced": _request_transformer,
    "response-transformer": _response_transformer, "response-transformer-advanced": _response_transformer,
    "proxy-cache": _proxy_cache, "proxy-cache-advanced": _proxy_cache,
    "request-termination": _request_termination,
    "file-log": _file_log,
    **dict.fromkeys(("prometheus", "datadog", "statsd", "statsd-advanced"), _METRICS),
    **dict.fromkeys(("http-log", "tcp-log", "udp-log", "syslog", "loggly", "kafka-log"), _LOGS),
}  # fmt: skip
HARMLESS: Final = frozenset(
    {"correlation-id", "zipkin", "opentelemetry", "cors", "grpc-web", "proxy-cache", "proxy-cache-advanced", "file-log"}
    | {"prometheus", "datadog", "statsd", "statsd-advanced", "response-transformer", "response-transformer-advanced"}
    | {"http-log", "tcp-log", "udp-log", "syslog", "loggly", "kafka-log"}
)
"""Plugins that decide nothing: lost for one consumer, they take nothing from anyone's protection."""
ADVICE: Final = {
    "bot-detection": "write a route with a condition on user-agent that responds 403",
    "hmac-auth": "there are no signatures by HMAC: use tokens, API keys or mutual TLS",
    "ldap-auth": "bind forward-auth with a service that asks the directory",
    "ldap-auth-advanced": "bind forward-auth with a service that asks the directory",
    "oauth2": "Kong issued the tokens itself: use an authorization server, and auth with its key set or introspection",
    "mtls-auth": "set client_ca on the listener, and authorize by the certificate",
    "openid-connect": "bind oidc for logins of browsers; auth with issuer and discovery for tokens",
    "session": "bind oidc, which has sessions",
    "request-validator": "bind validate with a JSON Schema",
    "oas-validation": "bind validate with the OpenAPI document",
    "pre-function": "write a plugin in Python",
    "post-function": "write a plugin in Python",
    "aws-lambda": "send requests to the function's URL, with upstream-auth",
    "acl": "it needs an authentication of the same route",
    "jwt-signer": "bind auth with the issuer, and upstream-auth",
    "forward-auth": "bind forward-auth",
    "opa": "bind authorize, which asks Open Policy Agent",
}
