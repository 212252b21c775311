"""What all gateways purged, in order: decides whether a response that one of them shared is still good.

Each purge has the stamp of its record in Valkey's stream, and each response the newest stamp that was known when its
fetch began. So a response is purged by what has a later stamp, also if its fetch ended after the purge. Only so many
purges are known: what is older than those counts as purged.
"""

from __future__ import annotations

import json
from collections import OrderedDict, deque
from dataclasses import dataclass
from typing import Final, Literal

from gateway_plugin_cache.entries import NEVER, Entry, Stamp
from gateway_plugin_cache.purging import PurgeSelector

MOST_RECORDS: Final = 10_000
_MOST_OTHERS: Final = 1000
_LONGEST: Final = 65_536
"""Bytes of one record."""


@dataclass(frozen=True, slots=True)
class PurgeRecord:
    """One purge: URLs that were changed, or what an operator chose."""

    urls: tuple[str, ...] = ()
    purged: PurgeSelector | None = None
    soft: bool = False

    def encode(self) -> bytes:
        """Return it as a value of the stream."""
        chosen = None if self.purged is None else [self.purged.url, self.purged.tag, self.purged.prefix]
        return json.dumps({"urls": self.urls, "purged": chosen, "soft": self.soft}).encode()

    @classmethod
    def decode(cls, data: bytes) -> PurgeRecord:
        """Read a value of the stream. What cannot be read purges everything: it was meant to purge something."""
        everything = cls(purged=PurgeSelector())
        if len(data) > _LONGEST:
            return everything
        try:
            found = json.loads(data)
        except (ValueError, RecursionError):
            return everything
        if not isinstance(found, dict):
            return everything
        urls, chosen, soft = found.get("urls"), found.get("purged"), found.get("soft")
        if not (isinstance(urls, list) and all(isinstance(each, str) for each in urls) and isinstance(soft, bool)):
            return everything
        if chosen is None:
            return cls(tuple(urls))
        is_choice = isinstance(chosen, list) and len(chosen) == 3
        if not is_choice or not all(each is None or isinstance(each, str) for each in chosen):
            return everything
        return cls(tuple(urls), PurgeSelector(*chosen), soft)

    def has(self, entry: Entry) -> bool:
        """Whether a response is one of them."""
        return entry.url in self.urls or (self.purged is not None and self.purged.has(entry))


class PurgeLog:
    """The latest purges of all gateways."""

    def __init__(self) -> None:
        self.last: Stamp = NEVER
        """The newest stamp that is known."""
        self.floor: Stamp = NEVER
        """What was fetched before this may have been purged by a record that is not known."""
        self._urls: OrderedDict[str, Stamp] = OrderedDict()
        self._others: deque[tuple[Stamp, PurgeRecord]] = deque()

    def add(self, stamp: Stamp, record: PurgeRecord) -> None:
        """Add the next one."""
        self.last = stamp
        for url in record.urls:
            self._urls[url] = stamp
            self._urls.move_to_end(url)
        while len(self._urls) > MOST_RECORDS:
            self.floor = max(self.floor, self._urls.popitem(last=False)[1])
        if record.purged is not None:
            self._others.append((stamp, record))
            if len(self._others) > _MOST_OTHERS:
                self.floor = max(self.floor, self._others.popleft()[0])

    def reset(self, stamp: Stamp) -> None:
        """Begin with a stamp, without knowing what was purged before."""
        self.last = self.floor = stamp
        self._urls.clear()
        self._others.clear()

    def verdict(self, entry: Entry) -> Literal["good", "soft", "purged"]:
        """Return whether a response may be used as it is, after validation, or not at all."""
        seen = entry.seen
        if not self.floor <= seen <= self.last or self._urls.get(entry.url, NEVER) > seen:
            return "purged"
        found = [record for stamp, record in self._others if stamp > seen and record.has(entry)]
        if not found:
            return "good"
        return "soft" if all(record.soft for record in found) else "purged"
