"""Settings that are valid and change nothing, because of what stands beside them: pure decisions over a configuration.

Only what was written is looked at (``model_fields_set``), so that a default never warns. A setting that is switched off
together with its section (``enable: false``) is not reported: that form exists to keep the settings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from gateway_core.config import (
    ConfigModel,
    ConfigProblem,
    GatewayConfig,
    PlaceOf,
    RetriesConfig,
    RouteConfig,
    RouteTimeoutsConfig,
    TimeoutsConfig,
    UpstreamConfig,
)
from gateway_core.config.words import quote
from gateway_core.routing import RuleError
from gateway_core.snapshot.priorities import idle_priorities
from gateway_core.snapshot.rules import pattern_of, rewrite_of

Found = Iterator[tuple[str, str]]
"""Key paths below what is looked at, and messages."""

_BUILT_IN: Final = frozenset({"round-robin", "weighted-round-robin", "random", "least-requests", "consistent-hash"})


def check_effects(config: GatewayConfig, place_of: PlaceOf) -> Iterator[ConfigProblem]:
    """Warn of settings without effect."""
    upstreams = {upstream.name: upstream for upstream in config.upstreams}
    found = [*_process(config), *idle_priorities(config)]
    for index, upstream in enumerate(config.upstreams):
        found += [(f"upstreams[{index}]{key}", message) for key, message in _upstream(upstream)]
    for index, route in enumerate(config.routes):
        used = [upstreams[name] for name in _targets(route) if name in upstreams]
        found += [(f"routes[{index}]{key}", message) for key, message in _route(route, used)]
    for key_path, message in found:
        yield ConfigProblem(place_of(key_path), key_path, message, code="setting.no-effect", severity="warning")


def _written(model: ConfigModel | None, *names: str) -> list[str]:
    return [] if model is None else [name for name in names if name in model.model_fields_set]


def _no_effect(prefix: str, names: Sequence[str], why: str) -> Found:
    for name in names:
        yield f"{prefix}.{name}", f"{name} has no effect: {why}"


# --- the process -----------------------------------------------------------------------------------------------------


def _process(config: GatewayConfig) -> Found:
    limits = config.limits
    if limits.max_connections and limits.max_connections < limits.max_connections_per_client:
        yield (
            "limits.max_connections_per_client",
            f"{limits.max_connections_per_client} is never reached: max_connections is {limits.max_connections}",
        )
    if config.server_timing and config.admin is None and not config.trusted_proxies:
        why = "nothing shows the times: add admin, or trusted_proxies whose requests may ask for them"
        yield "server_timing", f"server_timing has no effect: {why}"
    for index, listen in enumerate(config.listen):
        where = f"listen[{index}]"
        tls = listen.tls
        if tls is not None and tls.client_ca and tls.client_auth == "none":
            why = "client_auth is none, so no client is asked for a certificate: remove one of them"
            yield from _no_effect(f"{where}.tls", ["client_ca"], why)
        if tls is not None and tls.ciphers and tls.min_version == "1.3":
            yield from _no_effect(f"{where}.tls", ["ciphers"], "it is about TLS 1.2, and min_version is 1.3")


# --- upstreams -------------------------------------------------------------------------------------------------------


def _upstream(upstream: UpstreamConfig) -> Found:
    for part in _OF_UPSTREAMS:
        yield from part(upstream)
    if upstream.retries is not None:
        yield from _retries(upstream.retries)
    yield from _timeouts(upstream.timeouts, upstream.timeouts.total)


def _is_alone(upstream: UpstreamConfig) -> bool:
    return upstream.discovery is None and len(upstream.endpoints) == 1


def _strategy(upstream: UpstreamConfig) -> Found:
    strategy = upstream.strategy
    if upstream.strategy_options and strategy in _BUILT_IN:
        why = f"{quote(strategy)} has no options, only strategies of extensions have"
        yield from _no_effect("", ["strategy_options"], why)
    weights = {endpoint.weight for endpoint in upstream.endpoints if endpoint.weight}
    for index, endpoint in enumerate(upstream.endpoints):
        if not _written(endpoint, "weight") or not endpoint.weight:
            continue
        if _is_alone(upstream):
            yield from _no_effect(f".endpoints[{index}]", ["weight"], "there is no other endpoint")
        elif strategy == "round-robin" and len(weights) > 1 and endpoint.weight != 1:
            why = 'the strategy "round-robin" ignores weights: write weighted-round-robin, or remove the strategy'
            yield from _no_effect(f".endpoints[{index}]", ["weight"], why)


def _endpoints(upstream: UpstreamConfig) -> Found:
    if _is_alone(upstream):
        kept = [name for name in ("hash_on", "sticky_cookie") if getattr(upstream, name)]
        yield from _no_effect("", kept, "there is no other endpoint than the one that is kept")
    is_used = any(endpoint.weight and endpoint.status == "up" for endpoint in upstream.endpoints)
    if upstream.discovery is None and not is_used:
        yield ".endpoints", "no endpoint gets requests: each has weight 0 or is not up"
    if upstream.panic_threshold and not _finds_ill(upstream):
        why = "endpoints are never ill without health_check or outlier_detection: add one of them"
        yield from _no_effect("", ["panic_threshold"], why)


def _finds_ill(upstream: UpstreamConfig) -> bool:
    return any(part is not None and part.enable for part in (upstream.health_check, upstream.outlier_detection))


def _health(upstream: UpstreamConfig) -> Found:
    check, outliers = upstream.health_check, upstream.outlier_detection
    if check is not None and check.type == "tcp":
        http_only = _written(check, "path", "method", "host", "headers", "expected_statuses")
        yield from _no_effect(".health_check", http_only, "a check of type tcp only connects: write type: http")
    if outliers is None or not outliers.enable:
        return
    if not outliers.consecutive_failures and not outliers.consecutive_5xx:
        why = "consecutive_failures and consecutive_5xx are 0, so no request counts"
        yield from _no_effect("", ["outlier_detection"], why)
    elif not outliers.max_ejection_percent:
        yield from _no_effect("", ["outlier_detection"], "max_ejection_percent is 0, so no endpoint is taken out")
    elif _is_alone(upstream) and outliers.max_ejection_percent < 100:
        yield from _no_effect("", ["outlier_detection"], "the only endpoint is never taken out")


def _limits(upstream: UpstreamConfig) -> Found:
    limits = upstream.limits
    most, each = limits.max_connections, limits.max_connections_per_endpoint
    if not most and not each:
        waiting = _written(limits, "max_pending", "max_pending_per_endpoint", "pending_timeout")
        yield from _no_effect(".limits", waiting, "requests wait only where max_connections limits them")
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
        kept = _written(upstream.keepalive, "idle_timeout", "max_requests")
        yield from _no_effect(".keepalive", kept, "max_idle is 0, so no connection is kept")
    discovery = upstream.discovery
    checks_tls = upstream.health_check is not None and upstream.health_check.type == "https"
    may_be_https = any(endpoint.origin.scheme == "https" for endpoint in upstream.endpoints) or checks_tls
    if discovery is not None:
        may_be_https = may_be_https or discovery.name != "dns" or discovery.config.get("scheme") == "https"
        if discovery.name == "dns" and discovery.config.get("record") == "srv" and "port" in discovery.config:
            yield from _no_effect(".discovery.config", ["port"], "SRV records bring their own")
    if upstream.tls.model_fields_set and not may_be_https:
        yield from _no_effect("", ["tls"], "no endpoint has an https URL")
    elif upstream.tls.ca and not upstream.tls.verify:
        yield from _no_effect(".tls", ["ca"], "verify is false, so no certificate is checked")


_OF_UPSTREAMS: Final[tuple[Callable[[UpstreamConfig], Found], ...]] = (
    _strategy,
    _endpoints,
    _health,
    _limits,
    _connections,
)


def _retries(retries: RetriesConfig, *, replaces: bool = False) -> Found:
    rest = _written(retries, *sorted(RetriesConfig.model_fields.keys() - {"attempts"}))
    nothing = [name for name in ("attempts", "on", "methods") if not getattr(retries, name)]
    if nothing and (rest or not replaces):
        yield ".retries", f"retries has no effect: {nothing[0]} is {'0' if nothing[0] == 'attempts' else 'empty'}"
    elif not nothing and not retries.budget_percent and not retries.budget_minimum:
        yield ".retries", "retries has no effect: budget_percent and budget_minimum are 0"
    elif retries.attempts == 1:
        # The first pause is backoff_base at most.
        yield from _no_effect(".retries", _written(retries, "backoff_max"), "the pause grows only with a second retry")
    elif not retries.backoff_base:
        yield from _no_effect(".retries", _written(retries, "backoff_max"), "backoff_base is 0, and stays so")


def _timeouts(timeouts: TimeoutsConfig | RouteTimeoutsConfig, total: float | None) -> Found:
    for name in _written(timeouts, "connect", "response", "idle"):
        value = getattr(timeouts, name)
        if total and value is not None and value >= total:
            yield f".timeouts.{name}", f"{value:g}s is never reached: total is {total:g}s"


# --- routes ----------------------------------------------------------------------------------------------------------


def _targets(route: RouteConfig) -> list[str]:
    named = [item.target for item in route.targets]
    return named if route.target is None else [route.target, *named]


def _route(route: RouteConfig, upstreams: Sequence[UpstreamConfig]) -> Found:
    yield from _path(route)
    if route.redirect is not None:
        sent = ("preserve_host", "timeouts", "retries", "max_body_bytes", "rewrite")
        written = [name for name in _written(route, *sent) if getattr(route, name)]
        yield from _no_effect("", written, "the route redirects, and sends nothing upstream")
        return
    for index, mirror in enumerate(route.mirror):
        if not mirror.percent:
            where = "mirror" if len(route.mirror) == 1 else f"mirror[{index}]"
            yield f".{where}", "mirror has no effect: percent is 0"
    if len(route.targets) == 1:
        yield from _no_effect(".targets[0]", _written(route.targets[0], "weight"), "there is no other target")
    if route.retries is not None:
        replaces = any(upstream.retries is not None for upstream in upstreams)
        yield from _retries(route.retries, replaces=replaces)
    if route.timeouts is not None:
        total = route.timeouts.total
        if total is None and len(upstreams) == 1:
            total = upstreams[0].timeouts.total
        yield from _timeouts(route.timeouts, total)


def _path(route: RouteConfig) -> Found:
    try:
        pattern = pattern_of(route)
        changes = rewrite_of(route, pattern) is not None
    except RuleError:
        return  # An error of its own.
    if route.strip_path and not changes:
        yield from _no_effect("", ["strip_path"], "the path has no literal part before its first parameter")
    rewrite = route.rewrite
    if rewrite is None:
        return
    prefix = "/" + "/".join([segment.text for segment in pattern.segments[: pattern.literal_count]])
    written = route.path or route.path_prefix
    if rewrite.prefix is not None and rewrite.prefix.rstrip("/") == prefix.rstrip("/"):
        yield from _no_effect("", ["rewrite"], "it puts the same prefix in its place")
    elif rewrite.template is not None and route.path is not None and rewrite.template == written:
        yield from _no_effect("", ["rewrite"], "the template is the path")
