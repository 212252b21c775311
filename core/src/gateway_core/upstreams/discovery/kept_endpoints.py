"""Endpoints that discoveries have found, kept on disk for a start while their registry is away.

They are used only once the registry has failed or has not responded for a moment, and are stale until it does: where it
is there, a gateway begins with what the registry says. The file holds addresses by the key of the discovery, which is
another one for another configuration. A state directory that cannot be written is no fault unless it is needed.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from pathlib import Path
from typing import Any, Final

from gateway_core.config.documents import LARGEST_FILE
from gateway_core.config.state_files import read_state
from gateway_core.events import CONFIG_NOT_KEPT, emit
from gateway_core.private_files import write_private
from gateway_core.tasks import Tasks
from gateway_core.upstreams.discovery.interface import Discovered
from gateway_core.upstreams.finding_store import spec_as_json, spec_of_json

FORMAT: Final = 1
GATHER_SECONDS: Final = 1.0
"""Changes that come fast are written together."""

_LONGEST: Final = 16 * LARGEST_FILE


class KeptEndpoints:
    """One file for all discoveries of a gateway."""

    def __init__(self, path: Path) -> None:
        """Name the file; nothing is read or written yet."""
        self.path = path
        self._read: dict[str, Discovered] | None = None
        self._found: dict[str, Discovered] = {}
        """By key; only of discoveries that this process has asked for, so that those of the past are not kept."""
        self._is_to_write = False
        self._writing = threading.Lock()
        self._tasks = Tasks()

    async def load(self) -> None:
        """Read the file, the first time that this is called."""
        if self._read is not None:
            return
        self._read = {}
        try:
            self._read = await asyncio.to_thread(lambda: read_state(self.path, _LONGEST, _take))
        except FileNotFoundError:
            pass
        except (OSError, ValueError) as error:
            text = f"endpoints that were found last cannot be read from {self.path}: {error}"
            emit(CONFIG_NOT_KEPT, text, path=str(self.path), reason=str(error))

    def get(self, key: str) -> Discovered | None:
        """Return what a discovery found last, as far as there were endpoints."""
        read = (self._read or {}).pop(key, None)
        if read is not None:
            self._found.setdefault(key, read)
        found = self._found.get(key)
        return found if found is not None and found.endpoints else None

    def put(self, key: str, found: Discovered) -> None:
        """Keep what a registry has confirmed."""
        if found.is_stale or self._found.get(key) == found:
            return
        self._found[key] = found
        if not self._is_to_write:
            self._is_to_write = True
            self._tasks.spawn(self._write_soon(), name="keep the endpoints that were found")

    async def aclose(self) -> None:
        """Write what is not written yet."""
        await self._tasks.aclose()
        if self._is_to_write:
            await asyncio.to_thread(self._write)

    async def _write_soon(self) -> None:
        await asyncio.sleep(GATHER_SECONDS)
        self._is_to_write = False
        await asyncio.to_thread(self._write)

    def _write(self) -> None:
        # A write that was left to its thread must not come after a later one.
        with self._writing, contextlib.suppress(OSError):
            found = {key: _plain(each) for key, each in self._found.copy().items()}
            write_private(self.path, {"format": FORMAT, "found": found})


def _plain(found: Discovered) -> dict[str, Any]:
    return {"strategy": found.strategy, "endpoints": [spec_as_json(spec) for spec in found.endpoints]}


def _take(plain: Any) -> dict[str, Discovered]:
    if plain["format"] != FORMAT:
        raise ValueError("it is of another version of the gateway")
    return {
        str(key): Discovered(tuple(map(spec_of_json, each["endpoints"])), strategy=str(each["strategy"]))
        for key, each in plain["found"].items()
    }
