"""The source ``kubernetes://``: configuration documents in the ConfigMaps that have a label."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import ClassVar

from gateway_plugin_sdk import GatewayError, SourceContext, SourceState, SourceUrl, Tasks

from gateway_plugin_kubernetes.api import Api
from gateway_plugin_kubernetes.cluster import LoadCluster
from gateway_plugin_kubernetes.discovery import GATHER_SECONDS
from gateway_plugin_kubernetes.documents import documents_of
from gateway_plugin_kubernetes.kubeconfig import cluster_loader
from gateway_plugin_kubernetes.objects import read_config_map
from gateway_plugin_kubernetes.options import KubernetesSourceConfig
from gateway_plugin_kubernetes.store import Store
from gateway_plugin_kubernetes.watcher import Collection, Watcher, WatchSettings


class NoResponseError(GatewayError):
    """The documents were never known."""


class KubernetesSource:
    """Follows the ConfigMaps of one namespace, or of all."""

    config_model: ClassVar[type[KubernetesSourceConfig]] = KubernetesSourceConfig

    def __init__(self, url: SourceUrl, context: SourceContext, load: LoadCluster | None = None) -> None:
        """Read the options and the credentials.

        :raises ValueError: one of them cannot be used.
        """
        config: KubernetesSourceConfig = url.config
        if len(url.hosts) > 1 or url.path not in {"", "/"} or url.username or url.password:
            raise ValueError(
                "has more than a namespace and options: write for example kubernetes://shop?label=app=gateway"
            )
        self._context = context
        self._settings = WatchSettings(config.watch_timeout, config.resync)
        load = load or cluster_loader(config.kubeconfig, config.context, context.environ)
        self._api = Api(load, context.session, config.timeout)
        namespace = url.hosts[0] if url.hosts else self._api.cluster.namespace
        self._collection = Collection.of("/api/v1", namespace, "configmaps", {"labelSelector": config.label})

    async def documents(self) -> AsyncGenerator[SourceState]:
        """Yield the documents once the list is there, and after each change.

        :raises NoResponseError: the API server fails before that.
        """
        changed = asyncio.Event()
        maps = Store(read_config_map)
        maps.subscribe(changed)
        watcher = Watcher(self._api, self._collection, maps, self._settings, self._context.clock, self._context.rng)
        tasks = Tasks()
        try:
            tasks.supervise(watcher.run, name=f"follow {self._collection.path}")
            while True:
                await changed.wait()
                changed.clear()
                if maps.is_listed:
                    yield SourceState(documents_of(maps.items), is_stale=bool(maps.failure), reason=maps.failure)
                    await asyncio.sleep(GATHER_SECONDS)
                elif maps.failure:
                    raise NoResponseError(maps.failure)
        finally:
            await tasks.aclose()
