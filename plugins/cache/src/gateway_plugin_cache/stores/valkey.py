"""Responses that several gateways share on a Valkey or Redis server, and the stream of what they purged.

Whatever goes wrong is a miss. No request waits longer than the timeout; after a failure none asks for a second.
Reading a response and the newest stamp of the stream is one script, so a purge that has returned holds for all reads.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final, Literal, get_args

from gateway_plugin_sdk import Clock
from gateway_plugin_sdk.valkey import StoreAwayError, ValkeyValues

from gateway_plugin_cache.config import ValkeyOptions
from gateway_plugin_cache.entries import NEVER, Stamp
from gateway_plugin_cache.stores.purge_log import MOST_RECORDS, PurgeLog, PurgeRecord

Result = Literal["hit", "miss", "refused", "away", "stored", "skipped"]
"""What became of a response at the server, in the metric."""
RESULTS: Final[tuple[Result, ...]] = get_args(Result)

_PAUSE: Final = 1.0
"""Seconds without questions after a failure."""
_BLOCK_MS: Final = 5000
_MOST_SAVES: Final = 32
"""Responses that are being written at once; more are not shared."""

_READ: Final = """
local newest = redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', 1)
local stamp = newest[1] and newest[1][1] or '0-0'
local size = redis.pcall('STRLEN', KEYS[1])
if type(size) ~= 'number' or size > tonumber(ARGV[1]) then return {stamp, 1, ''} end
if size == 0 then return {stamp, 0, ''} end
return {stamp, 0, redis.call('GET', KEYS[1])}
"""
_SINCE: Final = """
local first = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)
local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)
local records = redis.call('XRANGE', KEYS[1], '(' .. ARGV[1], '+', 'COUNT', ARGV[2])
return {first[1] and first[1][1] or '0-0', last[1] and last[1][1] or '0-0', redis.call('XLEN', KEYS[1]), records}
"""

Apply = Callable[[Stamp, PurgeRecord | None], Awaitable[None]]
"""Called with each purge of any gateway; without a record for everything, since some may have been missed."""


class SharedStore:
    """The server, for one binding."""

    def __init__(
        self, options: ValkeyOptions, log_key: str, clock: Clock, log: logging.Logger,
        count: Callable[[Result], None], apply: Apply,
    ) -> None:  # fmt: skip
        self._prefix = options.prefix
        self._log_key = options.prefix + log_key
        self._timeout = options.timeout
        self._max_value = options.max_value
        self._values = ValkeyValues(options)
        # A connection of its own waits for purges; its commands last.
        waiting = {"timeout": _BLOCK_MS / 1000 + max(5.0, options.timeout), "max_connections": 1}
        self._waiting = ValkeyValues(options.model_copy(update=waiting))
        self._now = clock.monotonic
        self._log = log
        self._count = count
        self._apply = apply
        self._sync = asyncio.Lock()
        self._away_until = 0.0
        self._is_away = False
        self._saves = 0
        self.purges = PurgeLog()

    async def start(self) -> None:
        """Prepare; connections are made when they are needed.

        :raises GatewayError: the library is not installed.
        """
        await self._values.start()
        await self._waiting.start()

    async def stop(self) -> None:
        """Close the connections."""
        await self._values.stop()
        await self._waiting.stop()

    @property
    def is_asked(self) -> bool:
        """Whether requests ask it: it did not fail just now."""
        return not self._is_away or self._now() >= self._away_until

    async def load(self, key: str) -> bytes | None:
        """Return a value; None if there is none, it is too large, or the server does not respond in time."""
        try:
            async with asyncio.timeout(self._timeout):
                stamp, is_refused, value = await self._values.run(
                    "EVAL", _READ, 2, self._prefix + key, self._log_key, self._max_value
                )
                if _stamp(stamp) != self.purges.last:
                    await self._catch_up(_stamp(stamp))
        except (StoreAwayError, TimeoutError, ValueError, TypeError) as error:
            self._failed(error)
            return None
        self._succeeded()
        if not value:
            self._count("refused" if is_refused else "miss")
        return bytes(value) or None

    async def save(self, values: dict[str, bytes], ttl: float) -> None:
        """Write values for some seconds, unless they are too large or too many are being written."""
        if self._saves >= _MOST_SAVES or not self.is_asked or max(map(len, values.values())) > self._max_value:
            self._count("skipped")
            return
        self._saves += 1
        try:
            async with asyncio.timeout(self._timeout):
                for key, value in values.items():
                    await self._values.put(key, value, ttl)
        except (StoreAwayError, TimeoutError) as error:
            self._failed(error)
        else:
            self._count("stored")
        finally:
            self._saves -= 1

    async def announce(self, record: PurgeRecord) -> None:
        """Have all gateways purge something.

        :raises StoreAwayError: they may not have learned of it.
        """
        try:
            async with asyncio.timeout(self._timeout):
                await self._values.run("XADD", self._log_key, "MAXLEN", MOST_RECORDS, "*", "purge", record.encode())
        except TimeoutError:
            raise StoreAwayError("valkey: no response in time") from None

    async def follow(self) -> None:
        """Apply purges of all gateways as they come, until cancelled."""
        while True:
            try:
                last = _text(self.purges.last)
                await self._waiting.run("XREAD", "COUNT", 1, "BLOCK", _BLOCK_MS, "STREAMS", self._log_key, last)
                await self._catch_up(None)
            except (StoreAwayError, ValueError, TypeError) as error:
                self._failed(error)
                await asyncio.sleep(_PAUSE)
            else:
                self._succeeded()

    async def _catch_up(self, newest: Stamp | None) -> None:
        """Apply what is new in the stream, unless the newest stamp is known already."""
        async with self._sync:
            last = self.purges.last
            if newest is not None and newest <= last:
                return
            reply = await self._values.run("EVAL", _SINCE, 1, self._log_key, _text(last), MOST_RECORDS)
            first, end, length, records = _stamp(reply[0]), _stamp(reply[1]), int(reply[2]), reply[3]
            found = [(_stamp(stamp), PurgeRecord.decode(bytes(fields[1]))) for stamp, fields in records]
            if last != NEVER and (first > last or end < last):
                # The stream was shortened or lost meanwhile: what it had is not known.
                self.purges.reset(end)
                await self._apply(end, None)
                return
            if last == NEVER and length >= MOST_RECORDS:
                self.purges.floor = first
            for stamp, record in found:
                self.purges.add(stamp, record)
                await self._apply(stamp, record)

    def _failed(self, error: Exception) -> None:
        self._count("away")
        self._away_until = self._now() + _PAUSE
        if not self._is_away:
            self._is_away = True
            self._log.warning("valkey does not respond, responses are not shared: %s", str(error) or "no response")

    def _succeeded(self) -> None:
        if self._is_away:
            self._is_away = False
            self._log.info("valkey responds again")


def _text(stamp: Stamp) -> str:
    return f"{stamp[0]}-{stamp[1]}"


def _stamp(value: object) -> Stamp:
    """Read the id of a record.

    :raises ValueError: it is none.
    """
    text = value.decode("ascii") if isinstance(value, bytes) else str(value)
    millis, _, number = text.partition("-")
    return int(millis), int(number)
