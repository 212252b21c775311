"""A Valkey or Redis server that a fleet shares."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Sequence
from typing import Any, Final

from gateway_plugin_sdk import GatewayError
from gateway_plugin_sdk.valkey import ServerOptions, StoreAwayError, ValkeyValues

from gateway_plugin_acme.storage import LOCK_TTL, StorageError

_FOLDER: Final = "acme/"
_LOCK: Final = _FOLDER + "lock"
_KEEP: Final = "if redis.call('get',KEYS[1])==ARGV[1] then return redis.call('pexpire',KEYS[1],ARGV[2]) end return 0"
_RELEASE: Final = "if redis.call('get',KEYS[1])==ARGV[1] then return redis.call('del',KEYS[1]) end return 0"


class ValkeyStorage:
    """Values below ``acme/`` of the configured prefix."""

    def __init__(self, options: ServerOptions) -> None:
        self._prefix = options.prefix
        self._values = ValkeyValues(options)
        self._owner = secrets.token_hex(16)

    async def start(self) -> None:
        """Import the library."""
        try:
            await self._values.start()
        except GatewayError as error:
            raise StorageError(f"storage: {error}") from error

    async def stop(self) -> None:
        """Give the lock to others and close the connections."""
        try:
            with contextlib.suppress(StorageError):  # it ends by itself
                await self.unlock()
        finally:
            await self._values.stop()

    async def get(self, name: str) -> bytes | None:
        """Return a value; None if there is none."""
        found: bytes | None = await self._run("GET", self._key(name))
        return found

    async def put(self, name: str, value: bytes, ttl: float | None = None) -> None:
        """Set a value."""
        await self._run("SET", self._key(name), value, *(() if ttl is None else ("PX", max(1, int(ttl * 1000)))))

    async def delete(self, name: str) -> None:
        """Remove a value."""
        await self._run("DEL", self._key(name))

    async def names(self, folder: str) -> Sequence[str]:
        """Return the names of a folder."""
        start, found, cursor = self._key(f"{folder}/"), set[str](), b"0"
        escaped = start.replace("\\", "\\\\").replace("[", "\\[").replace("*", "\\*").replace("?", "\\?")
        while True:
            cursor, keys = await self._run("SCAN", cursor, "MATCH", f"{escaped}*", "COUNT", 500)
            found.update(key.decode()[len(start) :] for key in keys)
            if cursor in {b"0", 0, "0"}:
                return sorted(found)

    async def lock(self) -> bool:
        """Take the lock, or keep it."""
        milliseconds = int(LOCK_TTL * 1000)
        key = self._prefix + _LOCK
        if await self._run("EVAL", _KEEP, 1, key, self._owner, milliseconds):
            return True
        return bool(await self._run("SET", key, self._owner, "NX", "PX", milliseconds))

    async def unlock(self) -> None:
        """Give the lock to others, if this process has it."""
        await self._run("EVAL", _RELEASE, 1, self._prefix + _LOCK, self._owner)

    def _key(self, name: str) -> str:
        return f"{self._prefix}{_FOLDER}{name}"

    async def _run(self, *command: object) -> Any:
        try:
            return await self._values.run(*command)
        except StoreAwayError as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():  # the library has made a failure of it
                raise asyncio.CancelledError from error
            raise StorageError(f"storage: {error}") from error
