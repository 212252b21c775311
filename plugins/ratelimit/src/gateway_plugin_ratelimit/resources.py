"""What the bindings of one gateway share: counters that outlive a change of configuration, and connections."""

from __future__ import annotations

import asyncio
import importlib
import os
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from gateway_plugin_sdk import Metrics, PluginContext, Tasks

from gateway_plugin_ratelimit.config import RateLimitConfig, RedisConfig
from gateway_plugin_ratelimit.stores import Store
from gateway_plugin_ratelimit.stores.local import LocalStore, open_local_store

if TYPE_CHECKING:
    from gateway_plugin_ratelimit.stores.redis import RedisStore

SWEEP_EVERY = 10.0
"""Seconds between two rounds in which idle keys are forgotten."""

RedisKey = tuple[RedisConfig, int]


class Resources:
    """Stores by what they depend on, each as long as a binding uses it.

    When a configuration changes, the new bindings start before the old ones stop, so a store that both use stays.
    """

    def __init__(self) -> None:
        self._local: dict[int, tuple[LocalStore, int]] = {}
        self._redis: dict[RedisKey, tuple[RedisStore, int]] = {}
        self._tasks: Tasks | None = None

    async def acquire(self, config: RateLimitConfig, context: PluginContext) -> Store:
        """Return the store that a configuration asks for."""
        local = self._acquire_local(config.max_keys, context)
        if config.store == "local":
            return local
        key = _redis_key(config)
        known = self._redis.get(key)
        if known is not None:
            self._redis[key] = (known[0], known[1] + 1)
            return known[0]
        try:
            # Its import takes a quarter of a second, in which a serving loop must not stand still.
            store_module = await asyncio.to_thread(_import_redis_store)
            return await self._open_redis(key, store_module, local, context)
        except BaseException:
            await self._release_local(config.max_keys)
            raise

    async def _open_redis(self, key: RedisKey, module: Any, local: LocalStore, context: PluginContext) -> Store:
        # Another binding may have opened it while this one waited for the import.
        known = self._redis.get(key)
        if known is not None:
            self._redis[key] = (known[0], known[1] + 1)
            return known[0]
        store: RedisStore = module.RedisStore(key[0], local, context.clock, context.metrics, context.log)
        self._redis[key] = (store, 1)
        try:
            await store.start()
        except BaseException:
            await self._release_redis(key)
            raise
        return store

    async def release(self, config: RateLimitConfig) -> None:
        """Give back what `acquire` gave for the same configuration."""
        if config.store == "redis":
            await self._release_redis(_redis_key(config))
        await self._release_local(config.max_keys)

    async def _release_redis(self, key: RedisKey) -> None:
        store, users = self._redis.pop(key)
        if users > 1:
            self._redis[key] = (store, users - 1)
        else:
            await store.aclose()

    def _acquire_local(self, max_keys: int, context: PluginContext) -> LocalStore:
        known = self._local.get(max_keys)
        if known is None:
            known = (open_local_store(max_keys, context.clock, context.log, os.environ), 0)
        self._local[max_keys] = (known[0], known[1] + 1)
        if self._tasks is None:
            self._tasks = Tasks()
            self._tasks.supervise(self._sweep_forever, name="ratelimit: forget idle keys")
        return known[0]

    async def _release_local(self, max_keys: int) -> None:
        store, users = self._local.pop(max_keys)
        if users > 1:
            self._local[max_keys] = (store, users - 1)
            return
        store.close()
        if not self._local and self._tasks is not None:
            tasks, self._tasks = self._tasks, None
            await tasks.aclose()

    async def _sweep_forever(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_EVERY)
            for store, _ in list(self._local.values()):
                for _ in range(store.sweep_steps):
                    store.sweep()
                    await asyncio.sleep(0)


def _import_redis_store() -> Any:
    module = importlib.import_module("gateway_plugin_ratelimit.stores.redis")
    module.import_library()
    return module


def _redis_key(config: RateLimitConfig) -> RedisKey:
    """Return what two configurations must have in common to use the same connections."""
    return config.redis or RedisConfig(), config.max_keys


_by_gateway: WeakKeyDictionary[Metrics, Resources] = WeakKeyDictionary()


def resources_of(context: PluginContext) -> Resources:
    """Return what the bindings of the same gateway share; a gateway has one `Metrics`."""
    resources = _by_gateway.get(context.metrics)
    if resources is None:
        resources = _by_gateway[context.metrics] = Resources()
    return resources
