"""Which server takes a request: names in nginx's order, and the addresses that servers share.

An exact name comes first, then the longest wildcard in front, the longest one behind, and the first expression; what
has no such server is the default one's. Priorities of routes keep this order, as they come before everything else.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from gateway_import.nginx.directives import Context, Directive
from gateway_import.nginx.values import escaped, python_regex

_FLAGS: Final = frozenset(
    ["ssl", "http2", "default_server", "default", "proxy_protocol", "quic", "reuseport", "deferred", "bind", "spdy"]
)
Strength = tuple[int, int]
_ANY: Final[Strength] = (0, 0)


@dataclass(frozen=True, slots=True)
class Name:
    """One name of a server."""

    text: str
    strength: Strength
    """Names with a greater one are tried first."""
    regex: str | None = None
    """For names that ``hosts`` has no form for: the pattern of the Host field."""

    def covers(self, other: Name) -> bool:
        """Whether it may take requests for the other name; expressions may take any."""
        if self.regex is not None or other.regex is not None:
            return True
        mine, its = self.text.removeprefix("*"), other.text.removeprefix("*")
        return its == mine or (self.text.startswith("*") and its.endswith(mine))


@dataclass(slots=True)
class Address:
    """One address with the servers that listen there, the default one first."""

    text: str
    directive: Directive
    servers: list[Server] = field(default_factory=list)
    default: Server | None = None
    flags: set[str] = field(default_factory=set)

    @property
    def is_tls(self) -> bool:
        return "ssl" in self.flags or "quic" in self.flags


@dataclass(slots=True, eq=False)
class Server:
    """One ``server``."""

    directive: Directive
    context: Context
    names: list[Name] = field(default_factory=list)
    addresses: list[Address] = field(default_factory=list)
    lost_names: list[Directive] = field(default_factory=list)

    @property
    def label(self) -> str:
        return next((each.text.lstrip("*.") for each in self.names if each.regex is None), "server")


@dataclass(frozen=True, slots=True)
class Group:
    """Hosts of a server that have one place in the order."""

    strength: Strength
    keys: dict[str, Any]


def addresses_of(servers: Iterable[Server]) -> list[Address]:
    """Return the addresses of servers, and give each server its own."""
    found: dict[str, Address] = {}
    for server in servers:
        listens = server.context.own("listen") or [Directive("listen", ("80",), server.directive.origin)]
        for listen in listens:
            text = address_text(listen.value)
            address = found.setdefault(text, Address(text, listen))
            flags = {each.partition("=")[0] for each in listen.args[1:]} & _FLAGS
            if server.context.is_on("ssl"):
                flags.add("ssl")
            address.flags |= flags
            if server not in address.servers:
                address.servers.append(server)
                server.addresses.append(address)
            if flags & {"default_server", "default"} or address.default is None:
                is_explicit = bool(flags & {"default_server", "default"})
                address.default = server if is_explicit or address.default is None else address.default
    return list(found.values())


def address_text(text: str) -> str:
    """Return an address of nginx as one of ours: ``80``, ``*:80``, ``[::]:80`` and ``1.2.3.4`` are such."""
    if text.startswith("unix:"):
        return text
    if text.isdigit():
        return f":{text}"
    host, separator, port = text.rpartition(":")
    if not separator or not port.isdigit():
        host, port = text, "80"
    return f":{port}" if host in {"*", "", "[::]", "0.0.0.0"} else f"{host}:{port}"  # noqa: S104 - compared only


def names_of(server: Server, number: int) -> None:
    """Read the names of a server.

    :param number: its place in the file, which orders expressions.
    """
    for directive in server.context.own("server_name"):
        for text in directive.args:
            made = _names(text.lower() if not text.startswith("~") else text, number)
            if made is None:
                server.lost_names.append(directive)
            else:
                server.names += made


def _names(text: str, number: int) -> list[Name] | None:
    if text in {"_", '""', "", "localhost_"} or text.startswith("$"):
        return []
    if text.startswith("~"):
        found = python_regex(text[1:])
        if found is None:
            return None
        from gateway_import.nginx.locations import whole  # noqa: PLC0415 - which needs this package's values as well

        return [Name(text, (1, -number), f"(?i)(?:{whole(found[0])})\\.?(?::[0-9]+)?")]
    if text.endswith(".*"):
        return [Name(text, (2, len(text)), f"(?i){escaped(text[:-1])}[^:]+(?::[0-9]+)?")]
    if text.startswith("*."):
        return [Name(text, (3, len(text)))]
    if text.startswith("."):
        return [Name(text[1:], (4, 0)), Name(f"*{text}", (3, len(text) + 1))]
    return [Name(text, (4, 0))]


def groups_of(server: Server, others: Iterable[Server], *, is_default: bool) -> list[Group]:
    """Return the hosts of a server, in as few groups as keep the order among all servers."""
    foreign = [name for other in others if other is not server for name in other.names]
    hosts = sorted((each for each in server.names if each.regex is None), key=lambda each: each.strength)
    groups: list[tuple[Strength, list[Name] | None]] = [(_ANY, None)] if is_default else []
    for name in hosts:
        if groups and _can_join(name, groups[-1][0], foreign):
            names = groups[-1][1]
            if names is not None:
                names.append(name)
        else:
            groups.append((name.strength, [name]))
    made = [
        Group(strength, {} if names is None else {"hosts": list(dict.fromkeys(each.text for each in names))})
        for strength, names in groups
    ]
    return made + [
        Group(each.strength, {"headers": {"host": {"regex": each.regex}}})
        for each in server.names
        if each.regex is not None and not (is_default and _can_join(each, _ANY, foreign))
    ]


def _can_join(name: Name, weakest: Strength, foreign: list[Name]) -> bool:
    return not any(weakest <= each.strength < name.strength and each.covers(name) for each in foreign)
