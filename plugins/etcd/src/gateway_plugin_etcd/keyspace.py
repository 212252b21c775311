"""The keys under a prefix, and how they change."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from gateway_plugin_etcd.wire import Event, KeyValue


@dataclass(frozen=True, slots=True)
class Scope:
    """The keys that count: those below a prefix, as in a tree of files, or one key."""

    first: bytes
    beyond: bytes
    """The first key that is out of it; these two are etcd's ``key`` and ``range_end``."""

    @classmethod
    def below(cls, prefix: str) -> Scope:
        """Return what is below a prefix: ``/gateway`` takes ``/gateway/a``, neither ``/gateway`` nor ``/gateway-2/a``.

        A user of etcd needs to be granted no more than to read ``/gateway/`` as a prefix.
        """
        first = prefix.encode().rstrip(b"/") + b"/"
        return cls(first, first[:-1] + b"0")  # what follows a slash

    @classmethod
    def exactly(cls, key: str) -> Scope:
        """Return one key."""
        return cls(key.encode(), key.encode() + b"\0")

    def __contains__(self, key: bytes) -> bool:
        return self.first <= key < self.beyond

    def relative(self, key: bytes) -> bytes:
        """Return the key without what all keys begin with."""
        return key.removeprefix(self.first) or key


class Keyspace:
    """What is known of a scope."""

    __slots__ = ("entries", "scope")

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.entries: dict[bytes, KeyValue] = {}

    def replace(self, entries: Iterable[KeyValue]) -> bool:
        """Have these entries and no others; unchanged ones stay the same objects.

        :returns: whether that is a change.
        """
        listed = (entry for entry in entries if entry.key in self.scope)
        fresh = {entry.key: known if (known := self.entries.get(entry.key)) == entry else entry for entry in listed}
        has_changed = fresh != self.entries
        self.entries = fresh
        return has_changed

    def apply(self, events: Iterable[Event]) -> bool:
        """Take in what happened; an event that is older than what is known has been seen already.

        :returns: whether that is a change.
        """
        has_changed = False
        for event in events:
            known = self.entries.get(event.key)
            if event.key not in self.scope or (known is not None and known.revision >= event.revision):
                continue
            if isinstance(event, KeyValue):
                self.entries[event.key] = event
                has_changed = True
            elif known is not None:
                del self.entries[event.key]
                has_changed = True
        return has_changed

    def sorted(self) -> list[KeyValue]:
        """Return the entries in the order of their keys."""
        return [self.entries[key] for key in sorted(self.entries)]
