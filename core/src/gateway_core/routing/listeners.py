"""Which listener of an address a connection and its requests belong to.

How it works. Listeners may share an address. A TLS handshake begins with the listener whose hosts have the name that
the client sends as SNI, so that its certificates and its client authentication count. Then the Host of each request
decides, which may be another name than the one of the handshake. Where the two listeners authenticate clients
differently the request is misdirected (421, RFC 9110 section 15.5.20): the client that was authenticated for one must
not reach what the other protects. A listener that is alone at its address takes every connection and every host.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Generic, TypeVar

from gateway_core.routing.hosts import normalize_host, parse_host

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
