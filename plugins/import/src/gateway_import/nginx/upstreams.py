"""Upstreams: those of ``upstream`` blocks, and those that ``proxy_pass`` names itself."""

from __future__ import annotations

from typing import Any, Final

from gateway_import.model import Imported, Upstream
from gateway_import.nginx.directives import Context, Directive
from gateway_import.nginx.values import duration, variables

_TIMEOUTS: Final = {"connect": "connect_timeout", "response": "read_timeout", "idle": "read_timeout"}
_RETRIED: Final[dict[str, list[str | int]]] = {
    "error": ["connect-failure", "reset"],
    "timeout": ["timeout"],
    "http_500": [500],
    "http_502": [502],
    "http_503": [503],
    "http_504": [504],
    "http_429": [429],
    "http_403": [403],
    "http_404": [404],
    "invalid_header": ["reset"],
}
_HASHES: Final = {"remote_addr": "client_ip", "binary_remote_addr": "client_ip"}


class Upstreams:
    """Makes each upstream once, for the scheme that it is reached with."""

    def __init__(self, imported: Imported, blocks: dict[str, Directive]) -> None:
        self._imported = imported
        self._blocks = blocks
        self._made: dict[tuple[str, ...], str] = {}

    def block(self, host: str) -> Directive | None:
        """Return the ``upstream`` of a name."""
        return self._blocks.get(host)

    def target(self, scheme: str, host: str, directive: Directive, context: Context) -> str:
        """Return the name of the upstream for a place that ``proxy_pass`` names."""
        tls = _tls(context) if scheme in {"https", "grpcs"} else {}
        key = (scheme, host, repr(tls))
        if key not in self._made:
            block = self._blocks.get(host)
            origin = directive.origin if block is None else block.origin
            keys: dict[str, Any] = {}
            if scheme in {"grpc", "grpcs"}:
                keys["protocol"] = "http2"
            url_scheme = "https" if tls else "http"
            keys |= self._from_block(block, url_scheme) if block else {"endpoints": [{"url": url(url_scheme, host)}]}
            keys["timeouts"] = dict.fromkeys(_TIMEOUTS, "60s")
            if tls:
                keys["tls"] = tls
            name = self._imported.upstream_name(host)
            self._imported.upstreams.append(Upstream(name, keys, origin))
            self._made[key] = name
            if tls.get("verify") is False:
                self._imported.note(
                    directive.origin,
                    str(directive),
                    "the upstream's certificate is not verified, as before",
                    "remove `verify: false` from its `tls`, and give `ca`",
                )
        return self._made[key]

    def endpoints(self, name: str) -> int:
        """Return how many endpoints an upstream has."""
        return next(len(each.keys["endpoints"]) for each in self._imported.upstreams if each.name == name)

    def _from_block(self, block: Directive, scheme: str) -> dict[str, Any]:
        keys: dict[str, Any] = {"endpoints": []}
        failures: list[tuple[int, str]] = []
        for each in block.inside():
            if each.name == "server" and each.args:
                keys["endpoints"].append(self._endpoint(each, scheme))
                options = dict(arg.partition("=")[::2] for arg in each.args[1:])
                given = options.get("max_fails", "1")
                failures.append((int(given) if given.isdecimal() else 1, options.get("fail_timeout") or "10s"))
            else:
                keys |= self._balancing(each)
        if len(failures) > 1 and any(most for most, _ in failures):
            # Passive checks as nginx has them: on unless max_fails is 0.
            most, pause = max(failures)
            keys["outlier_detection"] = {
                "consecutive_failures": most,
                "consecutive_5xx": 0,
                "base_ejection_time": duration(pause) or "10s",
                "max_ejection_percent": 100,
            }
        return keys

    def _endpoint(self, server: Directive, scheme: str) -> dict[str, Any]:
        made: dict[str, Any] = {"url": url(scheme, server.value)}
        for option in server.args[1:]:
            name, _, value = option.partition("=")
            if name == "weight" and value.isdigit():
                made["weight"] = int(value)
            elif name in {"backup", "down"}:
                made |= {"backup": True} if name == "backup" else {"status": "down"}
            elif name not in {"max_fails", "fail_timeout", "resolve"}:
                self._imported.lose(server.origin, f"{option} of {server}", "an endpoint has no such option")
        return made

    def _balancing(self, each: Directive) -> dict[str, Any]:
        if each.name == "ip_hash":
            return {"hash_on": "client_ip"}
        if each.name == "hash":
            source = hash_source(each.value)
            if source is not None:
                return {"hash_on": source}
        if each.name in {"least_conn", "random"}:
            return {"strategy": {"least_conn": "least-requests", "random": "random"}[each.name]}
        if each.name == "keepalive" and each.value.isdigit():
            return {"keepalive": {"max_idle": int(each.value)}}
        if each.name not in {"zone", "keepalive_requests", "keepalive_timeout", "keepalive_time", "resolver"}:
            self._imported.lose(each.origin, str(each), "an upstream has no such option", "see docs/upstreams.md")
        return {}


def hash_source(text: str) -> str | None:
    """Return what ``hash_on`` calls a variable."""
    names = variables(text)
    if len(names) != 1 or text not in {f"${names[0]}", f"${{{names[0]}}}"}:
        return None
    for start, kind in (("http_", "header"), ("cookie_", "cookie"), ("arg_", "query")):
        if names[0].startswith(start):
            rest = names[0].removeprefix(start)
            return f"{kind}:{rest.replace('_', '-') if kind == 'header' else rest}"
    return _HASHES.get(names[0])


def url(scheme: str, host: str) -> str:
    """Return the URL of an endpoint."""
    return host.rstrip(":") if host.startswith("unix:") else f"{scheme}://{host}"


def _tls(context: Context) -> dict[str, Any]:
    made: dict[str, Any] = {}
    if context.is_on("proxy_ssl_verify"):
        if context.text("proxy_ssl_trusted_certificate"):
            made["ca"] = context.text("proxy_ssl_trusted_certificate")
    else:
        made["verify"] = False
    if context.text("proxy_ssl_name") and not variables(context.text("proxy_ssl_name")):
        made["server_name"] = context.text("proxy_ssl_name")
    if context.text("proxy_ssl_certificate"):
        made |= {"cert": context.text("proxy_ssl_certificate"), "key": context.text("proxy_ssl_certificate_key")}
    return made


def route_keys(context: Context, endpoints: int, prefix: str) -> dict[str, Any]:
    """Return what a location changes in its upstream: timeouts and retries.

    :param prefix: ``proxy`` or ``grpc``.
    """
    keys: dict[str, Any] = {}
    times = {ours: context.text(f"{prefix}_{theirs}") for ours, theirs in _TIMEOUTS.items()}
    changed = {ours: made for ours, text in times.items() if (made := duration(text)) and made != "60s"}
    if changed:
        keys["timeouts"] = changed
    chosen = context.one(f"{prefix}_next_upstream")
    words = ["error", "timeout"] if chosen is None else list(chosen.args)
    tries = context.text(f"{prefix}_next_upstream_tries", "0")
    attempts = min((int(tries) if tries.isdigit() and tries != "0" else endpoints) - 1, endpoints - 1, 10)
    if attempts > 0 and "off" not in words:
        keys["retries"] = {
            "attempts": attempts,
            "on": list(dict.fromkeys(found for word in words for found in _RETRIED.get(word, ()))),
        }
        if "non_idempotent" in words:
            keys["retries"]["methods"] = ["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE", "POST", "PATCH"]
    return keys
