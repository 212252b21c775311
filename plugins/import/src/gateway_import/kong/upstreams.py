"""Services and upstreams of Kong, as upstreams: addresses, balancing, health checks, timeouts."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import urlsplit

from gateway_import.failures import CannotImportError
from gateway_import.kong.entities import BOOKKEEPING, Entities
from gateway_import.model import Imported, Upstream
from gateway_import.sections import Section

_LARGEST_PORT: Final = 65535
_PORTS: Final = {"http": 80, "https": 443, "grpc": 80, "grpcs": 443, "ws": 80, "wss": 443}
_SCHEMES: Final = {"http": "http", "https": "https", "grpc": "http", "grpcs": "https", "ws": "http", "wss": "https"}
_STRATEGIES: Final = {
    "round-robin": "weighted-round-robin",
    "least-connections": "least-requests",
    "consistent-hashing": "consistent-hash",
    "latency": "least-requests",
}
_DEFAULT_TIMEOUT: Final = 60_000
_MOST_RETRIES: Final = 10


class ServiceTarget:
    """What routes need to know of their service."""

    def __init__(self, upstream: str, path: str, host: str | None) -> None:
        self.upstream = upstream
        self.path = path
        """What stands before the path of each request; empty for none."""
        self.host = host
        """The Host that Kong sends, where it is not that of the endpoint."""


def add_upstreams(imported: Imported, entities: Entities) -> dict[str, ServiceTarget]:
    """Add an upstream for each service that has one; returns them by the service's name."""
    found = {}
    for name, section in entities.services.items():
        target = _service(imported, entities, name, section)
        if target is not None:
            found[name] = target
    for section in entities.upstreams.values():
        if "algorithm" in dict(section.rest()) or "healthchecks" in dict(section.rest()):
            imported.note(section.origin, section.what, "no service sends requests to it: it is left out")
    return found


def _service(imported: Imported, entities: Entities, name: str, section: Section) -> ServiceTarget | None:
    scheme, host, port, path = _address(section)
    section.ignore(*BOOKKEEPING, "name", "enabled")
    if scheme not in _SCHEMES:
        reason = f"its protocol is {scheme!r}, and this gateway speaks HTTP"
        imported.lose(section.origin, section.what, reason, "use a proxy of TCP for it")
        return None
    keys: dict[str, Any] = {}
    comments = []
    endpoints = [{"url": f"{_SCHEMES[scheme]}://{_host(host)}:{port}"}]
    host_header = None
    if host in entities.upstreams:
        upstream = entities.upstreams[host]
        comments.append(f"upstream {host!r} ({upstream.origin})")
        host_header = upstream.text("host_header") or host
        endpoints = _targets(imported, entities, upstream, host, _SCHEMES[scheme])
        keys |= _balancing(imported, upstream)
        _lose_rest(imported, upstream)
    keys = {"endpoints": endpoints, **keys, **_settings(imported, section, scheme)}
    _lose_rest(imported, section)
    upstream_name = imported.upstream_name(name)
    imported.upstreams.append(Upstream(upstream_name, keys, section.origin, comments))
    return ServiceTarget(upstream_name, path.rstrip("/") if path != "/" else "", host_header)


def _address(section: Section) -> tuple[str, str, int, str]:
    url = section.text("url")
    if url is not None:
        section.ignore("protocol", "host", "port", "path")  # which the url stands for
        try:
            parts = urlsplit(url)
            scheme, host, port, path = parts.scheme, parts.hostname or "", parts.port, parts.path
        except ValueError as error:
            raise CannotImportError(
                section.origin_of("url"), f"has no URL in 'url' of {section.what}: {error}"
            ) from None
    else:
        scheme, host = section.text("protocol") or "http", section.text("host") or ""
        port, path = section.integer("port") or (80 if scheme not in _PORTS else None), section.text("path") or ""
        if port is None and "port" not in section:
            port = 80  # Kong's default, whatever the protocol
    if not host:
        raise CannotImportError(section.origin, f"{section.what} has neither a url nor a host")
    if port is not None and not 0 <= port <= _LARGEST_PORT:
        raise CannotImportError(
            section.origin_of("port"), f"has the port {port} in {section.what}: it is 65535 at most"
        )
    return scheme, host, port or _PORTS.get(scheme, 80), path


def _host(host: str) -> str:
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


def _settings(imported: Imported, section: Section, scheme: str) -> dict[str, Any]:
    keys: dict[str, Any] = {}
    connect, read = section.integer("connect_timeout"), section.integer("read_timeout")
    section.ignore("write_timeout")  # the client's pace and the upstream's are bounded by limits and timeouts.idle
    response = duration(_DEFAULT_TIMEOUT if read is None else read)
    keys["timeouts"] = {} if connect is None else {"connect": duration(connect)}
    keys["timeouts"] |= {"response": response, "idle": response}
    retries = section.integer("retries")
    if retries:
        keys["retries"] = {"attempts": min(retries, _MOST_RETRIES), "on": ["connect-failure", "reset", "timeout"]}
    if scheme.startswith("grpc"):
        keys["protocol"] = "http2"
    verify = section.boolean("tls_verify")
    if scheme in {"https", "grpcs", "wss"}:
        if verify is False:
            keys["tls"] = {"verify": False}
        elif verify is None:
            reason = "Kong verifies no certificate of an upstream unless it is configured to, and this gateway does"
            imported.note(section.origin, section.what, reason, "if its certificate is your own, set tls: {ca: FILE}")
    for key in ("client_certificate", "ca_certificates", "tls_verify_depth"):
        if section.take(key) is not None:
            proposal = "write the PEM into files, and name them in tls of the upstream (cert, key, ca)"
            imported.lose(section.origin_of(key), f"{key!r} of {section.what}", "certificates are files here", proposal)
    return keys


def duration(milliseconds: int) -> str:
    """Return a duration as the configuration has it."""
    return f"{milliseconds}ms" if milliseconds % 1000 else f"{milliseconds // 1000}s"


def _targets(imported: Imported, entities: Entities, upstream: Section, name: str, scheme: str) -> list[dict[str, Any]]:
    names = {name, upstream.text("id") or name}
    endpoints: list[dict[str, Any]] = []
    for target in entities.targets:
        node = target.take("upstream")
        named = node.plain() if node is not None else None
        named = next(iter(named.values()), None) if isinstance(named, dict) else named
        if named not in names:
            continue
        address, weight = target.text("target") or "", target.integer("weight")
        host, _, port = (
            address.rpartition(":") if not address.endswith("]") and ":" in address else (address, "", "8000")
        )
        endpoint: dict[str, Any] = {"url": f"{scheme}://{_host(host)}:{port}"}
        if weight is not None and weight != 100:
            endpoint["weight"] = weight
        elif any("weight" in each for each in entities.targets):
            endpoint["weight"] = 100
        endpoints.append(endpoint)
        target.ignore(*BOOKKEEPING, "failover")
        _lose_rest(imported, target)
    if not endpoints:
        imported.lose(upstream.origin, upstream.what, "it has no targets in the file", "add endpoints, or a discovery")
        endpoints = [{"url": f"{scheme}://{_host(name)}:80"}]
    return endpoints


def _balancing(imported: Imported, upstream: Section) -> dict[str, Any]:
    keys: dict[str, Any] = {}
    upstream.ignore(*BOOKKEEPING, "name", "slots", "use_srv_name")
    algorithm = upstream.text("algorithm") or "round-robin"
    sources = [_hash_source(upstream, prefix) for prefix in ("hash_on", "hash_fallback")]
    known = [source for source in sources if source is not None and not source.startswith("!")]
    for source in sources:
        if source is not None and source.startswith("!"):
            proposal = "hash on a header, a cookie, a query parameter or the client's address"
            imported.lose(upstream.origin, upstream.what, f"it hashes on {source[1:]!r}", proposal)
    if known:
        keys["hash_on"] = known if len(known) > 1 else known[0]
    elif algorithm in _STRATEGIES and algorithm not in {"round-robin", "consistent-hashing"}:
        keys["strategy"] = _STRATEGIES[algorithm]
        if algorithm == "latency":
            imported.note(
                upstream.origin, upstream.what, "there is no strategy by latency: least-requests is near to it"
            )
    elif algorithm not in _STRATEGIES:
        imported.lose(upstream.origin, upstream.what, f"there is no strategy {algorithm!r}", "choose another one")
    checks = upstream.section("healthchecks", f"healthchecks of {upstream.what}")
    if checks is not None:
        keys |= _health(imported, checks)
    if upstream.take("client_certificate") is not None:
        imported.lose(upstream.origin, upstream.what, "certificates are files here", "set tls: {cert: FILE, key: FILE}")
    return keys


def _hash_source(upstream: Section, prefix: str) -> str | None:
    source = upstream.text(prefix) or "none"
    header, cookie = upstream.text(f"{prefix}_header"), upstream.text("hash_on_cookie")
    query, capture = upstream.text(f"{prefix}_query_arg"), upstream.text(f"{prefix}_uri_capture")
    upstream.ignore("hash_on_cookie_path")
    sources = {
        "none": None, "ip": "client_ip", "header": f"header:{header}", "cookie": f"cookie:{cookie}",
        "query_arg": f"query:{query}", "uri_capture": f"param:{capture}",
    }  # fmt: skip
    return sources.get(source, f"!{source}")


def _health(imported: Imported, checks: Section) -> dict[str, Any]:
    keys: dict[str, Any] = {}
    active, passive = checks.section("active"), checks.section("passive")
    if active is not None:
        healthy, unhealthy = active.section("healthy"), active.section("unhealthy")
        intervals = [each.number("interval") or 0 for each in (healthy, unhealthy) if each is not None]
        if any(intervals):
            keys["health_check"] = _active(active, healthy, unhealthy, [each for each in intervals if each])
        active.ignore("concurrency", "healthy", "unhealthy")
        for section in (healthy, unhealthy):
            if section is not None and not any(intervals):
                section.ignore(*section.names())
            elif section is not None:
                section.ignore("http_statuses", "timeouts", "tcp_failures", "http_failures", "successes")
                _lose_rest(imported, section)
        active.ignore(*(active.names() if not any(intervals) else ()))
        _lose_rest(imported, active)
    unhealthy = None if passive is None else passive.section("unhealthy")
    if unhealthy is not None:
        failures = [unhealthy.integer(key) or 0 for key in ("http_failures", "tcp_failures", "timeouts")]
        if any(failures):
            keys["outlier_detection"] = {
                "consecutive_5xx": failures[0],
                "consecutive_failures": min([each for each in failures[1:] if each], default=0),
            }
    if checks.number("threshold"):
        imported.lose(
            checks.origin_of("threshold"), "'threshold' of healthchecks", "there is none", "panic_threshold is near"
        )
    return keys


def _active(
    active: Section, healthy: Section | None, unhealthy: Section | None, intervals: list[int | float]
) -> dict[str, Any]:
    kind = active.text("type") or "http"
    check: dict[str, Any] = {"type": "grpc" if kind.startswith("grpc") else kind, "interval": f"{min(intervals)}s"}
    if kind.startswith("http"):
        check["path"] = active.text("http_path") or "/"
    timeout = active.number("timeout")
    check["timeout"] = f"{1 if timeout is None else timeout}s"
    if healthy is not None:
        if (successes := healthy.integer("successes")) is not None:
            check["healthy_threshold"] = max(successes, 1)
        if (statuses := healthy.integers("http_statuses")) and kind.startswith("http"):
            check["expected_statuses"] = statuses
    if unhealthy is not None:
        failures = [unhealthy.integer(key) or 0 for key in ("http_failures", "tcp_failures", "timeouts")]
        check["unhealthy_threshold"] = min([each for each in failures if each], default=3)
    return check


def _lose_rest(imported: Imported, section: Section) -> None:
    for key, node in section.rest():
        imported.lose(
            node.origin, f"{key!r} of {section.what}", "there is nothing like it", "see docs/configuration.md"
        )
    section.ignore(*section.names())
