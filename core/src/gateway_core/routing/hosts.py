"""Hosts: how a request's Host is compared with those that routes and listeners name, and whose it is among listeners.

The most specific first: a name; ``:tenant.example.com``, which takes one label in the place of ``:tenant`` and
captures it; ``*.example.com``, which takes one or more; every host.

Listeners may share an address. A TLS handshake begins with the listener whose hosts have the name that the client sends
as SNI, so that its certificates and its client authentication count. Then the Host of each request decides, which may
be another name than the one of the handshake. Where the two listeners authenticate clients differently the request is
misdirected (421, RFC 9110 section 15.5.20): the client that was authenticated for one must not reach what the other
protects. A listener that is alone at its address takes every connection and every host.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from ipaddress import AddressValueError, IPv6Address
from typing import Generic, TypeVar

from gateway_core.routing.problems import HostError

ANY_HOST = "*"
"""What a route without hosts matches."""

CAPTURE = ":."
"""What a host with a captured label begins with, in the form that the tables use."""

_CAPTURED = re.compile(r":([A-Za-z_][A-Za-z0-9_-]*)\.(.*)", re.DOTALL)
_NAME = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*")
_ESCAPED = re.compile("%([0-9a-f]{2})")
_LONGEST = 1 << 24
_ADDRESS = re.compile(r"\[[0-9a-f:.]+\]")


def normalize_host(host: str) -> str:
    """Return a Host value as matching compares it: lower case, without port, without the root's final dot.

    ``API.Example.com.:8080`` becomes ``api.example.com``, ``[0::1]:80`` becomes ``[::1]`` and ``%61.test`` becomes
    ``a.test``. Idempotent, so a caller may cache the result. Never fails: a malformed value matches no route that
    names a host.
    """
    host = host.lower()
    if host[:1] == "[":
        return _plain_address(host[: host.find("]") + 1] or host)
    if "%" in host:
        host = _ESCAPED.sub(_unescaped, host)
    if ":" in host:
        host = host.partition(":")[0]
    return host[:-1] if host[-1:] == "." else host


def _unescaped(escape: re.Match[str]) -> str:
    """Write a character plainly that needs no escape (RFC 3986 section 6.2.2.2)."""
    character = chr(int(escape[1], 16)).lower()
    return character if character.isascii() and (character.isalnum() or character in "-_~") else escape[0]


def _plain_address(host: str) -> str:
    """Return an IPv6 address in brackets in its one shortest form."""
    try:
        return f"[{IPv6Address(host[1:-1]).compressed}]"
    except AddressValueError:
        return host


def parse_host(text: str) -> str:
    """Return a route's host in the form that the tables use: ``name``, ``[address]``, ``:.name``, ``*.name``, ``*``.

    :raises HostError: the text has a port, a path, a misplaced ``*``, or is no host name.
    """
    host = text.lower().removesuffix(".")
    if text == ANY_HOST:
        return ANY_HOST
    if text.startswith(":") and (captured := _CAPTURED.fullmatch(text)):
        rest = parse_host(captured[2])
        if rest == ANY_HOST or rest[0] in "*:[":
            raise HostError(
                f"host {text!r} captures its first label: a name stands behind it, as in ':tenant.example.com'"
            )
        return CAPTURE + rest
    if host.count(":") >= 2 and not host.startswith("["):
        host = f"[{host}]"
    wildcard, name = host.startswith("*."), host.removeprefix("*.")
    if not name.isascii():
        name = _to_ascii(name, text)
    if _ADDRESS.fullmatch(name) and not wildcard:
        return _plain_address(name)
    if not _NAME.fullmatch(name):
        raise HostError(f"host {text!r} {_fault(name)}")
    return f"*.{name}" if wildcard else name


def capture_of(text: str) -> tuple[str, str] | None:
    """Return the name that a route's host captures its first label by, and the host as `parse_host` has it."""
    captured = _CAPTURED.fullmatch(text)
    return None if captured is None else (captured[1], parse_host(text))


def host_captures(hosts: Sequence[str]) -> tuple[str, ...]:
    """Return the names that every one of a route's hosts captures: there is one at most."""
    names = {found[1] if (found := _CAPTURED.fullmatch(host)) else None for host in hosts}
    (name,) = names if len(names) == 1 else (None,)
    return () if name is None else (name,)


def captured_label(host: str) -> str | None:
    """Return the first label of a Host value, which a route may capture; None if there is no other."""
    label, dot, _ = normalize_host(host).partition(".")
    return label if label and dot else None


def wider_hosts(host: str) -> list[str]:
    """Return ``host`` and every pattern that covers it, the most specific first, ``*`` last."""
    found = [host]
    name = host.removeprefix("*.")
    if name != ANY_HOST:
        labels = [] if name.startswith("[") else name.split(".")
        if len(labels) > 1 and labels[0] != ":" and name == host:
            found.append(CAPTURE + ".".join(labels[1:]))
        found += ["*." + ".".join(labels[index:]) for index in range(1, len(labels))]
        found.append(ANY_HOST)
    return found


def host_rank(patterns: list[str], host: str) -> int | None:
    """Return how specific the best of parsed ``patterns`` is for a normalized host: smaller is better, or ``None``."""
    found = [_rank(pattern, host) for pattern in patterns]
    return min([rank for rank in found if rank is not None], default=None)


def _to_ascii(name: str, text: str) -> str:
    try:
        return name.encode("idna").decode("ascii")
    except UnicodeError:
        raise HostError(
            f"host {text!r} is not a valid international name", remedy="write it as punycode (xn--...)"
        ) from None


def _fault(name: str) -> str:
    if "/" in name:
        return "has a '/': give the name only, without scheme and path"
    if name.startswith(":"):
        return "has no capture: write a name and a dot behind the ':', as in ':tenant.example.com'"
    if ".:" in name:
        return "has a misplaced ':name': only the first label can be captured, as in ':tenant.example.com'"
    if ":" in name:
        return "has a port: hosts are compared without one, leave it out"
    if "*" in name:
        return "has a misplaced '*': a wildcard is the whole first label, as in '*.example.com'"
    return "is not a host name: use letters, digits, '-' and '_' in labels separated by '.'"


def _rank(pattern: str, host: str) -> int | None:
    if pattern == ANY_HOST:
        return 1
    if pattern == host:
        return -_LONGEST
    if pattern.startswith(CAPTURE):
        label, _, rest = host.partition(".")
        return 1 - _LONGEST if label and rest == pattern[2:] else None
    if pattern.startswith("*.") and host.endswith(pattern[1:]) and len(host) >= len(pattern):
        return -len(pattern)
    return None


P = TypeVar("P")


@dataclass(frozen=True, slots=True)
class ListenerRule(Generic[P]):
    """What decides among the listeners of an address, and what the caller wants back."""

    payload: P
    hosts: tuple[str, ...] = ()
    """As in the configuration; without any it takes what no other listener of the address names."""
    client_auth: Hashable = None
    """What client authentication depends on; equal values authenticate alike, None requests no certificate."""
    strict_sni: bool = False
    """Whether handshakes for no name, or for one of no listener, are refused."""


class Refusal(Enum):
    """Why no listener of an address takes a request; the value is the status of the response."""

    NO_LISTENER = 404
    """Its Host is that of no listener."""
    MISDIRECTED = 421
    """Its Host is that of a listener which authenticates clients differently than the connection's."""


class ListenerTable(Generic[P]):
    """The listeners of one address."""

    __slots__ = ("_any", "_exact", "_wildcards", "fallback", "only", "rules")

    def __init__(self, rules: Iterable[ListenerRule[P]]) -> None:
        """Take them in the order of the configuration.

        :raises HostError: a host cannot be matched.
        :raises ValueError: there is none.
        """
        self.rules: Sequence[ListenerRule[P]] = tuple(rules)
        if not self.rules:
            raise ValueError("an address has at least one listener")
        self._exact: dict[str, ListenerRule[P]] = {}
        self._wildcards: dict[str, ListenerRule[P]] = {}
        self._any: ListenerRule[P] | None = None
        for rule in self.rules:
            for host in map(parse_host, rule.hosts):
                if host.startswith("*."):
                    self._wildcards.setdefault(host[1:], rule)
                else:
                    self._exact.setdefault(host, rule)
            if not rule.hosts and self._any is None:
                self._any = rule
        self.only: P | None = self.rules[0].payload if len(self.rules) == 1 else None
        """The listener that is alone at the address; None if there are several."""
        if len(self.rules) == 1:
            self._any = self.rules[0]
        open_to_all = (rule for rule in self.rules if rule.client_auth is None)
        self.fallback = self._any or next(open_to_all, self.rules[0])
        """The listener that handshakes without a name begin with, and those for one of no listener."""

    def for_server_name(self, server_name: str | None) -> ListenerRule[P] | None:
        """Return the listener that a TLS handshake begins with; None if the handshake is to be refused.

        :param server_name: the client's SNI; None or empty if it sends none.
        """
        if len(self.rules) == 1:
            # Its certificates decide whether the name is known.
            return self.rules[0]
        found = self._named(normalize_host(server_name)) if server_name else None
        if found is not None:
            return found
        # A listener for all hosts leaves it to its certificates which names are known.
        return None if self.fallback.strict_sni and self.fallback.hosts else self.fallback

    def for_host(self, host: str, client_auth: Hashable = None) -> P | Refusal:
        """Return the listener that a request belongs to, or why there is none.

        :param host: the Host value as received; empty if there is none.
        :param client_auth: ``client_auth`` of the listener that the connection's TLS began with.
        """
        if self.only is not None:
            return self.only
        rule = self._named(normalize_host(host)) or self._any
        if rule is None:
            return Refusal.NO_LISTENER
        return rule.payload if rule.client_auth == client_auth else Refusal.MISDIRECTED

    def _named(self, host: str) -> ListenerRule[P] | None:
        """Return the listener that names a host, the most specific name first."""
        found = self._exact.get(host)
        if found is None and self._wildcards:
            dot = host.find(".", 1)
            while dot > 0 and found is None:
                found = self._wildcards.get(host[dot:])
                dot = host.find(".", dot + 1)
        return found
