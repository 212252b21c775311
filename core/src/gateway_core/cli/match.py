"""``gateway match``."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, TextIO

import click

from gateway_core.cli.chain_view import bindings_of, chain_lines
from gateway_core.cli.options import PROBLEMS, config_option, echo, json_option, print_json
from gateway_core.cli.reporting import load_or_exit
from gateway_core.cli.routes import chain_of, path_text, target_text
from gateway_core.config import GatewayConfig, ListenConfig, RewriteConfig, RouteConfig
from gateway_core.config.sources import ConfigRoot
from gateway_core.errors import BadPathError, TextTooLongError
from gateway_core.packages import PluginRegistry
from gateway_core.proxy.wire.field_names import is_removed
from gateway_core.routing import (
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
from gateway_core.snapshot.listeners import ListenerRoutes, listener_tables
from gateway_core.snapshot.request_rewrite import request_rewrite
from gateway_core.snapshot.rules import arrival_policy_of, route_rule, sent_path_of
from gateway_core.snapshot.trust import document_trust, listener_trust


@click.command("match", short_help="Show which route a request would take, and why.")
@click.argument("method", required=False)
@click.argument("url", required=False)
@config_option
@click.option(
    "--listener",
    metavar="NAME",
    help="Listener that the request comes in at, by its name or address; the first one unless given.",
)
@click.option("-H", "--header", "headers", multiple=True, metavar="NAME:VALUE", help="Header of the request.")
@click.option(
    "--requests",
    type=click.File("r", encoding="utf-8"),
    help='Requests as lines of JSON: {"method": "GET", "url": "http://host/path?q", "headers": {...}}; - is stdin.',
)
@json_option
def command(
    method: str | None,
    url: str | None,
    roots: tuple[ConfigRoot, ...],
    listener: str | None,
    headers: tuple[str, ...],
    requests: TextIO | None,
    *,
    as_json: bool,
) -> None:
    """Show the route that takes METHOD URL, its parameters, what its upstream gets, and why others lost.

    Every binding of its chain is listed with its place, and with the reason if it is off.

    Where listeners share an address, the host decides among them; TLS is taken to begin for that host.

    Fields of strip_headers are left out, and those that only trusted proxies may send unless some peer is trusted.

    Nothing is started and nothing is sent. Hooks that rewrite requests or choose routes are not run.

    Exit status: 1 if no route takes the request (with --requests always 0).
    """
    if (requests is None) is (method is None or url is None):
        raise click.UsageError("give METHOD and URL, or --requests FILE")
    loaded = load_or_exit(roots, PluginRegistry(), as_json=as_json)
    table = Table.of(loaded.config, listener)
    if requests is not None:
        for number, line in enumerate(requests, 1):
            if line.strip():
                echo(json.dumps(table.answer(_read_request(line, number))))  # ASCII: one line, whatever splits it
        return
    assert method is not None
    assert url is not None
    asked = Asked.of(method, url, _read_headers(headers))
    told = table.explain(asked)
    if told["route"] is not None:
        told["bindings"] = bindings_of(told["route"], loaded)
    if as_json:
        print_json(told)
    else:
        echo(_for_people(told))
    if told["route"] is None:
        raise SystemExit(PROBLEMS)


_ABSOLUTE: Final = re.compile(r"\A[A-Za-z][A-Za-z0-9+.-]*://")
"""What a URL with a host begins with; a path or a query may have ``://`` in it."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as far as matching needs it."""

    method: str
    host: str
    path: str
    query: str
    headers: Mapping[str, Sequence[str]]
    """All values, by lower-cased name."""
    has_empty_query: bool = False
    """Whether there is a ``?`` with nothing behind it, which goes upstream as it came."""

    def header(self, name: str) -> Sequence[str]:
        """Return the values of a header."""
        return self.headers.get(name, ())

    def without(self, is_removed: Callable[[str], bool]) -> Asked:
        """Return the request without some headers."""
        if not any(map(is_removed, self.headers)):
            return self
        kept = {name: values for name, values in self.headers.items() if not is_removed(name)}
        return replace(self, headers=kept)

    @classmethod
    def of(cls, method: str, url: str, headers: Iterable[tuple[str, str]]) -> Asked:
        """Take a URL apart byte for byte; one without a host takes the Host header's."""
        rest = url.split("#", 1)[0]
        named: dict[str, list[str]] = {}
        for name, value in headers:
            named.setdefault(name.lower(), []).append(value)
        host = named.get("host", [""])[0]
        if _ABSOLUTE.match(rest):
            authority, slash, path = rest.split("://", 1)[1].partition("/")
            if "?" in authority:
                authority, _, query = authority.partition("?")
                slash, path = "/", f"?{query}"
            host, rest = host or authority.rpartition("@")[2], (slash or "/") + path
        elif not rest.startswith("/"):
            raise click.UsageError(f"{url!r} is not a URL: write http://host/path or /path")
        target, mark, query = rest.partition("?")
        return cls(method, host, target, query, named, has_empty_query=bool(mark) and not query)


def _read_headers(texts: Iterable[str]) -> list[tuple[str, str]]:
    headers = []
    for text in texts:
        name, colon, value = text.partition(":")
        if not colon or not name.strip():
            raise click.UsageError(f"header {text!r} is not NAME:VALUE")
        headers.append((name.strip(), value.strip()))
    return headers


def _listed_headers(written: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the fields of a JSON object, in which a list stands for several fields of one name."""
    return [
        (str(name), str(each))
        for name, value in written.items()
        for each in (value if isinstance(value, list) else [value])
    ]


def _read_request(line: str, number: int) -> Asked:
    try:
        entry = json.loads(line)
        headers = _listed_headers(entry.get("headers") or {})
        method, url = entry.get("method", "GET"), entry["url"]
    except ValueError as error:
        raise click.UsageError(f"line {number} of the requests is not JSON: {error}") from error
    except (KeyError, TypeError, AttributeError) as error:
        raise click.UsageError(
            f'line {number} of the requests is not a request: write {{"method": "GET", "url": "http://host/path"}}'
        ) from error
    try:
        return Asked.of(str(method), str(url), headers)
    except click.UsageError as error:
        raise click.UsageError(f"line {number} of the requests: {error.message}") from error


@dataclass(frozen=True, slots=True)
class Table:
    """A configuration's routes, ready to be asked."""

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
    def of(cls, config: GatewayConfig, listener: str | None = None) -> Table:
        """Build the table.

        :param listener: name or address of where requests come in.
        """
        named = [each.address for each in config.listen if listener in {None, each.name, each.address}]
        if not named:
            raise click.UsageError(f"there is no listener {listener!r}")
        document = document_trust(config)
        trusts = tuple(listener_trust(config, listener, document) for listener in config.listen)
        rules = tuple(route_rule(route, index, route, config.path_policy) for index, route in enumerate(config.routes))
        tables: ListenerRoutes[RouteConfig] = ListenerRoutes(config.listen, config.routes)
        for rule in rules:
            tables.add(rule.payload, rule)
        listeners = listener_tables(config.listen, lambda each: each)[named[0]]
        return cls(config, rules, tables, listeners, arrival_policy_of(config), trusts)

    def _listener(self, host: str) -> ListenConfig | Refusal:
        began = self.listeners.for_server_name(host)
        return Refusal.NO_LISTENER if began is None else self.listeners.for_host(host, began.client_auth)

    def _is_removed(self, name: str) -> bool:
        return is_removed(name, self.trusts)

    def answer(self, asked: Asked) -> dict[str, Any]:
        """Return route, parameters, target and upstream path of a request; nulls if no route takes it."""
        asked = asked.without(self._is_removed)
        listener = self._listener(asked.host)
        if isinstance(listener, Refusal):
            return dict(_NOTHING)
        try:
            path, flags = self.policy.read(asked.path)
        except BadPathError:
            return dict(_NOTHING)
        router = self.tables.router_for(listener)
        try:
            found = router.match(asked.method, asked.host, path, asked.query, asked.header)
            problem = path_problem(
                router, found, asked.method, asked.host, asked.path, flags, asked.query, asked.header
            )
        except TextTooLongError:
            return dict(_NOTHING)
        return _described(found, asked) if isinstance(found, Match) and problem is None else dict(_NOTHING)

    def explain(self, asked: Asked) -> dict[str, Any]:
        """Return what `answer` does, the effective chain, and why the nearest other routes lost."""
        asked = asked.without(self._is_removed)
        listener = self._listener(asked.host)
        if isinstance(listener, Refusal):
            reason = "no listener of the address serves this host"
            return {**_NOTHING, "status": listener.value, "reason": reason, "losers": []}
        view = self.tables.view_of(listener)
        explained = explain(
            [rule for rule in self.rules if view in self.tables.views_of(rule.payload)],
            asked.method,
            asked.host,
            asked.path,
            asked.query,
            asked.header,
            router=self.tables.router_for(listener),
            policy=self.policy,
        )
        outcome = explained.outcome
        told = dict(_NOTHING)
        if isinstance(outcome, Match):
            route = outcome.payload
            told = _described(outcome, asked)
            told["chain"] = chain_of(route, self.config)
        else:
            told["status"], told["reason"] = _refusal(outcome)
        told["losers"] = [
            {"route": loser.rule.id, "pattern": path_text(loser.rule.payload), "reasons": list(loser.reasons)}
            for loser in explained.losers
        ]
        return told


_NOTHING: Mapping[str, Any] = {"route": None, "params": {}, "target": None, "path": None}


def _described(found: Match[RouteConfig], asked: Asked) -> dict[str, Any]:
    route = found.payload
    params = dict(found.params)
    told = {"route": route.id, "params": params, "target": _target(found, asked), "path": None}
    if route.redirect is None:
        told["path"] = _upstream_path(found, asked)
    return told


def _target(found: Match[RouteConfig], asked: Asked) -> Any:
    route = found.payload
    if not route.targets:
        return route.target if route.redirect is None else target_text(route)
    targets = []
    for item in route.targets:
        target: dict[str, Any] = {"target": item.target, "weight": item.weight}
        if item.backup:
            target["backup"] = True
        if item.rewrite is not None:
            target["path"] = _upstream_path(found, asked, item.rewrite)
        targets.append(target)
    return targets


def _upstream_path(found: Match[RouteConfig], asked: Asked, own: RewriteConfig | None = None) -> str | None:
    """Return the path and query that go upstream; ``own`` is the rewrite of a target."""
    policy = found.rule.policy
    rewrite = request_rewrite(found.payload, own, rule_pattern(found.rule))
    sent = sent_path_of(rewrite.path, policy)
    try:
        path = sent(found.params, asked.path)
    except UnsafePathError:
        return None
    query = asked.query if rewrite.query is None else rewrite.query.apply(asked.query)
    return f"{path}?{query}" if query or (asked.has_empty_query and not asked.query) else path


def _refusal(outcome: object) -> tuple[int, str]:
    if isinstance(outcome, str):
        return 400, outcome
    if isinstance(outcome, TextTooLongError):
        return outcome.status, str(outcome)
    if isinstance(outcome, MethodNotAllowed):
        return 405, f"routes for this path take {', '.join(outcome.allow)}"
    return 404, "no route takes this request"


def _for_people(told: Mapping[str, Any]) -> str:
    if told["route"] is None:
        lines = [f"no route: {told['status']}, {told['reason']}"]
    else:
        params = ", ".join(f"{name}={value!r}" for name, value in told["params"].items())
        lines = [
            f"route    {told['route']}",
            f"params   {params or '-'}",
            f"target   {told['target']}",
            f"path     {told['path'] or '-'}",
            f"chain    {' > '.join(told['chain']) or '-'}",
            *chain_lines(told["bindings"]),
        ]
    if told["losers"]:
        lines.append("nearest others:")
        lines += [f"  {loser['route']} ({loser['pattern']}): {'; '.join(loser['reasons'])}" for loser in told["losers"]]
    return "\n".join(lines)
