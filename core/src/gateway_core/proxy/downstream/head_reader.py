"""The reader of a connection's heads, which remembers the last one.

`HeadReader.read` has three ways, by how much of a head came before on the connection. Mostly all of it is new:
`read_head` (:mod:`gateway_core.proxy.wire.request_head`) reads it, and only where it comes from is known, since it says
nothing of that itself and is for the same host as the last one that did not. Fields that are those of the head before,
with another target, mean the same again. And clients that poll or test send the same bytes again and again: when they
come a second time, a `CachedHead` is made from the head; from then on neither reading nor routing it takes any work.

What is remembered is immutable and belongs to one snapshot: it is forgotten when another takes its place, and when the
connection has been idle for a while (`IdleHeads`).
"""

from __future__ import annotations

from typing import Final

from gateway_core.messages.fields import FieldNames
from gateway_core.proxy.downstream.client import Client
from gateway_core.proxy.route_lookup import find_route
from gateway_core.proxy.wire.forwarding import Origin
from gateway_core.proxy.wire.request_head import HeadProblem, RequestHead, read_head
from gateway_core.routing import Match
from gateway_core.snapshot import Snapshot

_LARGEST: Final = 16384
"""Bytes of a remembered head at most."""
_MOST_ABSENT: Final = 8
"""Sets of fields that a head is known not to have."""


class CachedHead(RequestHead):
    """A head that was repeated: with its route."""

    __slots__ = ("_absent",)

    def __init__(self, head: RequestHead, client: Client, snapshot: Snapshot) -> None:
        """Find out once what is the same for every request of a client with this head."""
        for name in RequestHead.__slots__:
            setattr(self, name, getattr(head, name))
        self._absent: tuple[FieldNames, ...] = ()
        """Finds reserved fields, none of which the head has."""
        if head.refusal is not None or head.responder:
            return
        chain = snapshot.global_chain
        reserved = [chain.reserved]
        facts = head.facts
        if not chain.request:
            found = find_route(client.router_in(snapshot, facts.host), facts.host, head)
            if isinstance(found, Match):  # each request gets the same, which nothing changes
                self.match = found
                reserved.append(found.payload.chain.reserved_by_route)
        self._absent = tuple(lines for lines in reserved if lines is not None and not lines.are_in(facts.lowered))

    def forget_route(self) -> None:
        """Have the route found again: its configuration was replaced before the request was begun."""
        self.match = None

    def is_free_of(self, reserved: FieldNames) -> bool:
        return reserved in self._absent

    def has_any(self, names: FieldNames) -> bool:
        if names in self._absent:
            return False
        found = super().has_any(names)
        if not found and len(self._absent) < _MOST_ABSENT:
            self._absent += (names,)
        return found


class HeadReader:
    """Reads the heads of one connection, and remembers the last one."""

    __slots__ = (
        "_client", "_head", "_host", "_is_trusted", "_max_bytes", "_max_headers", "_origin", "cached", "head_bytes",
        "snapshot",
    )  # fmt: skip

    def __init__(self, client: Client) -> None:
        self._client = client
        self.snapshot: Snapshot | None = None
        """What all that is remembered belongs to."""
        self.head_bytes = b""
        """Of the last head."""
        self._head: RequestHead | None = None
        self.cached: CachedHead | None = None
        """The last head, if it came more than once."""
        self._origin: Origin | None = None
        """Where requests come from that say nothing of it, for one host."""
        self._host = ""

    def clear(self) -> None:
        """Forget everything."""
        self.snapshot = self._head = self.cached = self._origin = None
        self.head_bytes, self._host = b"", ""

    @property
    def is_empty(self) -> bool:
        """Whether nothing is remembered."""
        return self._head is None

    def read(self, data: bytes, position: int, snapshot: Snapshot) -> RequestHead | HeadProblem | None:
        """Return the head at a position, or as `read_head` does if there is none."""
        if self.snapshot is not snapshot:
            self._renew(snapshot)
        last, client = self._head, self._client
        if last is not None and data[position : position + last.size] == self.head_bytes:
            self.cached = cached = self.cached or CachedHead(last, client, snapshot)
            return cached
        facts = last.facts if last is not None and last.line else None
        head = read_head(data, position, self._max_bytes, self._max_headers, is_trusted=self._is_trusted, known=facts)
        if head is None or isinstance(head, HeadProblem):
            return head
        origin = self._origin
        if last is not None and head.facts is facts and last.refusal is None:
            head.place(last.origin, snapshot.path_policy)
        elif origin is not None and head.facts.is_silent and head.facts.host == self._host:
            head.place(origin, snapshot.path_policy)  # the usual client: it says nothing of where it comes from
        else:
            client.place(head, snapshot)
            if not head.facts.keep_alive:
                return head  # the connection's last one: nothing will be like it
            self._origin, self._host = client.usual_origin(snapshot)
        self._head, self.cached = head, None
        self.head_bytes = data[position : position + head.size] if head.size <= _LARGEST else b""
        return head

    def _renew(self, snapshot: Snapshot) -> None:
        if self.snapshot is not None:
            self.clear()
        self.snapshot = snapshot
        limits = snapshot.limits
        self._max_bytes, self._max_headers = limits.max_head_bytes, limits.max_headers
        self._is_trusted = self._client.is_trusted_in(snapshot)
