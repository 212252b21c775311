"""Which certificates to have, and which names none can be had for. Pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

_LABEL: Final = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
_LONGEST: Final = 253

_PRIVATE: Final = frozenset(
    {"localhost", "local", "internal", "lan", "home", "corp", "test", "invalid", "example", "onion", "arpa"}
)
"""Top-level domains that no public authority issues for (RFC 6761, RFC 6762, RFC 7686, ICANN's reserved names)."""


def name_problem(name: str) -> str:
    """Return what is wrong with a host name, for behind it in a sentence; empty if nothing is.

    :param name: in lower case; ``*.`` before it stands for every name one label below it.
    """
    bare = name.removeprefix("*.")
    labels = bare.split(".")
    if re.fullmatch(r"[0-9.]+|.*:.*", bare):
        return "is an address, not a name"
    if not bare.isascii():
        return "has to be written as it is in DNS: with xn--"
    if len(name) > _LONGEST or not all(_LABEL.fullmatch(label) for label in labels):
        return "is not a host name"
    return ""


def is_public(name: str) -> bool:
    """Whether an authority that everyone trusts may issue for a name."""
    labels = name.removeprefix("*.").split(".")
    return len(labels) > 1 and labels[-1] not in _PRIVATE


def covers(pattern: str, name: str) -> bool:
    """Whether a name, or ``*.`` before one, is or covers another name."""
    return pattern == name or (pattern.startswith("*.") and name.partition(".")[2] == pattern[2:])


@dataclass(frozen=True, slots=True)
class Wanted:
    """A certificate to have."""

    names: tuple[str, ...]

    @property
    def id(self) -> str:
        """What it is stored by: a readable beginning, and a digest of all names."""
        digest = hashlib.sha256("\n".join(sorted(self.names)).encode()).hexdigest()[:16]
        return f"{self.names[0].replace('*', '_')[:100]}-{digest}"

    def __str__(self) -> str:
        return ", ".join(self.names)


@dataclass(frozen=True, slots=True)
class Plan:
    """What to have, and what cannot be had."""

    wanted: tuple[Wanted, ...] = ()
    refused: Mapping[str, str] = field(default_factory=dict)
    """By name: why there will be no certificate, with the remedy after a colon."""
    replaced: tuple[str, ...] = ()
    """Those of the refused names that the operator has written, and that a certificate of our own can be shown for."""


@dataclass(frozen=True, slots=True)
class Abilities:
    """What can be proved, and to whom."""

    has_dns: bool = False
    """Whether DNS-01 is possible."""
    is_private: bool = False
    """Whether every authority is a private one."""
    remote_quota: int = 100


def plan_listed(groups: Sequence[Sequence[str]], can: Abilities) -> Plan:
    """Return the plan for names that the configuration lists; a list of names is one certificate."""
    refused: dict[str, str] = {}
    wanted = []
    for group in groups:
        problems = {name: text for name in group if (text := unobtainable(name, can))}
        refused.update(problems)
        if kept := tuple(name for name in group if name not in problems):
            wanted.append(Wanted(kept))
    return Plan(tuple(wanted), refused, _replaced(refused))


def plan_served(own: Iterable[str], routes: Iterable[str], remote: Iterable[str], can: Abilities) -> Plan:
    """Return the plan for the hosts of a listener and its routes, one certificate each.

    :param own: those of the listener.
    :param remote: those of routes in documents that others may write.
    """
    refused: dict[str, str] = {}
    names: dict[str, None] = {}
    own = [as_pattern(host) for host in own]
    for host in (*own, *map(as_pattern, routes)):
        _add(host, names, refused, can)
    allowed, replaced = 0, _replaced(refused)
    for host in map(as_pattern, remote):
        if host in names:
            continue
        if not any(covers(pattern, host) for pattern in own):
            refused[host] = "is a route's of a remote document: add it to hosts of the listener to allow it"
        elif allowed == can.remote_quota:
            refused[host] = "is beyond the quota of remote documents: raise remote_quota"
        else:
            before = len(names)
            _add(host, names, refused, can)
            allowed += len(names) - before
    wild = [name for name in names if name.startswith("*.")]
    kept = [name for name in names if name in wild or not any(covers(pattern, name) for pattern in wild)]
    return Plan(tuple(Wanted((name,)) for name in kept), refused, replaced)


def _replaced(refused: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(name for name in refused if not name_problem(name))


def _add(host: str, names: dict[str, None], refused: dict[str, str], can: Abilities) -> None:
    if problem := unobtainable(host, can):
        refused[host] = problem
    else:
        names[host] = None


def as_pattern(host: str) -> str:
    """Return a host of a configuration as a name or a wildcard: ``:tenant.example.com`` captures one label."""
    host = host.lower().rstrip(".")
    return "*." + host.partition(".")[2] if host.startswith(":") else host


def unobtainable(name: str, can: Abilities) -> str:
    """Return why no certificate can be had for a name, with the remedy after a colon; empty if one can."""
    if problem := name_problem(name):
        return f"{problem}: list names that certificates are for in names"
    if not can.is_private and not is_public(name):
        return "is not a public name: use a certificate of your own, or a private authority with its ca"
    if name.startswith("*.") and not can.has_dns:
        return "is a wildcard, which only DNS-01 can prove: give dns, or list the names below it"
    return ""


def names_of(wanted: Iterable[Wanted]) -> Iterator[str]:
    """Yield all names."""
    for each in wanted:
        yield from each.names
