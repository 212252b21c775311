"""Keep shared things alive across snapshots.

A thing (a plugin instance, an endpoint, a connection pool) is keyed by everything that it depends
on. A new snapshot acquires what it needs before the old one releases, so that what did not change
is the same object in both, with its counters, caches and connections.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
T = TypeVar("T")


async def close(value: object) -> None:
    """Await the value's ``aclose()`` if it has one."""
    # Looked up by name: instances of a runtime-checkable protocol are found slowly, and endpoints come and go often.
    aclose = getattr(value, "aclose", None)
    if aclose is not None:
        await aclose()


class Lease(Generic[V]):
    """The right to use a shared value until released."""

    __slots__ = ("_entry", "is_new", "value")

    def __init__(self, entry: _Entry[V], *, is_new: bool) -> None:
        entry.holders += 1
        self._entry: _Entry[V] | None = entry
        self.value = entry.value
        self.is_new = is_new
        """Whether this lease made the value, so that its holder is the one to start it."""

    def share(self) -> Lease[V]:
        """Return another lease on the value, for as long as this one is held.

        :raises RuntimeError: this one was released.
        """
        if self._entry is None:
            raise RuntimeError("a lease that was released cannot be shared")
        return Lease(self._entry, is_new=False)

    def release(self) -> V | None:
        """Give the lease back.

        :returns: the value if this was its last lease, for the caller to close; otherwise None.
            A second call does nothing.
        """
        entry, self._entry = self._entry, None
        if entry is None:
            return None
        entry.holders -= 1
        if entry.holders:
            return None
        # From here on the key is free: a value that is being closed is never handed out again.
        entry.forget()
        return self.value

    async def aclose(self) -> None:
        """Release, and close the value if this was the last lease."""
        await close(self.release())


class Leases(Generic[K, V]):
    """Values by key, each of which lives as long as there is a lease on it."""

    __slots__ = ("_entries",)

    def __init__(self) -> None:
        self._entries: dict[K, _Entry[V]] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: K) -> bool:
        return key in self._entries

    def get(self, key: K) -> V | None:
        """Return the value of this key, if there is a lease on it."""
        entry = self._entries.get(key)
        return None if entry is None else entry.value

    def keys(self) -> list[K]:
        """Return the keys whose values have leases."""
        return list(self._entries)

    def values(self) -> list[V]:
        """Return the values on which there are leases."""
        return [entry.value for entry in self._entries.values()]

    def acquire(self, key: K, factory: Callable[[], V]) -> Lease[V]:
        """Return a lease on the value of this key, which the factory makes if there is none.

        Whatever the factory raises passes through and leaves nothing behind.
        """
        entry = self._entries.get(key)
        if entry is not None:
            return Lease(entry, is_new=False)
        entry = self._entries[key] = _Entry(self._entries, key, factory())
        return Lease(entry, is_new=True)


class _Entry(Generic[V]):
    """A value that is in use. It refers to the table, not to its leases: a lease that is dropped makes no cycle."""

    __slots__ = ("_entries", "_key", "holders", "value")

    def __init__(self, entries: dict[Any, _Entry[V]], key: Hashable, value: V) -> None:
        self._entries = entries
        self._key = key
        self.value = value
        self.holders = 0
        """How many leases there are."""

    def forget(self) -> None:
        """Free the key."""
        del self._entries[self._key]


class LeaseHolder:
    """The leases of one owner, such as a snapshot, given back together."""

    __slots__ = ("_leases",)

    def __init__(self) -> None:
        self._leases: list[Lease[object]] = []

    def hold(self, lease: Lease[T]) -> T:
        """Keep a lease until :meth:`aclose`, and return its value."""
        self._leases.append(lease)  # type: ignore[arg-type]  # only ever released, which is safe for any value
        return lease.value

    async def aclose(self) -> None:
        """Release everything in reverse order and close what has no other lease.

        A value that fails to close does not keep the others open; all failures are raised together.
        """
        errors: list[Exception] = []
        while self._leases:
            try:
                await self._leases.pop().aclose()
            except Exception as error:  # noqa: BLE001 - collected and raised below
                errors.append(error)
        if errors:
            raise ExceptionGroup("some leased values failed to close", errors)
