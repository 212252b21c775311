"""An imported configuration, before it is written: what there is, where it comes from, and what was lost.

Importers fill it, `gateway_import.writer` writes it. Values are those of the gateway's configuration
(docs/configuration.md): dicts, lists, texts, numbers, booleans, and `EnvReference` in the place of a secret. Texts are
literal; the writer escapes them.

Nothing is less protected than it was: a guard that cannot be carried over closes the routes it guarded. A closed route
keeps its conditions and responds 403: left out, its requests would go to a neighbour, which may ask for less.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from gateway_import.failures import Origin

CONDITIONS: Final = (
    "path", "path_prefix", "path_regex", "grpc", "methods", "listeners", "hosts", "scheme", "headers", "query",
    "cookies", "params", "client_ip", "priority",
)  # fmt: skip
"""Keys of a route that say which requests it takes; a closed route keeps them, and loses all others."""
_ID: Final = re.compile(r"[^A-Za-z0-9._-]+")
_VARIABLE: Final = re.compile(r"[^A-Z0-9]+")
_LONGEST_NAME: Final = 100
_SECRET_WORDS: Final = (
    "authorization", "auth-", "token", "secret", "key", "passw", "cookie", "credential", "signature", "trust",
)  # fmt: skip
_OF_KEYS: Final = frozenset("+=_~-")
_SHORTEST_KEY: Final = 20
_SHORTEST_HEX: Final = 16
_SCHEMES: Final = frozenset({"basic", "bearer", "digest", "apikey", "token"})
_HEX: Final = frozenset("0123456789abcdefABCDEF")


@dataclass(frozen=True, slots=True)
class EnvReference:
    """A variable of the environment in the place of a secret: written as ``"BEFORE${NAME}AFTER"``."""

    name: str
    before: str = ""
    after: str = ""


@dataclass(frozen=True, slots=True)
class EnvVariable:
    """A variable that the written configuration needs."""

    name: str
    origin: Origin
    """Where its value stands."""
    what: str
    """What it is, such as ``API key of 'alice'``: never its value."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What is not as it was."""

    origin: Origin
    what: str
    """What stands in the file, such as ``plugin 'bot-detection' of route 'users'``."""
    reason: str
    proposal: str = ""
    is_guard: bool = False
    """Whether it decided who may do what: then routes are closed."""
    is_lost: bool = True
    """False for what works in another way than it did, which is worth knowing; it does not count as lost."""

    def __str__(self) -> str:
        return f"{self.origin}: {self.text}"

    @property
    def text(self) -> str:
        """The finding without its place."""
        guard = " (a guard: what it guarded is refused)" if self.is_guard else ""
        return f"{self.what}{guard}: {self.reason}{f'; {self.proposal}' if self.proposal else ''}"


@dataclass(slots=True)
class Binding:
    """A plugin in one place."""

    name: str
    config: dict[str, Any]
    origin: Origin
    id: str | None = None
    keys: dict[str, Any] = field(default_factory=dict)
    """Further keys: ``enabled``, ``when``, ``on_error``, ``order``."""
    comments: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Upstream:
    """An upstream: ``keys`` has all keys but its name."""

    name: str
    keys: dict[str, Any]
    origin: Origin
    comments: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Listener:
    """An entry of ``listen``."""

    keys: dict[str, Any]
    origin: Origin
    comments: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Route:
    """A route: ``keys`` has all keys but its id and its plugins."""

    id: str
    keys: dict[str, Any]
    origin: Origin
    plugins: list[Binding] = field(default_factory=list)
    comments: list[str] = field(default_factory=list)
    closed_by: list[Finding] = field(default_factory=list)

    @property
    def is_closed(self) -> bool:
        """Whether it responds 403 to everything it takes."""
        return bool(self.closed_by)


@dataclass(slots=True)
class Imported:
    """A configuration that was read from another gateway's."""

    title: str
    """What it was, such as ``Kong 3.0``."""
    file: str
    listeners: list[Listener] = field(default_factory=list)
    document: dict[str, Any] = field(default_factory=dict)
    """Other keys of the document: ``trusted_proxies``, ``limits``, ``error_pages``, ``path_policy`` ..."""
    plugins: list[Binding] = field(default_factory=list)
    """Gateway-wide bindings."""
    upstreams: list[Upstream] = field(default_factory=list)
    routes: list[Route] = field(default_factory=list)
    comments: list[str] = field(default_factory=list)
    """What stands at the top of the document."""
    findings: list[Finding] = field(default_factory=list)
    variables: list[EnvVariable] = field(default_factory=list)
    _names: dict[str, dict[str, int]] = field(default_factory=dict)
    """Of each kind the names that are taken, with the last number that one got behind it."""
    _recorded: set[Finding] = field(default_factory=set)

    @property
    def lost(self) -> list[Finding]:
        """What could not be carried over."""
        return [each for each in self.findings if each.is_lost]

    def lose(self, origin: Origin, what: str, reason: str, proposal: str = "") -> Finding:
        """Record something that could not be carried over and guarded nothing."""
        return self._record(Finding(origin, what, reason, proposal))

    def note(self, origin: Origin, what: str, reason: str, proposal: str = "") -> Finding:
        """Record something that works in another way than it did, without being lost."""
        return self._record(Finding(origin, what, reason, proposal, is_lost=False))

    def lose_guard(self, origin: Origin, what: str, reason: str, proposal: str, routes: Iterable[Route]) -> Finding:
        """Record a guard that could not be carried over, and close the routes that it guarded.

        Where it guarded routes that are read later, give them to `close` with the finding.
        """
        finding = self._record(Finding(origin, what, reason, proposal, is_guard=True))
        for route in routes:
            self.close(route, finding)
        return finding

    def close(self, route: Route, finding: Finding) -> None:
        """Have a route respond 403 because of a guard that was lost."""
        if finding not in route.closed_by:
            route.closed_by.append(finding)

    def secret(self, name: str, what: str, origin: Origin) -> EnvReference:
        """Return a variable for a secret, under a name that no other one has.

        :param name: words of the name, such as ``kong key alice``: it becomes ``KONG_KEY_ALICE``.
        """
        wanted = _VARIABLE.sub("_", name.upper()).strip("_")[:_LONGEST_NAME] or "SECRET"
        if wanted[0].isdigit():
            wanted = f"SECRET_{wanted}"
        unique = self._unique("variable", wanted, "_")
        self.variables.append(EnvVariable(unique, origin, what))
        return EnvReference(unique)

    def route_id(self, wanted: str) -> str:
        """Return an id for a route that no other one has."""
        return self._unique("route", clean_id(wanted, "route"), "-")

    def upstream_name(self, wanted: str) -> str:
        """Return a name for an upstream that no other one has."""
        return self._unique("upstream", clean_id(wanted, "upstream"), "-")

    def _unique(self, kind: str, wanted: str, separator: str) -> str:
        taken = self._names.setdefault(kind, {})
        unique = wanted
        while unique in taken:
            taken[wanted] += 1
            unique = f"{wanted}{separator}{taken[wanted]}"
        taken[unique] = 1
        return unique

    def _record(self, finding: Finding) -> Finding:
        if finding not in self._recorded:
            self._recorded.add(finding)
            self.findings.append(finding)
        return finding


def keeps_secret(header: str, value: str = "") -> bool:
    """Whether the value of a header field may be a secret, by its name, or as it looks like one."""
    named = header.lower().replace("_", "-")
    return any(word in named for word in _SECRET_WORDS) or looks_secret(value)


def looks_secret(value: str) -> bool:
    """Whether a value is of a form that keys and tokens have."""
    scheme, space, credential = value.partition(" ")
    if space and scheme.lower() in _SCHEMES and credential.strip():
        return True
    if len(value) >= _SHORTEST_HEX and _HEX.issuperset(value):
        return True
    is_mixed = any(map(str.isdigit, value)) and any(map(str.isalpha, value))
    return len(value) >= _SHORTEST_KEY and is_mixed and all(each.isalnum() or each in _OF_KEYS for each in value)


def without_credentials(url: str) -> str:
    """Return a text of URLs without user and password."""
    first, *rest = url.split("://")
    for number, part in enumerate(rest):
        host = part.split("/", 1)[0].split(" ", 1)[0]
        rest[number] = part[host.rfind("@") + 1 :]
    return "://".join([first, *rest])


def clean_id(wanted: str, otherwise: str) -> str:
    """Return a text as ids and names of upstreams may be written: letters, digits, ``.``, ``_`` and ``-``."""
    return _ID.sub("-", wanted).strip("-.")[:_LONGEST_NAME] or otherwise
