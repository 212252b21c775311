"""Settings that are valid and change nothing, because of what stands beside them: pure decisions over a configuration.

Only what was written is looked at (``model_fields_set``), so that a default never warns. A setting that is switched off
together with its section (``enable: false``) is not reported: that form exists to keep the settings.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from gateway_core.config import (
    ConfigProblem,
    GatewayConfig,
    PlaceOf,
    RouteConfig,
    UpstreamConfig,
)
from gateway_core.config.suggestions import quote
from gateway_core.snapshot.route import targets_of
from gateway_core.snapshot.route_effects import (
    Found,
    conditions_without_effect,
    hash_sources_without_effect,
    idle_priorities,
    no_effect,
    params_of,
    retries_without_effect,
    route_effects,
    stripped_fields,
    timeouts_without_effect,
    written,
)

_BUILT_IN: Final = frozenset({"round-robin", "weighted-round-robin", "random", "least-requests", "consistent-hash"})
_PLAIN_ROUTE: Final = frozenset({"id", "description", "path", "path_prefix", "methods", "hosts", "target"})
_PLAIN_UPSTREAM: Final = frozenset({"name", "endpoints"})
_PLAIN_ENDPOINT: Final = frozenset({"id", "url"})
"""Keys that have an effect whatever stands beside them: most routes and upstreams of a large configuration have only
these, and are not looked at."""

_IGNORE_WEIGHTS: Final = frozenset({"round-robin", "consistent-hash"})


def check_effects(config: GatewayConfig, place_of: PlaceOf) -> Iterator[ConfigProblem]:
    """Warn of settings without effect."""
    upstreams = {upstream.name: upstream for upstream in config.upstreams}
    found = list(_process(config))
    if any(route.priority for route in config.routes):
        found += idle_priorities(config)
    for index, upstream in enumerate(config.upstreams):
        if _is_plain(upstream):
            continue
        found += [(f"upstreams[{index}]{key}", message) for key, message in _upstream(upstream)]
        if upstream.hash_on:
            routes = [route for route in config.routes if upstream.name in targets_of(route)]
            hashed = hash_sources_without_effect(upstream.hash_on, _params_of(routes), stripped_fields(config, routes))
            found += [(f"upstreams[{index}]{key}", message) for key, message in hashed]
    for index, route in enumerate(config.routes):
        if route.model_fields_set <= _PLAIN_ROUTE:
            continue
        stripped = stripped_fields(config, [route]) if route.hash_on else ()
        found += [(f"routes[{index}]{key}", text) for key, text in conditions_without_effect(config, route)]
        used = [upstreams[name] for name in targets_of(route) if name in upstreams]
        found += [
            (f"routes[{index}]{key}", message) for key, message in route_effects(route, used, config.limits, stripped)
        ]
    for key_path, message in found:
        yield ConfigProblem(place_of(key_path), key_path, message, code="setting.no-effect", severity="warning")


# --- the process -----------------------------------------------------------------------------------------------------


def _process(config: GatewayConfig) -> Found:
    limits = config.limits
    if limits.max_connections and limits.max_connections < limits.max_connections_per_client:
        yield (
            "limits.max_connections_per_client",
            f"{limits.max_connections_per_client} is never reached: max_connections is {limits.max_connections}",
        )
    yield from _listeners(config)
    for index, listen in enumerate(config.listen):
        where = f"listen[{index}]"
        tls = listen.tls
        if tls is not None and tls.client_ca and tls.client_auth == "none":
            why = "client_auth is none, so no client certificate is requested: remove one of them"
            yield from no_effect(f"{where}.tls", ["client_ca"], why)
        if tls is not None and tls.ciphers and tls.min_version == "1.3":
            yield from no_effect(f"{where}.tls", ["ciphers"], "it is about TLS 1.2, and min_version is 1.3")


def _listeners(config: GatewayConfig) -> Found:
    addresses = Counter(listen.address for listen in config.listen)
    named = {name for route in config.routes for name in route.listeners}
    for index, listen in enumerate(config.listen):
        where = f"listen[{index}]"
        # An extension may take the names of certificates from hosts.
        is_read = listen.tls is not None and any(each.name is not None for each in listen.tls.certificates)
        if listen.hosts and addresses[listen.address] == 1 and not is_read:
            why = "a listener that is alone at its address serves every host, write hosts on routes"
            yield from no_effect(where, ["hosts"], why)
        if not listen.default and listen.name not in named:
            why = f"default is false, and no route names it: write listeners: [{listen.name}] on a route"
            yield where, f"the listener serves nothing: {why}"


# --- upstreams -------------------------------------------------------------------------------------------------------


def _is_plain(upstream: UpstreamConfig) -> bool:
    return (
        upstream.model_fields_set <= _PLAIN_UPSTREAM
        and bool(upstream.endpoints)
        and all(endpoint.model_fields_set <= _PLAIN_ENDPOINT for endpoint in upstream.endpoints)
    )


def _upstream(upstream: UpstreamConfig) -> Found:
    for part in _OF_UPSTREAMS:
        yield from part(upstream)
    if upstream.retries is not None:
        yield from retries_without_effect(upstream.retries)
    yield from timeouts_without_effect(upstream.timeouts, upstream.timeouts.total)


def _params_of(routes: Iterable[RouteConfig]) -> set[str] | None:
    """Return what the paths of an upstream's routes capture; None if there are no routes, or that is not known."""
    captured = [params_of(route) for route in routes]
    return None if not captured or None in captured else {name for names in captured for name in names or ()}


def _is_alone(upstream: UpstreamConfig) -> bool:
    return upstream.discovery is None and len(upstream.endpoints) == 1


def _strategy(upstream: UpstreamConfig) -> Found:
    strategy = upstream.strategy
    if upstream.strategy_options and strategy in _BUILT_IN:
        why = f"{quote(strategy)} has no options, only strategies of extensions have"
        yield from no_effect("", ["strategy_options"], why)
    weights = {endpoint.weight for endpoint in upstream.endpoints if endpoint.weight}
    for index, endpoint in enumerate(upstream.endpoints):
        if not written(endpoint, "weight") or not endpoint.weight:
            continue
        if _is_alone(upstream):
            yield from no_effect(f".endpoints[{index}]", ["weight"], "there is no other endpoint")
        elif strategy == "round-robin" and len(weights) > 1 and endpoint.weight != 1:
            why = 'the strategy "round-robin" ignores weights: write weighted-round-robin, or remove the strategy'
            yield from no_effect(f".endpoints[{index}]", ["weight"], why)


def _endpoints(upstream: UpstreamConfig) -> Found:
    if _is_alone(upstream):
        kept = [name for name in ("hash_on", "sticky_cookie") if getattr(upstream, name)]
        yield from no_effect("", kept, "there is no other endpoint than the one that is kept")
    is_used = any(endpoint.weight and endpoint.status == "up" for endpoint in upstream.endpoints)
    if upstream.discovery is None and not is_used:
        yield ".endpoints", "no endpoint gets requests: each has weight 0 or is not up"
    if upstream.panic_threshold and not _finds_ill(upstream):
        why = "endpoints are never unhealthy without health_check or outlier_detection: add one of them"
        yield from no_effect("", ["panic_threshold"], why)
    elif upstream.panic_threshold and not upstream.panic:
        yield from no_effect("", ["panic_threshold"], "panic is false")
    if not upstream.panic and not _finds_ill(upstream):
        why = "endpoints are never unhealthy without health_check or outlier_detection: add one of them"
        yield from no_effect("", ["panic"], why)
    if upstream.slow_start and _is_alone(upstream):
        yield from no_effect("", ["slow_start"], "there is no other endpoint to take the rest")
    elif upstream.slow_start and upstream.strategy in _IGNORE_WEIGHTS:
        why = f"the strategy {quote(upstream.strategy)} does not follow weights that change"
        yield from no_effect("", ["slow_start"], why)


def _unix_sockets(upstream: UpstreamConfig) -> Found:
    """Find what is of addresses where every endpoint is a unix socket."""
    if upstream.discovery is not None or not all(endpoint.origin.is_unix for endpoint in upstream.endpoints):
        return
    yield from no_effect("", written(upstream, "preserve_host"), "unix sockets get the client's Host in any case")
    if upstream.health_check is not None and upstream.health_check.port:
        yield from no_effect(".health_check", ["port"], "unix sockets have no port")


def _finds_ill(upstream: UpstreamConfig) -> bool:
    return any(part is not None and part.enable for part in (upstream.health_check, upstream.outlier_detection))


def _health(upstream: UpstreamConfig) -> Found:
    check, outliers = upstream.health_check, upstream.outlier_detection
    if check is not None and check.type == "tcp":
        http_only = written(check, "path", "method", "host", "headers", "expected_statuses")
        yield from no_effect(".health_check", http_only, "a check of type tcp only connects: write type: http")
    if check is not None and check.type == "grpc":
        http_only = written(check, "path", "method", "expected_statuses")
        yield from no_effect(".health_check", http_only, "a check of type grpc calls grpc.health.v1.Health/Check")
    elif check is not None:
        yield from no_effect(".health_check", written(check, "service"), "only a check of type grpc has a service")
    if outliers is None or not outliers.enable:
        return
    if not outliers.consecutive_failures and not outliers.consecutive_5xx:
        why = "consecutive_failures and consecutive_5xx are 0, so no request counts"
        yield from no_effect("", ["outlier_detection"], why)
    elif not outliers.max_ejection_percent:
        yield from no_effect("", ["outlier_detection"], "max_ejection_percent is 0, so no endpoint is taken out")
    elif _is_alone(upstream) and outliers.max_ejection_percent < 100:
        yield from no_effect("", ["outlier_detection"], "the only endpoint is never taken out")


def _limits(upstream: UpstreamConfig) -> Found:
    limits = upstream.limits
    most, each = limits.max_connections, limits.max_connections_per_endpoint
    if not most and not each:
        waiting = written(limits, "max_pending", "max_pending_per_endpoint", "pending_timeout")
        yield from no_effect(".limits", waiting, "requests wait only where max_connections limits them")
        return
    for total, part in (
        ("max_connections", "max_connections_per_endpoint"),
        ("max_pending", "max_pending_per_endpoint"),
    ):
        if 0 < getattr(limits, total) < getattr(limits, part):
            yield f".limits.{part}", f"{getattr(limits, part)} is never reached: {total} is {getattr(limits, total)}"
    number = len(upstream.endpoints)
    if upstream.discovery is None and 0 < each * number < most:
        why = f"{number} endpoints with max_connections_per_endpoint: {each} have {each * number} at most"
        yield ".limits.max_connections", f"{most} is never reached: {why}"


def _connections(upstream: UpstreamConfig) -> Found:
    if not upstream.keepalive.max_idle:
        kept = written(upstream.keepalive, "idle_timeout", "max_age", "max_requests")
        yield from no_effect(".keepalive", kept, "max_idle is 0, so no connection is kept")
    discovery = upstream.discovery
    checks_tls = upstream.health_check is not None and upstream.health_check.type == "https"
    may_be_https = any(endpoint.origin.scheme == "https" for endpoint in upstream.endpoints) or checks_tls
    if discovery is not None:
        may_be_https = may_be_https or discovery.name != "dns" or discovery.config.get("scheme") == "https"
        if discovery.name == "dns" and discovery.config.get("record") == "srv" and "port" in discovery.config:
            yield from no_effect(".discovery.config", ["port"], "SRV records bring their own")
    if upstream.tls.model_fields_set and not may_be_https:
        yield from no_effect("", ["tls"], "no endpoint has an https URL")
    elif not upstream.tls.verify:
        checks = [name for name in ("ca", "sans") if getattr(upstream.tls, name)]
        yield from no_effect(".tls", checks, "verify is false, so no certificate is checked")


_OF_UPSTREAMS: Final[tuple[Callable[[UpstreamConfig], Found], ...]] = (
    _strategy,
    _endpoints,
    _health,
    _limits,
    _connections,
    _unix_sockets,
)
