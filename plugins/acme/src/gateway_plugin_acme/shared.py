"""A storage as the sources of one process use it: together.

Listeners of several addresses have a source each, often with one storage. They are one to other processes: they have
the lock together, and a name that two of them want is ordered once.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final
from weakref import WeakKeyDictionary

import aiohttp
from gateway_plugin_sdk import Clock

from gateway_plugin_acme.certificate_store import CertificateStore
from gateway_plugin_acme.config import StorageConfig
from gateway_plugin_acme.crypto import Seal
from gateway_plugin_acme.records import Records
from gateway_plugin_acme.storage import Storage, open_storage


class SharedStorage:
    """One storage, open as long as a source uses it."""

    def __init__(self, config: StorageConfig, storage: Storage, seal: Seal | None) -> None:
        """Begin without a connection.

        :param config: which storage it is.
        """
        self.config, self._storage = config, storage
        self.records = Records(storage, seal)
        self.certificates = CertificateStore(self.records)
        self.running: set[str] = set()
        """Ids of certificates that some source does something about."""
        self.forgotten: set[str] = set()
        """Those of them to forget when that has ended."""
        self.users = 0
        self._starting = asyncio.Lock()
        self._is_started = False

    async def start(self) -> None:
        """Prepare the storage, unless another source has.

        :raises StorageError: it does not respond.
        """
        async with self._starting:
            if not self._is_started:
                await self._storage.start()
                self._is_started = True


_open: Final[WeakKeyDictionary[asyncio.AbstractEventLoop, list[SharedStorage]]] = WeakKeyDictionary()
"""Those of each gateway; in tests, several are in one process."""


@asynccontextmanager
async def shared_storage(
    config: StorageConfig, session: Callable[[], aiohttp.ClientSession], clock: Clock
) -> AsyncIterator[SharedStorage]:
    """Use a storage; it is closed after the last source has used it."""
    secret = config.seal
    seal = None if secret is None else await asyncio.to_thread(Seal, secret.reveal())
    all_open = _open.setdefault(asyncio.get_running_loop(), [])
    found = next((each for each in all_open if each.config == config), None)
    if found is None:
        found = SharedStorage(config, open_storage(config, session, clock.wall), seal)
        all_open.append(found)
    found.users += 1
    try:
        yield found
    finally:
        found.users -= 1
        if not found.users:
            all_open.remove(found)
            await found.records.storage.stop()
