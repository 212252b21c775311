"""Which route a request takes, by a configuration: what `gateway match` shows, of files or of a running gateway.

It reads paths, chooses listeners and matches by the very code that requests run through. Nothing is started and nothing
is sent; hooks that rewrite requests or choose routes are not run.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from gateway_core.admin.route_view import bindings_of, chain_of, path_text, target_text
from gateway_core.config import GatewayConfig, ListenConfig, LoadedConfig, RewriteConfig, RouteConfig, is_url
from gateway_core.config.address import target_name
from gateway_core.errors import BadPathError, TextTooLongError
from gateway_core.messages.addresses import canonical_address
from gateway_core.proxy.wire.field_names import is_removed
from gateway_core.routing import (
    HttpsRedirect,
    ListenerTable,
    Match,
    MethodNotAllowed,
    PathPolicy,
    Refusal,
    RouteRule,
    UnsafePathError,
    explain,
    path_problem,
    rule_pattern,
)
from gateway_core.snapshot import Trust
from gateway_core.snapshot.listeners import ListenerRoutes, document_trust, listener_tables, listener_trust
from gateway_core.snapshot.route import arrival_policy_of, request_rewrite, route_rules, sent_path_of

_ABSOLUTE: Final = re.compile(r"\A[A-Za-z][A-Za-z0-9+.-]*://")
"""What a URL with a host begins with; a path or a query may have ``://`` in it."""


@dataclass(frozen=True, slots=True)
class MatchRequest:
    """A request as far as matching needs it."""

    method: str
    host: str
    path: str
    query: str
    headers: Mapping[str, Sequence[str]]
    """All values, by lower-cased name."""
    has_empty_query: bool = False
    """Whether there is a ``?`` with nothing behind it, which goes upstream as it came."""
    client_ip: str = "127.0.0.1"
    scheme: str = ""
    """As the client sees it; that of the listener unless the URL has one."""

    def at(self, listener: ListenConfig) -> MatchRequest:
        """Return the request with the scheme of the listener that it came in at, unless it has one."""
        return self if self.scheme else replace(self, scheme="http" if listener.tls is None else "https")

    def header(self, name: str) -> Sequence[str]:
        """Return the values of a header."""
        return self.headers.get(name, ())

    def without(self, is_removed: Callable[[str], bool]) -> MatchRequest:
        """Return the request without some headers."""
        if not any(map(is_removed, self.headers)):
            return self
        kept = {name: values for name, values in self.headers.items() if not is_removed(name)}
        return replace(self, headers=kept)

    @classmethod
    def of(cls, method: str, url: str, headers: Iterable[tuple[str, str]]) -> MatchRequest:
        """Take a URL apart byte for byte; one without a host takes the Host header's.

        :raises ValueError: it is no URL.
        """
        rest = url.split("#", 1)[0]
        named: dict[str, list[str]] = {}
        for name, value in headers:
            named.setdefault(name.lower(), []).append(value)
        host, scheme = named.get("host", [""])[0], ""
        if _ABSOLUTE.match(rest):
            scheme = rest.partition(":")[0].lower()
            authority, slash, path = rest.split("://", 1)[1].partition("/")
            if "?" in authority:
                authority, _, query = authority.partition("?")
                slash, path = "/", f"?{query}"
            host, rest = host or authority.rpartition("@")[2], (slash or "/") + path
        elif not rest.startswith("/"):
            raise ValueError(f"{url!r} is not a URL: write http://host/path or /path")
        target, mark, query = rest.partition("?")
        return cls(method, host, target, query, named, has_empty_query=bool(mark) and not query, scheme=scheme)

    @classmethod
    def from_json(cls, entry: Any) -> MatchRequest:
        """Read ``{"method": "GET", "url": "http://host/path", "headers": {"x-a": "1", "x-b": ["2", "3"]}}``.

        There may be ``client``, the client's address, as well.

        :raises ValueError: it is no such thing.
        """
        try:
            written = (entry.get("headers") or {}).items()
            # A list stands for several fields of one name.
            fields = [(str(name), value if isinstance(value, list) else [value]) for name, value in written]
            method, url = str(entry.get("method", "GET")), str(entry["url"])
        except (KeyError, TypeError, AttributeError):
            raise ValueError('not a request: write {"method": "GET", "url": "http://host/path"}') from None
        request = cls.of(method, url, [(name, str(each)) for name, values in fields for each in values])
        client = entry.get("client")
        return request if client is None else replace(request, client_ip=canonical_address(str(client)) or str(client))


@dataclass(frozen=True, slots=True)
class MatchTable:
    """The routes of a configuration, ready to be matched."""

    config: GatewayConfig
    rules: tuple[RouteRule[RouteConfig], ...]
    tables: ListenerRoutes[RouteConfig]
    listeners: ListenerTable[ListenConfig]
    """Those of the address that requests come in at."""
    policy: PathPolicy
    """What is refused before a route is known."""
    trusts: tuple[Trust, ...]
    """What each listener believes."""

    @classmethod
    def of(cls, config: GatewayConfig, listener: str | None = None) -> MatchTable:
        """Build the table.

        :param listener: name or address of where requests come in; the first one unless given.
        :raises ValueError: there is no such listener.
        """
        named = [each.address for each in config.listen if listener in {None, each.name, each.address}]
        if not named:
            known = ", ".join(each.name or each.address for each in config.listen)
            raise ValueError(f"there is no listener {listener!r}: there are {known}")
        document = document_trust(config)
        trusts = tuple(listener_trust(config, listener, document) for listener in config.listen)
        rules = tuple(
            rule
            for index, route in enumerate(config.routes)
            if route.enabled
            for rule in route_rules(route, index, route, config.path_policy)
        )
        tables: ListenerRoutes[RouteConfig] = ListenerRoutes(config.listen, config.routes)
        for rule in rules:
            tables.add(rule.payload, rule)
        listeners = listener_tables(config.listen, lambda each: each)[named[0]]
        return cls(config, rules, tables, listeners, arrival_policy_of(config), trusts)

    @property
    def _upstreams(self) -> frozenset[str]:
        return frozenset(each.name for each in self.config.upstreams)

    def _listener(self, host: str) -> ListenConfig | Refusal:
        began = self.listeners.for_server_name(host)
        return Refusal.NO_LISTENER if began is None else self.listeners.for_host(host, began.client_auth)

    def _is_removed(self, name: str) -> bool:
        return is_removed(name, self.trusts)

    def match(self, request: MatchRequest) -> dict[str, Any]:
        """Return route, parameters, target and upstream path of a request; nulls if no route takes it."""
        request = request.without(self._is_removed)
        listener = self._listener(request.host)
        if isinstance(listener, Refusal):
            return dict(_NOTHING)
        try:
            path, flags = self.policy.read(request.path)
        except BadPathError:
            return dict(_NOTHING)
        request, router = request.at(listener), self.tables.router_for(listener)
        try:
            found = router.match(request.method, request.host, path, request.query, request.header, request)
            problem = path_problem(
                router, found, request.method, request.host, request.path, flags, request.query, request.header, request
            )
        except TextTooLongError:
            return dict(_NOTHING)
        return (
            _described(found, request, self._upstreams)
            if isinstance(found, Match) and problem is None
            else dict(_NOTHING)
        )

    def explain(self, request: MatchRequest) -> dict[str, Any]:
        """Return what `match` does, the effective chain, and why the nearest other routes lost."""
        request = request.without(self._is_removed)
        listener = self._listener(request.host)
        if isinstance(listener, Refusal):
            reason = "no listener of the address serves this host"
            return {**_NOTHING, "status": listener.value, "reason": reason, "losers": []}
        request, view = request.at(listener), self.tables.view_of(listener)
        explained = explain(
            [rule for rule in self.rules if view in self.tables.views_of(rule.payload)],
            request.method,
            request.host,
            request.path,
            request.query,
            request.header,
            router=self.tables.router_for(listener),
            policy=self.policy,
            client=request,
        )
        outcome = explained.outcome
        result = dict(_NOTHING)
        if isinstance(outcome, Match):
            route = outcome.payload
            result = _described(outcome, request, self._upstreams)
            result["chain"] = chain_of(route, self.config)
        else:
            result["status"], result["reason"] = _refusal(outcome)
        result["losers"] = [
            {"route": loser.rule.id, "pattern": path_text(loser.rule.payload), "reasons": list(loser.reasons)}
            for loser in explained.losers
        ]
        return result


_NOTHING: Mapping[str, Any] = {"route": None, "params": {}, "target": None, "path": None}


def _described(found: Match[RouteConfig], request: MatchRequest, upstreams: Collection[str]) -> dict[str, Any]:
    route = found.payload
    params = dict(found.params)
    result = {"route": route.id, "params": params, "target": _target(found, request, upstreams), "path": None}
    if route.sends_upstream:
        result["path"] = _upstream_path(found, request)
    return result


def _target(found: Match[RouteConfig], request: MatchRequest, upstreams: Collection[str]) -> Any:
    """Return where a request goes; nothing if its target names an upstream that there is not."""
    route = found.payload
    if route.target is not None and route.target not in upstreams and not is_url(route.target):
        named = target_name(route.target)
        chosen = None if named is None else named.for_params(found.params)
        return chosen if chosen in upstreams else None
    if not route.targets:
        return route.target if route.target is not None else target_text(route)
    targets = []
    for item in route.targets:
        target: dict[str, Any] = {"target": item.target, "weight": item.weight}
        if item.backup:
            target["backup"] = True
        if item.rewrite is not None:
            target["path"] = _upstream_path(found, request, item.rewrite)
        targets.append(target)
    return targets


def _upstream_path(found: Match[RouteConfig], request: MatchRequest, own: RewriteConfig | None = None) -> str | None:
    """Return the path and query that go upstream; ``own`` is the rewrite of a target."""
    policy = found.rule.policy
    rewrite = request_rewrite(found.payload, own, rule_pattern(found.rule))
    sent = sent_path_of(rewrite.path, policy)
    try:
        path = sent(found.params, request.path)
    except UnsafePathError:
        return None
    query = request.query if rewrite.query is None else rewrite.query.apply(request.query, found.params)
    return f"{path}?{query}" if query or (request.has_empty_query and not request.query) else path


def _refusal(outcome: object) -> tuple[int, str]:
    if isinstance(outcome, str):
        return 400, outcome
    if isinstance(outcome, TextTooLongError):
        return outcome.status, str(outcome)
    if isinstance(outcome, MethodNotAllowed):
        return 405, f"routes for this path take {', '.join(outcome.allow)}"
    if isinstance(outcome, HttpsRedirect):
        return outcome.status, "https_redirect of the listener"
    return 404, "no route takes this request"


def explain_request(loaded: LoadedConfig, entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return the route that takes a request, its bindings with their places, and why others lost; ready for JSON.

    :param entry: what `MatchRequest.from_json` reads, and perhaps ``listener``, the name or address of one.
    :raises ValueError: it is no request, or there is no such listener.
    """
    request, listener = MatchRequest.from_json(entry), entry.get("listener")
    result = MatchTable.of(loaded.config, None if listener is None else str(listener)).explain(request)
    if result["route"] is not None:
        result["bindings"] = bindings_of(result["route"], loaded)
    return result
