"""What plugins see of the values that they share: ``self.shared``."""

from __future__ import annotations

import math
from typing import Final, Protocol, cast

from gateway_core.clock import Clock
from gateway_core.hooks.shared_store import LARGEST, SharedCall, SharedResult, SharedStoreFull, SharedStores

_LONGEST_KEY: Final = 4096


class SharedBackend(Protocol):
    """Where the values are: in this process, or behind a channel."""

    async def call(self, call: SharedCall) -> SharedResult:
        """Do what a call says.

        :raises SharedStoreFull: there is no room.
        :raises ValueError: the value is not a number.
        :raises GatewayError: the process that has the values is gone.
        """
        ...


class LocalShared:
    """Values in this process."""

    def __init__(self, stores: SharedStores, clock: Clock) -> None:
        self.stores: Final = stores
        self._clock = clock

    async def call(self, call: SharedCall) -> SharedResult:
        """Do what a call says, at once."""
        return self.stores.apply(call, self._clock.monotonic())


class Shared:
    """Bytes by key that every worker sees, kept over reloads and restarts of workers; ``self.shared`` of a plugin.

    Each binding has its own, whatever its configuration: its key is ``id``, ``route/id`` or ``upstreams/name/id``. The
    values of a binding may take 8 MiB together; what would be more raises `SharedStoreFull` and changes
    nothing. They are gone when the gateway ends, and when a configuration comes into force that has no such binding.
    """

    __slots__ = ("_backend", "_owner")

    def __init__(self, backend: SharedBackend, owner: str) -> None:
        self._backend = backend
        self._owner = owner

    async def get(self, key: str) -> bytes | None:
        """Return the value of a key, or None."""
        return cast("bytes | None", await self._backend.call(SharedCall(self._owner, "get", _key(key))))

    async def put(self, key: str, value: bytes, ttl: float | None = None) -> None:
        """Set a value.

        :param ttl: seconds after which it is gone; it stays unless given.
        :raises SharedStoreFull: there is no room.
        """
        await self._backend.call(SharedCall(self._owner, "put", _key(key), _value(value), ttl=_ttl(ttl)))

    async def add(self, key: str, value: bytes, ttl: float | None = None) -> bool:
        """Set a value if the key has none, and return whether it was set; of several callers one gets True.

        :raises SharedStoreFull: there is no room.
        """
        call = SharedCall(self._owner, "add", _key(key), _value(value), ttl=_ttl(ttl))
        return cast("bool", await self._backend.call(call))

    async def increment(self, key: str, by: int = 1, ttl: float | None = None) -> int:
        """Add to a number, and return the sum; a missing one counts as 0. `get` returns it as decimal digits.

        :param ttl: seconds that the number lives if this call makes it; one that is there keeps its time, so that
            counts within a window end with the window.
        :raises ValueError: the value is not a number, or the sum does not fit into 64 bits.
        :raises SharedStoreFull: there is no room.
        """
        if not isinstance(by, int):
            raise TypeError(f"by is {by!r}: increment adds whole numbers")
        call = SharedCall(self._owner, "increment", _key(key), by=by, ttl=_ttl(ttl))
        return cast("int", await self._backend.call(call))

    async def delete(self, key: str) -> None:
        """Remove a key, if it is there."""
        await self._backend.call(SharedCall(self._owner, "delete", _key(key)))


def _key(key: str) -> str:
    if not isinstance(key, str):
        raise TypeError(f"the key is {key!r}: keys are str")
    if len(key) > _LONGEST_KEY:
        raise ValueError(f"the key has {len(key)} characters: use at most {_LONGEST_KEY}, or a digest")
    return key


def _value(value: bytes) -> bytes:
    if not isinstance(value, bytes):
        raise TypeError(f"the value is a {type(value).__name__}: values are bytes")
    if len(value) > LARGEST:
        # It must not even travel to the process that has the values.
        raise SharedStoreFull(f"a value of {len(value)} bytes: the shared values of a binding may take 8 MiB")
    return value


def _ttl(ttl: float | None) -> float | None:
    if ttl is not None and not (ttl > 0 and math.isfinite(ttl)):
        raise ValueError(f"the ttl is {ttl!r}: give seconds above 0, or None for no end")
    return ttl
