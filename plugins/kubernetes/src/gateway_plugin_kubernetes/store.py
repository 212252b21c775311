"""A copy of one collection of an API server, reduced to what we need of each object, for any number of readers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any, Generic, TypeVar

from gateway_plugin_kubernetes.api import Object

ItemT = TypeVar("ItemT")
Key = tuple[str, str]
"""Namespace and name."""


def key_of(item: Object) -> Key:
    """Return what identifies an object in its collection."""
    found = item.get("metadata")
    metadata: dict[str, Any] = found if isinstance(found, dict) else {}
    return str(metadata.get("namespace") or ""), str(metadata.get("name") or "")


class Changes:
    """What one reader of stores has not seen yet, however often it changed."""

    __slots__ = ("changed", "keys", "topic")

    def __init__(self, changed: asyncio.Event, topic: str | None) -> None:
        self.changed = changed
        """Set when there is something to take, or the server went away or came back; the reader clears it."""
        self.topic = topic
        """The only topic whose changes are kept; None keeps all."""
        self.keys: set[Key] = set()

    def take(self) -> set[Key]:
        """Return the keys of what changed since the last call."""
        keys, self.keys = self.keys, set()
        return keys


class Store(Generic[ItemT]):
    """The objects of one collection.

    A change costs the readers that are interested in its *topic*, such as the Service that an EndpointSlice belongs to:
    with hundreds of readers, a change of one Service concerns few of them.
    """

    __slots__ = ("_by_topic", "_read", "_readers", "_topic_of", "failure", "is_listed", "items")

    def __init__(
        self, read: Callable[[Object], ItemT], topic_of: Callable[[Key, ItemT], str] = lambda key, _: key[1]
    ) -> None:
        """Begin empty.

        :param read: takes from an object what is needed; equal results are no change.
        :param topic_of: returns the topic of an item; its name unless given.
        """
        self.items: dict[Key, ItemT] = {}
        self.is_listed = False
        """Whether the whole collection was seen."""
        self.failure = ""
        """Why the copy may be out of date; empty if it is not."""
        self._read = read
        self._topic_of = topic_of
        self._readers: list[Changes] = []
        self._by_topic: dict[str | None, list[Changes]] = {}

    def subscribe(self, changed: asyncio.Event, topic: str | None = None) -> Changes:
        """Keep changes for a reader, who has seen nothing yet."""
        reader = Changes(changed, topic)
        reader.keys = {key for key, item in self.items.items() if topic is None or self._topic_of(key, item) == topic}
        self._readers.append(reader)
        self._by_topic.setdefault(topic, []).append(reader)
        if self.is_listed or self.failure:
            changed.set()
        return reader

    def unsubscribe(self, reader: Changes) -> None:
        """Undo a :meth:`subscribe`."""
        self._readers.remove(reader)
        self._by_topic[reader.topic].remove(reader)
        if not self._by_topic[reader.topic]:
            del self._by_topic[reader.topic]

    def read(self, objects: Iterable[Object]) -> dict[Key, ItemT]:
        """Return what is needed of some objects, for `replace`: a long list is read page by page."""
        return {key_of(item): self._read(item) for item in objects}

    def replace(self, found: dict[Key, ItemT]) -> None:
        """Have exactly these items."""
        before, self.items = self.items, found
        for key in before.keys() | found.keys():
            if before.get(key) != found.get(key):
                self._touch(key, before.get(key), found.get(key))
        if not self.is_listed:
            self.is_listed = True
            self._wake_all()

    def put(self, item: Object) -> None:
        """Have this object, new or changed."""
        key, value = key_of(item), self._read(item)
        before = self.items.get(key)
        if before != value:
            self.items[key] = value
            self._touch(key, before, value)

    def remove(self, item: Object) -> None:
        """Do not have this object any more."""
        key = key_of(item)
        before = self.items.pop(key, None)
        if before is not None:
            self._touch(key, before, None)

    def note(self, failure: str) -> None:
        """Say why the server cannot be asked, or with an empty text that it can."""
        if failure != self.failure:
            self.failure = failure
            self._wake_all()

    def _touch(self, key: Key, before: ItemT | None, after: ItemT | None) -> None:
        topics: set[str | None] = {None}
        topics |= {self._topic_of(key, item) for item in (before, after) if item is not None}
        for topic in topics:
            for reader in self._by_topic.get(topic, ()):
                reader.keys.add(key)
                reader.changed.set()

    def _wake_all(self) -> None:
        for reader in self._readers:
            reader.changed.set()
