"""A copy of one collection of an API server, reduced to what we need of each object."""

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
    metadata: dict[str, Any] = item.get("metadata") or {}
    return str(metadata.get("namespace") or ""), str(metadata.get("name") or "")


class Store(Generic[ItemT]):
    """The objects of one collection; what changed is kept until somebody takes it, however often it changed."""

    __slots__ = ("_changed", "_read", "_touched", "failure", "is_listed", "items")

    def __init__(self, read: Callable[[Object], ItemT], changed: asyncio.Event) -> None:
        """Begin empty.

        :param read: takes from an object what is needed; equal results are no change.
        :param changed: set when there is something to take, or the server went away or came back.
        """
        self.items: dict[Key, ItemT] = {}
        self.is_listed = False
        """Whether the whole collection was seen."""
        self.failure = ""
        """Why the copy may be out of date; empty if it is not."""
        self._read = read
        self._changed = changed
        self._touched: set[Key] = set()

    def read(self, objects: Iterable[Object]) -> dict[Key, ItemT]:
        """Return what is needed of some objects, for `replace`: a long list is read page by page."""
        return {key_of(item): self._read(item) for item in objects}

    def replace(self, found: dict[Key, ItemT]) -> None:
        """Have exactly these items."""
        different = {key for key in self.items.keys() | found.keys() if self.items.get(key) != found.get(key)}
        if different or not self.is_listed:
            self._changed.set()
        self._touched |= different
        self.items = found
        self.is_listed = True

    def put(self, item: Object) -> None:
        """Have this object, new or changed."""
        key, value = key_of(item), self._read(item)
        if self.items.get(key) != value:
            self.items[key] = value
            self._touched.add(key)
            self._changed.set()

    def remove(self, item: Object) -> None:
        """Do not have this object any more."""
        key = key_of(item)
        if self.items.pop(key, None) is not None:
            self._touched.add(key)
            self._changed.set()

    def note(self, failure: str) -> None:
        """Say why the server cannot be asked, or with an empty text that it can."""
        if failure != self.failure:
            self.failure = failure
            self._changed.set()

    def take(self) -> set[Key]:
        """Return the keys of what changed since the last call."""
        touched, self._touched = self._touched, set()
        return touched
