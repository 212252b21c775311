"""What the bindings of one gateway share: counters that outlive a change of configuration, and connections."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Hashable
from weakref import WeakKeyDictionary

from gateway_plugin_sdk import Metrics, PluginContext, Tasks

from gateway_plugin_ratelimit.stores.local import LocalStore, open_local_store

SWEEP_EVERY = 10.0
"""Seconds between two rounds in which idle keys are forgotten."""


class Resources:
    """Stores by what they depend on, each as long as a binding uses it.

    When a configuration changes, the new bindings start before the old ones stop, so a store that both use stays.
    """

    def __init__(self) -> None:
        self._stores: dict[Hashable, tuple[LocalStore, int]] = {}
        self._tasks: Tasks | None = None

    def acquire_local(self, max_keys: int, context: PluginContext) -> LocalStore:
        """Return the counters of this machine for all bindings with the same ``max_keys``."""
        return self._acquire(max_keys, lambda: open_local_store(max_keys, context.clock, context.log, os.environ))

    def _acquire(self, key: Hashable, make: Callable[[], LocalStore]) -> LocalStore:
        store, users = self._stores.get(key) or (make(), 0)
        self._stores[key] = (store, users + 1)
        if self._tasks is None:
            self._tasks = Tasks()
            self._tasks.spawn(self._sweep_forever(), name="ratelimit: forget idle keys")
        return store

    async def release_local(self, max_keys: int) -> None:
        """Give back what `acquire_local` gave."""
        store, users = self._stores.pop(max_keys)
        if users > 1:
            self._stores[max_keys] = (store, users - 1)
            return
        store.close()
        if not self._stores and self._tasks is not None:
            tasks, self._tasks = self._tasks, None
            await tasks.aclose()

    async def _sweep_forever(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_EVERY)
            for store, _ in list(self._stores.values()):
                for _ in range(store.sweep_steps):
                    store.sweep()
                    await asyncio.sleep(0)


_by_gateway: WeakKeyDictionary[Metrics, Resources] = WeakKeyDictionary()


def resources_of(context: PluginContext) -> Resources:
    """Return what the bindings of the same gateway share; a gateway has one `Metrics`."""
    resources = _by_gateway.get(context.metrics)
    if resources is None:
        resources = _by_gateway[context.metrics] = Resources()
    return resources
