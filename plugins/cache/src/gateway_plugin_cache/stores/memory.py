"""Responses in the memory of one worker, up to a number of bytes.

Eviction is S3-FIFO (Yang and others, SOSP 2023). New entries go through a small queue, which has a tenth of the bytes:
one that is used again meanwhile goes on to the main queue, any other is dropped, and its key remembered for a while. A
key that comes back while it is remembered goes to the main queue at once. Entries of the main queue get another round
for each use, up to three. So a scan over many URLs passes through the small queue and leaves the main one alone.

A use costs one addition: nothing is moved.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import Final

from gateway_plugin_cache.entries import Entry, Resource, Variant

_SMALL_PART: Final = 10
_MOST_USES: Final = 3
_LEAST_REMEMBERED: Final = 1024
Key = tuple[str, Variant]


class MemoryStore:
    """Entries by URL and variant."""

    def __init__(self, size: int, max_variants: int) -> None:
        """Begin empty.

        :param size: bytes that all entries may take.
        :param max_variants: entries that one URL may have.
        """
        self._size = size
        self._max_variants = max_variants
        self.resources: dict[str, Resource] = {}
        self._small: OrderedDict[Key, Entry] = OrderedDict()
        self._main: OrderedDict[Key, Entry] = OrderedDict()
        self._small_bytes = self._main_bytes = 0
        self._remembered: OrderedDict[int, None] = OrderedDict()
        self.evictions = 0
        """Entries that were dropped for want of room."""

    def __len__(self) -> int:
        return len(self._small) + len(self._main)

    @property
    def used(self) -> int:
        """Bytes that all entries take."""
        return self._small_bytes + self._main_bytes

    def put(self, entry: Entry) -> bool:
        """Keep an entry in place of the one for the same requests; return whether there is room for it at all."""
        if entry.size > self._size:
            return False
        resource = self.resources.get(entry.url)
        if resource is None:
            resource = self.resources[entry.url] = Resource()
        elif resource.vary != entry.vary:
            # What was stored by other request fields would not be found any more.
            for each in list(resource.entries.values()):
                self._forget(each)
            self.resources[entry.url] = resource
        resource.vary = entry.vary
        old, key = resource.entries.get(entry.variant), (entry.url, entry.variant)
        is_known = old is not None and (old.uses > 0 or key in self._main)
        if old is not None:
            self._unqueue(old)
        elif len(resource.entries) >= self._max_variants:
            self._forget(next(iter(resource.entries.values())))
            self.resources[entry.url] = resource
        resource.entries[entry.variant] = entry
        if is_known or self._remembered.pop(hash(key), False) is None:
            self._main[key] = entry
            self._main_bytes += entry.size
        else:
            self._small[key] = entry
            self._small_bytes += entry.size
        self._make_room()
        return True

    def remove(self, entry: Entry) -> None:
        """Drop an entry, if it is still there."""
        resource = self.resources.get(entry.url)
        if resource is not None and resource.entries.get(entry.variant) is entry:
            self._forget(entry)

    def entries(self) -> Iterator[Entry]:
        """Yield all entries as they are now; they may be removed meanwhile."""
        yield from [*self._small.values(), *self._main.values()]

    def of_url(self, url: str) -> list[Entry]:
        """Return all entries for a URL."""
        resource = self.resources.get(url)
        return [] if resource is None else list(resource.entries.values())

    def _make_room(self) -> None:
        while self.used > self._size:
            if self._small_bytes > self._size // _SMALL_PART or not self._main:
                self._evict_small()
            else:
                self._evict_main()

    def _evict_small(self) -> None:
        key, entry = self._small.popitem(last=False)
        self._small_bytes -= entry.size
        if entry.uses > 0:
            entry.uses = 0
            self._main[key] = entry
            self._main_bytes += entry.size
            return
        self._drop(entry)
        self._remembered[hash(key)] = None
        while len(self._remembered) > max(_LEAST_REMEMBERED, len(self._main)):
            self._remembered.popitem(last=False)

    def _evict_main(self) -> None:
        key, entry = self._main.popitem(last=False)
        if entry.uses > 0:
            entry.uses -= 1
            self._main[key] = entry
            return
        self._main_bytes -= entry.size
        self._drop(entry)

    def _drop(self, entry: Entry) -> None:
        self.evictions += 1
        self._unlist(entry)

    def _forget(self, entry: Entry) -> None:
        self._unqueue(entry)
        self._unlist(entry)

    def _unqueue(self, entry: Entry) -> None:
        key = (entry.url, entry.variant)
        if self._small.get(key) is entry:
            del self._small[key]
            self._small_bytes -= entry.size
        elif self._main.get(key) is entry:
            del self._main[key]
            self._main_bytes -= entry.size

    def _unlist(self, entry: Entry) -> None:
        resource = self.resources.get(entry.url)
        if resource is not None and resource.entries.get(entry.variant) is entry:
            del resource.entries[entry.variant]
            if not resource.entries:
                del self.resources[entry.url]


def note_use(entry: Entry) -> None:
    """Note that an entry was used."""
    if entry.uses < _MOST_USES:
        entry.uses += 1
