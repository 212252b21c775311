"""Responses of one binding as its gateways share them: which keys they have, and what their purges do here."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Coroutine
from typing import Final

from gateway_plugin_sdk import Clock
from gateway_plugin_sdk.valkey import StoreAwayError

from gateway_plugin_cache.admission import Admission, Lookup
from gateway_plugin_cache.config import CacheConfig, ValkeyOptions
from gateway_plugin_cache.entries import Entry, Stamp, vary_values
from gateway_plugin_cache.purging import Purger, PurgeSelector
from gateway_plugin_cache.stores.memory import MemoryStore
from gateway_plugin_cache.stores.purge_log import PurgeRecord
from gateway_plugin_cache.stores.valkey import Result, SharedStore
from gateway_plugin_cache.stores.wire import SharedEntry, decode, encode_entry, encode_names, key_of

_VALIDATED: Final = 600.0
"""Seconds for which a response with a validator is shared after its last use: it spares its body being sent again."""


class Sharing:
    """What the gateways with one binding share."""

    def __init__(
        self, config: CacheConfig, options: ValkeyOptions, place: str, clock: Clock, memory: MemoryStore,
        admission: Admission, purger: Purger, log: logging.Logger, count: Callable[[Result], None],
    ) -> None:  # fmt: skip
        # Gateways whose options differ store other responses; what they purge is the same.
        rules = config.model_dump_json(exclude={"valkey", "memory", "collapse", "cache_status"})
        self._space = (place, hashlib.sha256(rules.encode()).hexdigest())
        self._max_age = options.max_age
        self._clock = clock
        self._memory = memory
        self._admission = admission
        self._purger = purger
        self._log = log
        self._count = count
        self.store = SharedStore(options, "log:" + key_of(place), clock, log, count, self._apply)

    @property
    def seen(self) -> Stamp:
        """The newest purge of all gateways that is known here."""
        return self.store.purges.last

    async def find(self, lookup: Lookup, known: Entry | None) -> Entry | None:
        """Return the response for a request, which is then in memory as well.

        :param known: the one that is in memory; only a newer one is of use.
        """
        key = key_of(*self._space, lookup.url, lookup.base_variant)
        found = await self._load(key)
        if isinstance(found, tuple):
            key = key_of(*self._space, lookup.url, lookup.base_variant, found, vary_values(found, lookup.headers))
            names, found = found, await self._load(key)
        else:
            names = ()
        lookup.seen = self.seen
        if found is None:
            return None
        if isinstance(found, tuple) or found.vary != names:
            self._count("refused")
            return None
        entry = self._admission.shared_entry(lookup, found)
        verdict = "purged" if entry is None else self.store.purges.verdict(entry)
        if entry is None or verdict == "purged":
            self._count("refused" if entry is None else "miss")
            return None
        if verdict == "soft":
            entry.expire(self._clock.monotonic())
        self._count("hit")
        if known is not None and entry.generated_at <= known.generated_at:
            return None
        self._memory.put(entry)
        return entry

    async def _load(self, key: str) -> SharedEntry | tuple[str, ...] | None:
        data = await self.store.load(key)
        if data is None:
            return None
        found = decode(key, data)
        if found is None:
            self._count("refused")
        return found

    def save(self, lookup: Lookup, entry: Entry) -> Coroutine[None, None, None] | None:
        """Share a response, if it is of any use for a while."""
        now = self._clock.monotonic()
        ttl = entry.policy.last_use - entry.age(now) + (_VALIDATED if entry.has_validator else 0.0)
        if ttl <= 0 or not self.store.is_asked:
            return None
        wall, key = self._clock.wall(), key_of(*self._space, entry.url, lookup.base_variant)
        values = {}
        if entry.vary:
            values[key] = encode_names(key, entry.vary)
            key = key_of(
                *self._space, entry.url, lookup.base_variant, entry.vary, vary_values(entry.vary, lookup.headers)
            )
        values[key] = encode_entry(key, entry, float(wall - entry.age(now)), float(wall))
        return self.store.save(values, min(ttl, self._max_age))

    async def announce(self, record: PurgeRecord) -> None:
        """Have all other gateways purge the same."""
        try:
            await self.store.announce(record)
        except StoreAwayError as error:
            self._count("away")
            self._log.warning("other gateways may still use what was purged: %s", error)

    async def _apply(self, stamp: Stamp, record: PurgeRecord | None) -> None:
        """Purge memory of what a gateway purged, or of everything, if that is not known."""
        if record is None:
            await self._purger.purge(PurgeSelector(), soft=False)
            return
        self._purger.drop(record.urls, stamp)
        if record.purged is not None:
            await self._purger.purge(record.purged, soft=record.soft, before=stamp)
