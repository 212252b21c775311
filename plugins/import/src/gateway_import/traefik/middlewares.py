"""Middlewares as bindings and keys of routes, in their order. One that is not known closes its routes."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

from gateway_import.hiding import path_with_query, shown
from gateway_import.model import Binding, EnvReference, Imported, Route, keeps_secret
from gateway_import.nginx.values import escaped, literal
from gateway_import.sections import Section
from gateway_import.traefik.regexes import new_path, redirects
from gateway_import.traefik.services import Services, duration

_DEEPEST: Final = 10
_STATUSES: Final = re.compile(r"(\d{3})(?:-(\d{3}))?")
_RATIO: Final = re.compile(r"(?:NetworkErrorRatio\(\)|ResponseCodeRatio\(500, ?600, ?0, ?600\)) ?>=? ?(0?\.\d+)")


@dataclass(slots=True)
class Applied:
    """What middlewares have made of a route so far."""

    route: Route
    prefixes: list[str]
    """Prefixes that its rule asks for."""
    pattern: str | None = None
    """The path with a group ``rest`` of what goes on; None while the whole path does."""
    template: str | None = None
    to_scheme: Route | None = None
    """A redirect of requests of another scheme, which stands before the route."""
    before: list[Route] = field(default_factory=list)
    """Routes for some of its requests, which stand before it: their keys are further conditions, and what they do."""
    seen: dict[str, int] = field(default_factory=dict)


class Middlewares:
    """Applies the middlewares of routers."""

    def __init__(self, imported: Imported, section: Section | None, services: Services) -> None:
        self._imported = imported
        self._section = section
        self._services = services
        self._secrets: dict[tuple[str, int], EnvReference] = {}
        self._kinds: dict[str, Callable[[Applied, Section, str], None]] = {
            "basicAuth": self._basic_auth, "forwardAuth": self._forward_auth, "headers": self._headers,
            "ipAllowList": self._ip, "ipWhiteList": self._ip, "rateLimit": self._rate_limit,
            "inFlightReq": self._in_flight,
            "stripPrefix": self._strip_prefix, "addPrefix": self._add_prefix, "replacePath": self._replace_path,
            "replacePathRegex": self._replace_path_regex, "redirectRegex": self._redirect_regex,
            "redirectScheme": self._redirect_scheme, "retry": self._retry, "circuitBreaker": self._breaker,
            "compress": self._compress, "errors": self._errors, "buffering": self._buffering,
            "contentType": self._nothing, "grpcWeb": self._grpc_web,
        }  # fmt: skip

    def apply(self, applied: Applied, name: str, place: Section, depth: int = 0) -> None:
        """Apply a middleware, or those of a chain."""
        name = name.removesuffix("@file")
        section = None if self._section is None or name not in self._section else self._section.section(name)
        what = f"middleware {name!r}"
        if section is None or depth > _DEEPEST:
            self._close(applied, place, what, "it is not in the file", "bind a plugin that does the same")
            return
        kinds = section.names()
        if kinds == ["chain"]:
            chain = section.section("chain")
            for each in chain.texts("middlewares") if chain is not None else ():
                self.apply(applied, each, place, depth + 1)
            return
        kind = kinds[0] if len(kinds) == 1 else ""
        if kind not in self._kinds:
            proposal = "bind `auth` with passwords" if kind == "digestAuth" else "bind a plugin that does the same"
            self._close(applied, section, f"{what} ({kind or 'of no kind'})", "it has no counterpart", proposal)
            return
        # An empty mapping has no keys, and may be written as nothing or as true.
        options = section.take(kind)
        inner = (
            Section(options, f"{kind} {name!r}") if options is not None and isinstance(options.value, dict) else section
        )
        self._kinds[kind](applied, inner, name)
        for key, node in inner.rest() if inner is not section else ():
            # What is not known of a middleware that guards may be what it guards by.
            self._imported.lose_guard(
                node.origin,
                f"{key!r} of {inner.what}",
                "this option has no counterpart",
                "write it by hand",
                [applied.route],
            )

    def _close(self, applied: Applied, place: Section, what: str, reason: str, proposal: str) -> None:
        self._imported.lose_guard(place.origin, what, reason, proposal, [applied.route])

    def _bind(self, applied: Applied, plugin: str, config: dict[str, Any], section: Section) -> None:
        number = applied.seen[plugin] = applied.seen.get(plugin, 0) + 1
        applied.route.plugins.append(
            Binding(plugin, config, section.origin, id=None if number == 1 else f"{plugin}-{number}")
        )

    def _nothing(self, _: Applied, section: Section, __: str) -> None:
        section.ignore(*section.names())

    def _basic_auth(self, applied: Applied, section: Section, name: str) -> None:
        users = []
        for number, text in enumerate(section.texts("users")):
            user, _, _hash = text.partition(":")
            key = (name, number)
            if key not in self._secrets:
                self._secrets[key] = self._imported.secret(
                    f"traefik {name} {user}", f"hash of the password of {user!r}", section.origin
                )
            users.append({"name": user, "password_hash": self._secrets[key]})
        provider: dict[str, Any] = {"scheme": "basic"} | ({"users": users} if users else {})
        if (file := section.text("usersFile")) is not None:
            provider["users_file"] = file
        if section.boolean("removeHeader"):
            provider["hide_credentials"] = True
        realm = section.text("realm") or "traefik"
        if len(provider) == 1:
            self._close(applied, section, section.what, "it has no users", "bind `auth`")
            return
        self._bind(applied, "auth", {"realm": realm, "providers": {"users": provider}}, section)
        if (header := section.text("headerField")) is not None:
            self._bind(applied, "headers", {"request": {"set": {header: "{identity}"}}}, section)

    def _forward_auth(self, applied: Applied, section: Section, _: str) -> None:
        try:
            address = urlsplit(section.text("address") or "")
        except ValueError:
            address = urlsplit("")
        path = (address.path or "/") + (f"?{address.query}" if address.query else "")
        config: dict[str, Any] = {"target": f"{address.scheme}://{address.netloc}", "path": path}
        with suppress(ValueError):
            config["path"] = path_with_query(self._imported, path, section.origin_of("address"))
        config["request_headers"] = section.texts("authRequestHeaders") or "all"
        if fields := section.texts("authResponseHeaders"):
            config["upstream_headers"] = fields
        section.ignore("trustForwardHeader", "addAuthCookiesToResponse", "preserveLocationHeader")
        is_hidden = config["path"] is not path or shown(path) == path
        if not address.scheme or not address.netloc or "@" in address.netloc or not is_hidden:
            self._close(applied, section, section.what, "its address is no URL", "bind `forward-auth`")
            return
        self._bind(applied, "forward-auth", config, section)

    def _ip(self, applied: Applied, section: Section, _: str) -> None:
        config: dict[str, Any] = {"allow": section.texts("sourceRange"), "address": "peer"}
        status = section.integer("rejectStatusCode")
        if status:
            config["status"] = status
        if not config["allow"]:
            self._close(applied, section, section.what, "it allows no network", "bind `ip`")
            return
        self._bind(applied, "ip", config, section)

    def _source(self, section: Section, default: str) -> list[str]:
        criterion = section.section("sourceCriterion")
        if criterion is None:
            return [default]
        if (header := criterion.text("requestHeaderName")) is not None:
            return [f"header:{header.lower()}"]
        if criterion.boolean("requestHost"):
            return ["host"]
        if "ipStrategy" in criterion:
            self._imported.note(
                criterion.origin,
                "ipStrategy",
                "clients are counted by their addresses",
                "set `trusted_proxies` to what is in front",
            )
            return ["client_ip"]
        return [default]

    def _rate_limit(self, applied: Applied, section: Section, _: str) -> None:
        average, burst = section.integer("average") or 0, section.integer("burst") or 1
        period = duration(section.text("period")) or "1s"
        key = self._source(section, "peer_ip")
        if average > 0:
            self._bind(
                applied, "ratelimit", {"rate": average, "per": period, "burst": max(burst, 1), "key": key}, section
            )

    def _in_flight(self, applied: Applied, section: Section, _: str) -> None:
        amount, key = section.integer("amount") or 0, self._source(section, "host")
        if amount > 0:
            self._bind(applied, "ratelimit", {"concurrency": amount, "key": key}, section)

    def _headers(self, applied: Applied, section: Section, _: str) -> None:
        request, response = section.texts_by_key("customRequestHeaders"), section.texts_by_key("customResponseHeaders")
        secrets = {
            name: self._secret(section, name) for name, value in request.items() if keeps_secret(name, value) and value
        }
        changes = {"request": _changes(request, secrets), "response": _changes(response, {})}
        config: dict[str, Any] = {key: value for key, value in changes.items() if value}
        fixed = {
            "X-Frame-Options": section.text("customFrameOptionsValue")
            or ("DENY" if section.boolean("frameDeny") else None),
            "X-Content-Type-Options": "nosniff" if section.boolean("contentTypeNosniff") else None,
            "X-XSS-Protection": section.text("customBrowserXSSValue")
            or ("1; mode=block" if section.boolean("browserXssFilter") else None),
            "Content-Security-Policy": section.text("contentSecurityPolicy"),
            "Referrer-Policy": section.text("referrerPolicy"),
            "Permissions-Policy": section.text("permissionsPolicy"),
            "Strict-Transport-Security": _sts(section),
        }
        present = {name: literal(value) for name, value in fixed.items() if value is not None}
        if present:
            response_part = config.setdefault("response", {})
            response_part["set"] = {**present, **response_part.get("set", {})}
        self._redirect_of_headers(applied, section)
        section.ignore("addVaryHeader", "isDevelopment", "sslProxyHeaders", "hostsProxyHeaders")
        origins = section.texts("accessControlAllowOriginList")
        patterns = section.texts("accessControlAllowOriginListRegex")
        cors = {
            "methods": section.texts("accessControlAllowMethods"),
            "headers": section.texts("accessControlAllowHeaders"),
            "expose": section.texts("accessControlExposeHeaders"),
        }
        credentials, age = section.boolean("accessControlAllowCredentials"), section.integer("accessControlMaxAge")
        if origins or patterns:
            made: dict[str, Any] = {"origins": [*origins, *({"regex": each} for each in patterns)]}
            made |= {key: value for key, value in cors.items() if value}
            if credentials and "*" not in origins:
                made["credentials"] = True
            if age and age > 0:
                made["max_age"] = f"{age}s"
            self._bind(applied, "cors", made, section)
        if config:
            self._bind(applied, "headers", config, section)

    def _redirect_of_headers(self, applied: Applied, section: Section) -> None:
        """Read the redirect to HTTPS that version 2 had among its options for fields."""
        is_temporary, host = section.boolean("sslTemporaryRedirect"), section.text("sslHost")
        section.ignore("sslForceHost")
        if section.boolean("sslRedirect"):
            redirect: dict[str, Any] = {"scheme": "https", "status": 307 if is_temporary else 308}
            redirect |= {} if host is None else {"host": host}
            applied.to_scheme = Route("", {"redirect": redirect}, section.origin, plugins=list(applied.route.plugins))

    def _secret(self, section: Section, header: str) -> EnvReference:
        key = (f"{section.what} {header}", 0)
        if key not in self._secrets:
            self._secrets[key] = self._imported.secret(
                f"traefik {header}", f"value of {header} in {section.what}", section.origin
            )
        return self._secrets[key]

    # -- paths

    def _strip_prefix(self, applied: Applied, section: Section, _: str) -> None:
        prefixes = section.texts("prefixes")
        section.ignore("forceSlash")
        covered = bool(applied.prefixes) and all(
            any(asked.startswith(each) for each in prefixes) for asked in applied.prefixes
        )
        if not covered or applied.template is not None or applied.before:
            self._close(
                applied, section, section.what, "it removes what only some of the paths have", "write `strip_path`"
            )
            return
        longest = sorted(prefixes, key=len, reverse=True)
        applied.pattern = f"(?:{'|'.join(escaped(each.rstrip('/')) for each in longest)})/?(?P<rest>.*)"
        applied.template = "/:rest"

    def _add_prefix(self, applied: Applied, section: Section, _: str) -> None:
        prefix = (section.text("prefix") or "").rstrip("/")
        if applied.before or not prefix.startswith("/") or set(prefix) & {":", "*"}:
            self._close(applied, section, section.what, "it is no prefix of a path", "write `rewrite`")
            return
        if applied.template is None:
            applied.pattern, applied.template = "/(?P<rest>.*)", "/:rest"
        applied.template = prefix + applied.template

    def _replace_path(self, applied: Applied, section: Section, _: str) -> None:
        path = section.text("path") or ""
        if applied.before or not path.startswith("/") or set(path) & {":", "*", "?"}:
            self._close(applied, section, section.what, "it is no path", "write `rewrite`")
            return
        applied.template = path

    def _replace_path_regex(self, applied: Applied, section: Section, _: str) -> None:
        pattern, replacement = section.text("regex") or "", section.text("replacement") or ""
        found = new_path(pattern, replacement)
        if found is None or applied.template is not None or applied.before:
            reason = "its expression takes a part of a path, or its groups are parts of segments"
            self._close(applied, section, section.what, reason, "write `path_regex` and `rewrite`")
            return
        keys = {"path_regex": found[0], "rewrite": {"template": found[1]}}
        applied.before.append(Route("", keys, section.origin))

    def _redirect_regex(self, applied: Applied, section: Section, _: str) -> None:
        pattern, replacement = section.text("regex") or "", section.text("replacement") or ""
        status = 308 if section.boolean("permanent") else 307
        hosts = applied.route.keys.get("hosts", [])
        found = redirects(pattern, replacement, hosts)
        if found is None or applied.template is not None or any("rewrite" in each.keys for each in applied.before):
            reason = "what it makes of a URL is not known for all hosts and paths"
            self._close(applied, section, section.what, reason, "write routes with `redirect`")
            return
        for each in found:
            keys = {**each.conditions, "redirect": {"status": status, **each.keys}}
            applied.before.append(Route("", keys, section.origin, plugins=list(applied.route.plugins)))

    def _redirect_scheme(self, applied: Applied, section: Section, _: str) -> None:
        scheme, port = section.text("scheme"), section.integer("port")
        redirect: dict[str, Any] = {"scheme": scheme, "status": 308 if section.boolean("permanent") else 307}
        section.ignore("forcePermanentRedirect")
        if scheme not in {"http", "https"}:
            self._close(applied, section, section.what, "it names no scheme", "write `redirect`")
            return
        if port is not None and port != {"http": 80, "https": 443}[scheme]:
            redirect["port"] = port
        applied.to_scheme = Route("", {"redirect": redirect}, section.origin, plugins=list(applied.route.plugins))

    # -- upstreams

    def _retry(self, applied: Applied, section: Section, _: str) -> None:
        attempts = (section.integer("attempts") or 1) - 1
        section.ignore("initialInterval", "timeout", "maxRequestBodyBytes")
        if attempts > 0:
            applied.route.keys["retries"] = {"attempts": min(attempts, 10), "on": ["connect-failure", "reset"]}

    def _breaker(self, applied: Applied, section: Section, _: str) -> None:
        text = section.text("expression") or ""
        section.ignore("checkPeriod", "recoveryDuration", "responseCode")
        pause = duration(section.text("fallbackDuration")) or "10s"
        found = _RATIO.fullmatch(text.strip())
        upstream = next(
            (each for each in self._imported.upstreams if each.name == applied.route.keys.get("target")), None
        )
        if found is None or upstream is None:
            self._imported.lose(
                section.origin,
                section.what,
                "its expression has no counterpart",
                "write circuit_breaker on the upstream",
            )
            return
        upstream.keys["circuit_breaker"] = {"failure_ratio": float(found[1]), "open_for": pause}

    def _compress(self, applied: Applied, section: Section, _: str) -> None:
        config: dict[str, Any] = {}
        names = {"gzip": "gzip", "br": "br", "zstd": "zstd"}
        if encodings := [names[each] for each in section.texts("encodings") if each in names]:
            config["codings"] = encodings
        if types := section.texts("includedContentTypes"):
            config["types"] = types
        least = section.integer("minResponseBodyBytes")
        if least:
            config["min_size"] = least
        section.ignore("defaultEncoding", "excludedContentTypes")
        self._bind(applied, "compress", config, section)

    def _errors(self, applied: Applied, section: Section, _: str) -> None:
        target = self._services.target((section.text("service") or "").removesuffix("@file"))
        statuses = [_status(each) for each in section.texts("status")]
        path = (section.text("query") or "/").replace("{status}", ":status")
        section.ignore("statusRewrites")
        if target is None or None in statuses or not statuses or "{" in path:
            self._imported.lose(section.origin, section.what, "its service is no upstream", "write `error_pages`")
            return
        page = {"statuses": statuses, "from": ["gateway", "plugin", "upstream"], "target": target, "path": path}
        applied.route.keys.setdefault("error_pages", []).append(page)

    def _buffering(self, applied: Applied, section: Section, _: str) -> None:
        most = section.integer("maxRequestBodyBytes")
        section.ignore("memRequestBodyBytes", "memResponseBodyBytes", "maxResponseBodyBytes", "retryExpression")
        if most:
            applied.route.keys["max_body_bytes"] = most

    def _grpc_web(self, applied: Applied, section: Section, _: str) -> None:
        if origins := section.texts("allowOrigins"):
            self._bind(applied, "cors", {"origins": origins, "methods": ["POST"]}, section)
        self._bind(applied, "grpc-web", {}, section)


def _changes(fields: dict[str, str], secrets: dict[str, EnvReference]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    if changed := {name: secrets.get(name) or literal(value) for name, value in fields.items() if value}:
        made["set"] = changed
    if removed := [name for name, value in fields.items() if not value]:
        made["remove"] = removed
    return made


def _sts(section: Section) -> str | None:
    seconds = section.integer("stsSeconds") or 0
    parts = [f"max-age={seconds}"]
    parts += ["includeSubDomains"] if section.boolean("stsIncludeSubdomains") else []
    parts += ["preload"] if section.boolean("stsPreload") else []
    section.ignore("forceSTSHeader")
    return "; ".join(parts) if seconds > 0 else None


def _status(text: str) -> int | str | None:
    found = _STATUSES.fullmatch(text)
    return None if found is None else int(found[1]) if found[2] is None else text
