"""Where accounts, keys, certificates and challenges are kept: bytes by name, and a lock of which one process has it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import aiohttp
from gateway_plugin_sdk import GatewayError

from gateway_plugin_acme.config import StorageConfig

__all__ = ["LOCK_TTL", "Storage", "StorageError", "open_storage"]

LOCK_TTL = 30.0
"""Seconds after which a lock is free whose holder has gone without a word."""

DEFAULT_DIRECTORY = "/var/lib/gateway/acme"


class StorageError(GatewayError):
    """The storage does not respond, or cannot be written."""


class Storage(Protocol):
    """Names have parts of ``[A-Za-z0-9._-]``, separated by a slash. Methods raise `StorageError`."""

    async def start(self) -> None:
        """Prepare; to be called once."""

    async def stop(self) -> None:
        """Close what is open."""

    async def get(self, name: str) -> bytes | None:
        """Return a value; None if there is none."""

    async def put(self, name: str, value: bytes, ttl: float | None = None) -> None:
        """Set a value, as a whole or not at all; it may be gone after ``ttl`` seconds."""

    async def delete(self, name: str) -> None:
        """Remove a value, if there is one."""

    async def names(self, folder: str) -> Sequence[str]:
        """Return the names that begin with ``folder/``, without that."""

    async def lock(self) -> bool:
        """Take the lock, or keep it for another `LOCK_TTL`; return whether this process has it."""

    async def unlock(self) -> None:
        """Give the lock to others, if this process has it."""


def open_storage(
    config: StorageConfig, session: Callable[[], aiohttp.ClientSession], wall: Callable[[], float]
) -> Storage:
    """Return the storage that is configured; nothing is connected yet."""
    from gateway_plugin_acme.storage import directory, etcd, shared_values  # noqa: PLC0415 - they import this module

    if config.valkey is not None:
        return shared_values.ValkeyStorage(config.valkey)
    if config.etcd is not None:
        return etcd.EtcdStorage(config.etcd, session)
    return directory.DirectoryStorage(config.directory or DEFAULT_DIRECTORY, wall)
