"""A bounded queue in which no client and no name takes the places of others. Pure: nothing here waits.

Entries are taken from the clients in turn (round robin), and of one client from the names that it tries in turn: a
client that sends a thousand guesses waits behind its own, and another client's single attempt waits one turn at most.
A full queue drops the newest entry of the client that has the most.
"""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

ItemT = TypeVar("ItemT")

Flow = tuple[str, str]
"""A client and a name."""


class FairQueue(Generic[ItemT]):
    """Items of flows, each flow in order, taken in turns."""

    __slots__ = ("_clients", "_most", "_most_per_client", "_most_per_name", "_sizes")

    def __init__(self, most: int, most_per_client: int, most_per_name: int) -> None:
        self._most = most
        self._most_per_client = most_per_client
        self._most_per_name = most_per_name
        self._clients: dict[str, dict[str, deque[ItemT]]] = {}
        """Items by client and name; what comes first in either mapping has its turn next."""
        self._sizes: dict[str, int] = {}
        """Items by client."""

    def __len__(self) -> int:
        return sum(self._sizes.values())

    def put(self, item: ItemT, client: str, name: str) -> ItemT | None:
        """Add an item; return the one that there is no place for, which may be this one, or None."""
        victim = self._victim(client, name)
        if victim == (client, name):
            return item
        evicted = None if victim is None else self._remove(victim, newest=True)
        self._clients.setdefault(client, {}).setdefault(name, deque()).append(item)
        self._sizes[client] = self._sizes.get(client, 0) + 1
        return evicted

    def take(self) -> ItemT | None:
        """Remove and return the item whose turn it is; None if there is none."""
        if not self._clients:
            return None
        client = next(iter(self._clients))
        name = next(iter(self._clients[client]))
        item = self._remove((client, name), newest=False)
        # To the end of the round, the name behind the client's other names.
        if client in self._clients:
            names = self._clients.pop(client)
            self._clients[client] = names
            if name in names:
                names[name] = names.pop(name)
        return item

    def _remove(self, flow: Flow, *, newest: bool) -> ItemT:
        client, name = flow
        names = self._clients[client]
        item = names[name].pop() if newest else names[name].popleft()
        if not names[name]:
            del names[name]
        self._sizes[client] -= 1
        if not self._sizes[client]:
            del self._sizes[client], self._clients[client]
        return item

    def _victim(self, client: str, name: str) -> Flow | None:
        """Return the flow whose newest item must go for another item of this flow, which may be it itself."""
        own = self._sizes.get(client, 0)
        if own >= self._most_per_client:
            return self._largest_of(client, name)
        tried = {other: len(names[name]) for other, names in self._clients.items() if name in names}
        if sum(tried.values()) >= self._most_per_name:
            return self._largest(tried, client), name
        if len(self) < self._most:
            return None
        largest = self._largest(self._sizes, client)
        return self._largest_of(client, name) if largest == client else self._largest_of(largest, None)

    @staticmethod
    def _largest(sizes: dict[str, int], client: str) -> str:
        """Return the client that has most, counting one more of this one."""
        # Of equals this one: a new item must not push out one that waits already.
        largest = max(sizes, key=sizes.__getitem__)
        return client if sizes.get(client, 0) + 1 >= sizes[largest] else largest

    def _largest_of(self, client: str, name: str | None) -> Flow:
        """Return the name of a client that has most, counting one more of this one."""
        sizes = {other: len(items) for other, items in self._clients.get(client, {}).items()}
        if name is not None:
            sizes[name] = sizes.get(name, 0) + 1
        return client, max(sizes, key=lambda other: (sizes[other], other == name))
