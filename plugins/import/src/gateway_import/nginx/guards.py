"""What decides who gets through: addresses, passwords, ``auth_request``, limits. One that is lost closes its route."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from gateway_import.model import Binding, Imported, Route
from gateway_import.nginx.directives import Context, Directive
from gateway_import.nginx.known import unknown
from gateway_import.nginx.upstreams import hash_source
from gateway_import.nginx.values import seconds, variables

_KEYS: Final = {
    "server_name": "host",
    "host": "host",
    "http_host": "host",
    "uri": "path",
    "request_uri": "path",
    "remote_user": "identity",
    "request_method": "method",
}
_OF_NAMED: Final = (
    "auth_basic",
    "auth_basic_user_file",
    "auth_request",
    "satisfy",
    "limit_req",
    "limit_conn",
    "proxy_hide_header",
)
"""What decides at a named location beside its rules for addresses."""
_PER: Final = {"r/s": "1s", "r/m": "1m"}
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Guards:
    """Makes the bindings of a location that come before its request goes anywhere."""

    def __init__(self, imported: Imported, folder: Path | None, zones: dict[str, Directive]) -> None:
        self._imported = imported
        self._folder = folder
        self._zones = zones
        self.auth_service: Callable[[Directive], dict[str, Any] | None] = lambda _: None
        """Finds the service of ``auth_request``; the importer sets it, since it knows all locations."""

    def lose(self, directive: Directive, reason: str, proposal: str, route: Route) -> None:
        self._imported.lose_guard(directive.origin, str(directive), reason, proposal, [route])

    def add(self, route: Route, context: Context) -> None:
        """Add the bindings of a location to its route, in nginx's order: limits, addresses, credentials."""
        for limit in context.all("limit_conn"):
            self._limit(limit, route, context)
        for limit in context.all("limit_req"):
            self._limit(limit, route, context)
        self.access(route, context)

    def access(self, route: Route, context: Context) -> None:
        """Add what ``satisfy`` combines."""
        rules = [each for each in _access_rules(context) if each.args]
        networks = self._networks(rules, route) if rules else None
        credentials = self._credentials(route, context)
        if context.text("satisfy") == "any" and networks is not None and credentials:
            allowed, _, is_closed = networks
            if not is_closed or len(credentials) > 1:
                self.lose(
                    context.all("satisfy")[-1],
                    "one of several guards is enough, in a form that is not known",
                    "write bindings with `when`",
                    route,
                )
                return
            for each in credentials:
                each.keys["when"] = {"client_ip": {"none_of": allowed}} if allowed else {}
            networks = None
        if networks is not None:
            allowed, denied, is_closed = networks
            config: dict[str, Any] = {}
            if is_closed:
                config = {"allow": allowed} if allowed else {"deny": ["0.0.0.0/0", "::/0"]}
            elif denied:
                config["deny"] = denied
            if config:
                route.plugins.append(Binding("ip", config, rules[0].origin))
        route.plugins += credentials

    def passed_on(self, route: Route, context: Context, named: Context) -> None:
        """Close a route whose ``try_files`` ends at a named location with guards of its own: nginx asks both."""
        self.unknown(route, named)
        found = [each for each in named.directives if each.name in {"if", "return", "rewrite", "limit_except"}]
        for name in _OF_NAMED:
            if named.all(name) != context.all(name):
                found += [each for each in named.all(name)[:1] if not each.is_off]
        if (rules := _access_rules(named)) != _access_rules(context):
            found += rules[:1]
        for each in found:
            self.lose(each, "it holds for what is sent on, and not for files", "write a route for each", route)

    def unknown(self, route: Route, context: Context | None) -> None:
        """Record what is not carried over, of a block and of those around it."""
        while context is not None:
            for directive, is_guard, reason in unknown(context):
                if is_guard:
                    self.lose(directive, reason, "add what it did by a plugin, and remove `respond`", route)
                else:
                    self._imported.lose(directive.origin, str(directive)[:120], reason)
            context = context.parent

    def _networks(self, rules: list[Directive], route: Route) -> tuple[list[str], list[str], bool] | None:
        """Return what is allowed, what is denied, and whether all else is denied; the first rule that fits counts."""
        allowed: list[Network] = []
        denied: list[Network] = []
        for rule in rules:
            if rule.value == "all":
                return _texts(allowed), _texts(denied), rule.name == "deny"
            try:
                network = ipaddress.ip_network(rule.value, strict=False)
            except ValueError:
                self.lose(rule, "the gateway knows networks only", "write `ip` with networks", route)
                return None
            rest = _without(network, [*allowed, *denied])
            (allowed if rule.name == "allow" else denied).extend(rest)
        return _texts(allowed), _texts(denied), False

    def _credentials(self, route: Route, context: Context) -> list[Binding]:
        made = []
        basic, request = context.one("auth_basic"), context.one("auth_request")
        if basic is not None and not basic.is_off:
            file = context.one("auth_basic_user_file")
            if file is None or variables(file.value) or variables(basic.value):
                self.lose(basic, "its realm or its file depends on the request, or is missing", "bind `auth`", route)
            else:
                path = file.value if self._folder is None else str(self._folder / file.value)
                config = {
                    "realm": basic.value or "gateway",
                    "providers": {"users": {"scheme": "basic", "users_file": path}},
                }
                made.append(Binding("auth", config, basic.origin))
        if request is not None and not request.is_off:
            service = self.auth_service(request)
            if service is None:
                self.lose(
                    request, "its location is not known, or asks in a way of its own", "bind `forward-auth`", route
                )
            else:
                made.append(Binding("forward-auth", service, request.origin))
        return made

    def _limit(self, limit: Directive, route: Route, context: Context) -> None:
        is_rate = limit.name == "limit_req"
        options = dict(arg.partition("=")[::2] for arg in limit.args)
        name = options.get("zone", "") if is_rate else limit.value
        zone = self._zones.get(f"{limit.name}_zone {name}")
        keys = None if zone is None else _limit_keys(zone.value)
        if zone is None or keys is None:
            self.lose(
                limit, "its zone is not there, or counts by something that is not known", "bind `ratelimit`", route
            )
            return
        config = (
            _rate(zone, options)
            if is_rate
            else {"concurrency": int(limit.args[-1])}
            if limit.args[-1].isdigit()
            else None
        )
        status = context.text(f"{limit.name}_status", "503")
        if config is None or not status.isdecimal():
            self.lose(limit, "its rate or its status is not known", "bind `ratelimit`", route)
            return
        binding = Binding(
            "ratelimit",
            {**config, "key": keys, "group": name, **({} if status == "429" else {"refusal": {"status": int(status)}})},
            limit.origin,
            id=f"ratelimit-{name}",
        )
        if context.is_on(f"{limit.name}_dry_run"):
            binding.keys["mode"] = "shadow"
        route.plugins.append(binding)


def _access_rules(context: Context | None) -> list[Directive]:
    """Return allow and deny of the nearest block that has either, in their order."""
    while context is not None:
        found = [each for each in context.directives if each.name in {"allow", "deny"}]
        if found:
            return found
        context = context.parent
    return []


def _without(network: Network, taken: list[Network]) -> list[Network]:
    left: list[Any] = [network]
    for each in taken:
        remaining: list[Any] = []
        for part in left:
            if part.version != each.version or not part.overlaps(each):
                remaining.append(part)
            elif each.prefixlen > part.prefixlen:
                remaining += part.address_exclude(each)
        left = remaining
    return sorted(left)


def _texts(networks: list[Network]) -> list[str]:
    return [str(each.network_address) if each.num_addresses == 1 else str(each) for each in networks]


def _limit_keys(text: str) -> list[str] | None:
    names = variables(text)
    if not names:
        return ["constant"]
    found = [hash_source(f"${name}") or _KEYS.get(name) for name in names]
    return None if None in found else [each for each in found if each is not None]


def _rate(zone: Directive, options: dict[str, str]) -> dict[str, Any] | None:
    rate = next((arg.removeprefix("rate=") for arg in zone.args if arg.startswith("rate=")), "")
    number, unit = rate[:-3], rate[-3:]
    if not number.isdigit() or unit not in _PER or int(number) == 0:
        return None
    burst = int(options["burst"]) if options.get("burst", "").isdigit() else 0
    made: dict[str, Any] = {"rate": int(number), "per": _PER[unit], "burst": burst + 1}
    if burst and "nodelay" not in options:
        # Without nodelay requests beyond the rate wait for their turn.
        wait = burst * seconds(_PER[unit]) / int(number)
        made |= {"burst": 1, "max_delay": f"{max(1, round(wait * 1000))}ms"}
    return made
