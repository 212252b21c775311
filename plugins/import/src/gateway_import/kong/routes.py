"""Routes of Kong, as routes: conditions, and the order in which Kong tries them.

Kong's prefixes end anywhere (``/admin`` takes ``/administration``), ours at a segment. Where another route of the file
would take the rest, the route takes it by a regular expression beside its prefix, so that no request falls to a
neighbour that asks for less.

Kong tries routes by the number of their kinds of conditions first, then hosts without wildcards, then headers, then
regular expressions, then longer paths. Where our own order may be another one, routes get a ``priority``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Final

from gateway_plugin_sdk import Pattern

from gateway_import.failures import CannotImportError, Origin
from gateway_import.hiding import holds_secret
from gateway_import.kong.entities import BOOKKEEPING, KongRoute
from gateway_import.kong.secrets import secret
from gateway_import.kong.upstreams import ServiceTarget
from gateway_import.model import EnvReference, Imported, Route, keeps_secret
from gateway_import.sections import Section

_PLAIN_PATH: Final = re.compile(r"[A-Za-z0-9._~/%-]*")
"""Paths of formats before 3.0 are regular expressions if they have other characters."""
_LITERAL: Final = re.compile(r"(?:[A-Za-z0-9_/~-]|%[0-9A-Fa-f]{2}|\\[./-])*")
_UPGRADE_REQUIRED: Final = 426
_REDIRECTS: Final = frozenset({301, 302, 307, 308})
_STREAMS: Final = frozenset({"tcp", "tls", "udp", "tls_passthrough"})


@dataclass(slots=True)
class _Path:
    text: str
    """The prefix, or the regular expression without its ``~``."""
    is_regex: bool
    origin: Origin


@dataclass(slots=True)
class RouteParts:
    """One route of Kong, with the routes that it becomes."""

    kong: KongRoute
    routes: list[Route] = field(default_factory=list)
    """Those that send requests upstream; plugins of the route belong on them."""


@dataclass(slots=True)
class _Conditions:
    """What a route of Kong asks for, apart from its paths."""

    keys: dict[str, Any]
    categories: frozenset[str]
    wildcard_hosts: bool
    headers: int
    unreadable: list[tuple[Origin, str, str]]
    """Conditions that cannot be carried over: place, what, reason."""


def add_routes(
    imported: Imported, kong_routes: list[KongRoute], services: dict[str, ServiceTarget], *, regexes_marked: bool
) -> list[RouteParts]:
    """Add the routes of a document; the routes that https-only ones need for http are added as well.

    :param regexes_marked: whether regular expressions begin with ``~``, as since format 3.0.
    """
    maker = _Maker(imported, services, regexes_marked=regexes_marked)
    parts = [part for route in kong_routes if (part := maker.read(route)) is not None]
    maker.rank()
    return parts


class _Maker:
    def __init__(self, imported: Imported, services: dict[str, ServiceTarget], *, regexes_marked: bool) -> None:
        self.imported = imported
        self.services = services
        self.regexes_marked = regexes_marked
        self.all_paths: list[str] = []
        self.ranks: list[tuple[Route, tuple[Any, ...], list[str]]] = []
        """Each route with Kong's order and its prefixes."""

    def read(self, kong: KongRoute) -> RouteParts | None:
        section = kong.section
        section.ignore(*BOOKKEEPING, "name", "service", "path_handling", "request_buffering", "response_buffering")
        protocols = section.texts("protocols") or ["http", "https"]
        if not set(protocols) - _STREAMS:
            reason = "it takes connections of TCP, TLS or UDP, and this gateway speaks HTTP"
            self.imported.lose(section.origin, section.what, reason, "use a proxy of TCP for it")
            return None
        if "expression" in section:
            message = f"{section.what} has an expression: write paths, hosts and methods instead (traditional_compat)"
            raise CannotImportError(section.origin_of("expression"), message)
        if kong.service is not None and kong.service not in self.services:
            return None
        conditions = self._conditions(section)
        paths = self._paths(section)
        action = self._action(section, kong)
        redirect = section.integer("https_redirect_status_code")
        parts = RouteParts(kong)
        for group in self._groups(paths, action):
            self._add(
                parts, conditions, group, dict(action), None if "http" in protocols else redirect or _UPGRADE_REQUIRED
            )
        for key, node in section.rest():
            self.imported.lose(node.origin, f"{key!r} of {section.what}", "there is nothing like it")
        return parts

    def _conditions(self, section: Section) -> _Conditions:
        keys: dict[str, Any] = {}
        hosts, methods = section.texts("hosts"), section.texts("methods")
        unreadable: list[tuple[Origin, str, str]] = []
        headers = section.section("headers")
        categories = {name for name, given in (("hosts", hosts), ("methods", methods), ("headers", headers)) if given}
        bad_hosts = [host for host in hosts if not re.fullmatch(r"(\*\.)?[A-Za-z0-9_.-]+", host.partition(":")[0])]
        for host in bad_hosts:
            unreadable.append(
                (section.origin_of("hosts"), f"host {host!r} of {section.what}", "only *. may begin a host")
            )
        kept = [host.partition(":")[0].lower() for host in hosts if host not in bad_hosts]
        if kept and not bad_hosts:
            keys["hosts"] = list(dict.fromkeys(kept))
        if methods:
            keys["methods"] = [method.upper() for method in methods]
        if headers is not None:
            keys["headers"] = {}
            for name in headers.names():
                values = headers.texts(name)
                if any(each.startswith("~*") and holds_secret(name, each) for each in values):
                    what = f"the header {name!r} of {section.what}"
                    unreadable.append((headers.origin_of(name), what, "its expression may hold a secret"))
                    continue
                if any(keeps_secret(name, each) and not each.startswith("~*") for each in values):
                    keys["headers"][name] = {"one_of": [self._secret(headers, name, each) for each in values]}
                    continue
                keys["headers"][name] = _header(values)
        for key in ("snis", "sources", "destinations"):
            if section.nodes(key):
                categories.add(key)
                reason = "there is no such condition: name a listener with these hosts in listeners of the route"
                unreadable.append((section.origin_of(key), f"{key!r} of {section.what}", reason))
        count = 0 if headers is None else len(headers.names())
        return _Conditions(keys, frozenset(categories), any("*" in host for host in hosts), count, unreadable)

    def _secret(self, headers: Section, name: str, value: str) -> EnvReference:
        return secret(
            self.imported, value, f"value of {name}", f"value of {name} in a condition", headers.origin_of(name)
        )

    def _paths(self, section: Section) -> list[_Path]:
        found = []
        for node in section.nodes("paths"):
            text = str(node.value)
            if isinstance(node.value, dict | list | None) or not text.startswith(("/", "~/")):
                shown = repr(text) if isinstance(node.value, str) else node.kind
                message = f"has the path {shown} of {section.what}: a path begins with /, an expression with ~/"
                raise CannotImportError(node.origin, message)
            is_regex = text.startswith("~") if self.regexes_marked else not _PLAIN_PATH.fullmatch(text)
            text = text[1:] if text.startswith("~") and self.regexes_marked else text
            if not is_regex and not _PLAIN_PATH.fullmatch(text):
                reason, proposal = "without ~ Kong takes it as it stands", "write path_regex if it is an expression"
                self.imported.note(node.origin, f"path {text!r} of {section.what}", reason, proposal)
                is_regex, text = True, re.escape(text)
            found.append(_Path(text, is_regex, node.origin))
            self.all_paths.append("" if is_regex else text)
        if not found:
            self.all_paths.append("")
        return found

    def _action(self, section: Section, kong: KongRoute) -> dict[str, Any]:
        strip, preserve = section.boolean("strip_path") is not False, section.boolean("preserve_host")
        action: dict[str, Any] = {"_strip": strip, "_regex_priority": section.integer("regex_priority") or 0}
        action["_priority"] = section.integer("priority") or 0
        if kong.service is None:
            return action
        target = self.services[kong.service]
        action |= {"target": target.upstream, "_path": target.path}
        if preserve:
            action["preserve_host"] = True
        elif target.host is not None:
            action["_host"] = target.host
        return action

    def _groups(self, paths: list[_Path], action: dict[str, Any]) -> list[list[_Path]]:
        """Prefixes that can share a route, and each regular expression by itself."""
        if not paths:
            return [[]]
        prefixes = [path for path in paths if not path.is_regex]
        one_by_one = bool(action.get("_path")) and not action["_strip"]
        groups = (
            [[path] for path in prefixes]
            if one_by_one or len({len(path.text) for path in prefixes}) > 1
            else [prefixes]
        )
        return [group for group in groups if group] + [[path] for path in paths if path.is_regex]

    def _add(
        self,
        parts: RouteParts,
        conditions: _Conditions,
        paths: list[_Path],
        action: dict[str, Any],
        https_only: int | None,
    ) -> None:
        section = parts.kong.section
        keys = dict(conditions.keys)
        lost = list(conditions.unreadable)
        if paths and paths[0].is_regex:
            self._regex(keys, paths[0], action, lost, section)
        elif paths:
            texts = list(dict.fromkeys(path.text.rstrip("/") or "/" for path in paths))
            keys["path_prefix"] = texts if len(texts) > 1 else texts[0]
            if action["_strip"] and texts != ["/"]:
                keys |= {"rewrite": {"prefix": action["_path"]}} if action.get("_path") else {"strip_path": True}
            elif action.get("_path"):
                keys["rewrite"] = {"prefix": f"{action['_path']}{'' if texts[0] == '/' else texts[0]}"}
        elif action.get("_path"):
            keys |= {"path_prefix": "/", "rewrite": {"prefix": action["_path"]}}
        if "_host" in action:
            keys["rewrite"] = {**keys.get("rewrite", {}), "host": action["_host"]}
        keys |= {key: value for key, value in action.items() if not key.startswith("_")}
        origin = paths[0].origin if len(paths) == 1 and paths[0].origin != section.origin else section.origin
        route = Route(self.imported.route_id(parts.kong.name), keys, origin, comments=[section.what])
        for place, what, reason in lost:
            self.imported.lose_guard(place, what, reason, "add the condition by hand", [route])
        order = self._order(conditions, paths, action)
        self._register(route, order, paths)
        parts.routes.append(route)
        if https_only is not None:
            self._http_of(route, order, paths, https_only)

    def _regex(
        self,
        keys: dict[str, Any],
        path: _Path,
        action: dict[str, Any],
        lost: list[tuple[Origin, str, str]],
        section: Section,
    ) -> None:
        pattern = path.text.removeprefix("^").replace("(?<", "(?P<").replace("(?P<=", "(?<=").replace("(?P<!", "(?<!")
        is_whole = pattern.endswith("$") and not pattern.endswith("\\$") and "|" not in pattern
        if is_whole:
            whole = pattern[:-1]
        else:
            whole = f"(?:{pattern})/?(?P<kong_rest>.*)" if action["_strip"] else f"(?:{pattern}).*"
        try:
            Pattern(whole)
        except ValueError as error:
            literal = _LITERAL.match(path.text.removeprefix("^"))
            prefix = (literal[0] if literal else "").replace("\\", "").rpartition("/")[0]
            keys["path_prefix"] = prefix or "/"
            lost.append((path.origin, f"path {path.text!r} of {section.what}", f"not as it is here: {error}"))
            return
        keys["path_regex"] = whole
        if action["_strip"]:
            keys["rewrite"] = {"template": f"{action.get('_path', '')}/{'' if is_whole else ':kong_rest'}"}
        elif action.get("_path"):
            keys["path_regex"] = f"(?P<kong_path>{whole})"
            keys["rewrite"] = {"template": f"{action['_path']}:kong_path"}

    def _order(self, conditions: _Conditions, paths: list[_Path], action: dict[str, Any]) -> tuple[Any, ...]:
        is_regex = bool(paths) and paths[0].is_regex
        return (
            action["_priority"],
            len(conditions.categories) + bool(paths),
            not conditions.wildcard_hosts,
            conditions.headers,
            is_regex,
            action["_regex_priority"] if is_regex else 0,
            max((len(path.text) for path in paths), default=0),
        )

    def _register(self, route: Route, order: tuple[Any, ...], paths: list[_Path]) -> None:
        self.imported.routes.append(route)
        self.ranks.append((route, order, [path.text for path in paths if not path.is_regex]))

    def _http_of(self, route: Route, order: tuple[Any, ...], paths: list[_Path], status: int) -> None:
        """Kong responds to plain HTTP for a route of https alone: it does not go on to another route."""
        keys = {key: value for key, value in route.keys.items() if key in _CONDITION_KEYS}
        if status in _REDIRECTS:
            keys["redirect"] = {"scheme": "https", "status": status}
        else:
            keys["respond"] = {"status": status, "body": "Please use HTTPS protocol"}
        keys["scheme"] = "http"
        plain = Route(
            self.imported.route_id(f"{route.id}-http"), keys, route.origin, comments=[*route.comments, "plain HTTP"]
        )
        route.keys["scheme"] = "https"
        self._register(plain, order, paths)

    def rank(self) -> None:
        """Give priorities where our order may be another one, and take what Kong's prefixes take beyond a segment."""
        beyond = []
        for route, _, prefixes in self.ranks:
            if taken := [each for each in prefixes if not each.endswith("/") and self._others_take(each)]:
                beyond.append((route, taken))
        shapes = {order[:-1] for _, order, _ in self.ranks}
        if len(shapes) > 1 or beyond or any(order[4] for _, order, _ in self.ranks):
            numbers = {order: number for number, order in enumerate(sorted({order for _, order, _ in self.ranks}), 1)}
            for route, order, _ in self.ranks if len(numbers) > 1 else ():
                route.keys["priority"] = numbers[order]
        for route, taken in beyond:
            self._take_beyond(route, taken)

    def _others_take(self, prefix: str) -> bool:
        """Whether a request for the prefix and further characters of its last segment could go to another route."""
        return any(
            (other != prefix and prefix.startswith(other.rstrip("/") or "/")) or other == "" for other in self.all_paths
        )

    def _take_beyond(self, route: Route, prefixes: list[str]) -> None:
        patterns = [f"{re.escape(prefix)}[^/].*" for prefix in prefixes]
        pattern = patterns if len(patterns) > 1 else patterns[0]
        if not {"rewrite", "strip_path"} & route.keys.keys():
            route.keys["path_regex"] = pattern
            route.comments.append("a path of Kong ends anywhere: path_regex takes what ends within a segment")
            return
        keys = {key: value for key, value in route.keys.items() if key in _CONDITION_KEYS and key != "path_prefix"}
        more = Route(self.imported.route_id(f"{route.id}-beyond"), {**keys, "path_regex": pattern}, route.origin)
        reason = f"Kong takes {prefixes[0]}x for it as well, and would send a part of a segment upstream"
        finding = self.imported.note(route.origin, f"route {route.id!r}", reason, "such paths respond 403")
        self.imported.close(more, finding)
        self.imported.routes.append(more)


_CONDITION_KEYS: Final = ("path_prefix", "path_regex", "methods", "hosts", "headers", "priority", "scheme")


def _header(values: list[str]) -> dict[str, Any]:
    """Return the condition on a field, whose values Kong compares whatever their case."""
    if len(values) == 1 and values[0].startswith("~*"):
        return {"regex": f"(?i:.*(?:{values[0][2:]}).*)"}
    return {"regex": f"(?i:{'|'.join(map(re.escape, values))})"}
