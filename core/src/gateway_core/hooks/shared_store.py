"""The values that one binding shares between its instances: bytes by key, bounded, with times to live.

A store is plain data: it has no clock and no lock. Its owner, the serving process or the supervisor of several,
applies one operation after the other to it, and that is what makes `add` and `increment` atomic.

Entries that expire are found by a heap of (deadline, key). An entry that was replaced leaves a stale pair in the heap,
which is recognised by its deadline; the heap is made new when most of it is stale.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple

from gateway_core.errors import GatewayError

LARGEST: Final = 8 << 20
"""Bytes that the values of a binding may take together, and its keys as well."""

_ENTRY_COST: Final = 64
"""Bytes that each key counts beside its own length, so that the number of entries is bounded."""

_LARGEST_NUMBER: Final = 1 << 63

Operation = Literal["get", "put", "add", "increment", "delete"]


class SharedStoreFull(GatewayError):  # noqa: N818 - the public name of the plugin API
    """The values of a binding take all the memory that it may have; nothing was changed."""


class SharedCall(NamedTuple):
    """One operation on the store of a binding."""

    owner: str
    """Which store: the plugin's name and the binding's path."""

    operation: Operation
    key: str
    value: bytes = b""
    by: int = 0
    ttl: float | None = None


SharedResult = bytes | bool | int | None


@dataclass(slots=True)
class _Entry:
    value: bytes
    deadline: float | None


class SharedStore:
    """The values of one binding."""

    __slots__ = ("_entries", "_expiring", "_key_bytes", "_limit", "_value_bytes")

    def __init__(self, limit: int = LARGEST) -> None:
        self._limit = limit
        self._entries: dict[str, _Entry] = {}
        self._expiring: list[tuple[float, str]] = []
        self._key_bytes = 0
        self._value_bytes = 0

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: str, now: float) -> bytes | None:
        """Return the value of a key; None if there is none or it has expired."""
        self._expire(now)
        entry = self._entries.get(key)
        return None if entry is None else entry.value

    def put(self, key: str, value: bytes, ttl: float | None, now: float) -> None:
        """Set a value, which then lives for ``ttl`` seconds, or until it is deleted.

        :raises SharedStoreFull: there is no room for it.
        """
        self._expire(now)
        self._set(key, value, None if ttl is None else now + ttl)

    def add(self, key: str, value: bytes, ttl: float | None, now: float) -> bool:
        """Set a value if the key has none, and return whether it was set.

        :raises SharedStoreFull: there is no room for it.
        """
        self._expire(now)
        if key in self._entries:
            return False
        self._set(key, value, None if ttl is None else now + ttl)
        return True

    def increment(self, key: str, by: int, ttl: float | None, now: float) -> int:
        """Add to a number, kept as decimal digits, and return the sum; a missing one counts as 0.

        :param ttl: seconds that a number lives which this call makes; one that is there keeps its time.
        :raises ValueError: the value is not a number, or the sum does not fit into 64 bits.
        :raises SharedStoreFull: there is no room for it.
        """
        self._expire(now)
        entry = self._entries.get(key)
        number = by + (0 if entry is None else _number(key, entry.value))
        if not -_LARGEST_NUMBER <= number < _LARGEST_NUMBER:
            raise ValueError(f"the value of {key!r} does not fit into 64 bits any more")
        deadline = (None if ttl is None else now + ttl) if entry is None else entry.deadline
        self._set(key, b"%d" % number, deadline)
        return number

    def delete(self, key: str, now: float) -> None:
        """Remove a key, if it is there."""
        self._expire(now)
        self._remove(key)

    def items(self, now: float) -> list[tuple[str, bytes, float | None]]:
        """Return every key with its value and the seconds that it still lives, None for those without an end."""
        self._expire(now)
        return [
            (key, entry.value, None if entry.deadline is None else entry.deadline - now)
            for key, entry in self._entries.items()
        ]

    def _set(self, key: str, value: bytes, deadline: float | None) -> None:
        old = self._entries.get(key)
        key_bytes = self._key_bytes + (_cost(key) if old is None else 0)
        value_bytes = self._value_bytes + len(value) - (0 if old is None else len(old.value))
        # What does not grow is always possible, so that a full store can still count.
        if max(key_bytes, value_bytes) > self._limit and (key_bytes, value_bytes) != (
            self._key_bytes,
            self._value_bytes,
        ):
            raise SharedStoreFull(
                f"no room for {key!r} ({len(value)} bytes): the shared values of a binding may take"
                f" {self._limit >> 20} MiB, give them a ttl or delete some"
            )
        self._key_bytes, self._value_bytes = key_bytes, value_bytes
        self._entries[key] = _Entry(value, deadline)
        if deadline is not None and (old is None or old.deadline != deadline):
            heapq.heappush(self._expiring, (deadline, key))
            if len(self._expiring) > 2 * len(self._entries) + 64:
                self._rebuild()

    def _remove(self, key: str) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._key_bytes -= _cost(key)
            self._value_bytes -= len(entry.value)

    def _expire(self, now: float) -> None:
        while self._expiring and self._expiring[0][0] <= now:
            deadline, key = heapq.heappop(self._expiring)
            entry = self._entries.get(key)
            if entry is not None and entry.deadline == deadline:
                self._remove(key)

    def _rebuild(self) -> None:
        self._expiring = [(entry.deadline, key) for key, entry in self._entries.items() if entry.deadline is not None]
        heapq.heapify(self._expiring)


class SharedStores:
    """The stores of all bindings, by owner."""

    def __init__(self, limit: int = LARGEST) -> None:
        self._limit = limit
        self._stores: dict[str, SharedStore] = {}

    def __contains__(self, owner: str) -> bool:
        return owner in self._stores

    def apply(self, call: SharedCall, now: float) -> SharedResult:
        """Do what a call says, and return its result.

        :raises SharedStoreFull: there is no room for a value.
        :raises ValueError: ``increment`` met a value that is not a number.
        """
        store = self._stores.get(call.owner)
        if store is None:
            if call.operation in {"get", "delete"}:
                return None
            store = self._stores[call.owner] = SharedStore(self._limit)
        match call.operation:
            case "get":
                return store.get(call.key, now)
            case "put":
                store.put(call.key, call.value, call.ttl, now)
                return None
            case "add":
                return store.add(call.key, call.value, call.ttl, now)
            case "increment":
                return store.increment(call.key, call.by, call.ttl, now)
            case "delete":
                store.delete(call.key, now)
                return None

    def keep_only(self, owners: Collection[str]) -> None:
        """Drop the values of bindings that the configuration has no more."""
        for owner in self._stores.keys() - owners:
            del self._stores[owner]

    def dump(self, now: float) -> list[tuple[str, Sequence[tuple[str, bytes, float | None]]]]:
        """Return everything, for `load` in the program that takes over."""
        return [(owner, items) for owner, store in self._stores.items() if (items := store.items(now))]

    def load(self, dumped: Iterable[tuple[str, Sequence[Any]]], now: float) -> None:
        """Take in what `dump` returned."""
        for owner, items in dumped:
            store = self._stores.setdefault(owner, SharedStore(self._limit))
            for key, value, ttl in items:
                store.put(key, value, ttl, now)


def _cost(key: str) -> int:
    return len(key.encode("utf-8", "surrogatepass")) + _ENTRY_COST


def _number(key: str, value: bytes) -> int:
    # int() would take blanks, underscores and digits beyond measure.
    if len(value) > 20 or not value.removeprefix(b"-").isdigit():
        raise ValueError(f"the value of {key!r} is not a number: increment takes what it wrote itself")
    return int(value)
