"""The discovery ``kubernetes``: endpoints of Services, from the informer of their namespace."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator
from typing import ClassVar, Final

from gateway_plugin_sdk import Discovered, DiscoveryContext

from gateway_plugin_kubernetes.api import Api
from gateway_plugin_kubernetes.endpoint_table import EndpointTable, PortChoice
from gateway_plugin_kubernetes.informer import Informer
from gateway_plugin_kubernetes.kubeconfig import cluster_loader
from gateway_plugin_kubernetes.objects import Service, Slice
from gateway_plugin_kubernetes.options import KubernetesConfig
from gateway_plugin_kubernetes.reasons import why_empty
from gateway_plugin_kubernetes.selector import Selector
from gateway_plugin_kubernetes.watcher import WatchSettings

GATHER_SECONDS: Final = 0.05
"""Changes within this time are told together; the first is told at once."""


class KubernetesDiscovery:
    """Follows the endpoints of one upstream."""

    config_model: ClassVar[type[KubernetesConfig]] = KubernetesConfig

    def __init__(self, config: KubernetesConfig, context: DiscoveryContext) -> None:
        """Read the credentials.

        :raises ValueError: they cannot be used.
        """
        self._config = config
        self._context = context
        self._api = Api(cluster_loader(config.kubeconfig, config.context, os.environ), context.session, config.timeout)
        self._settings = WatchSettings(config.watch_timeout, config.resync)
        self._namespace = config.namespace or self._api.cluster.namespace
        self._selector = None if config.selector is None else Selector.parse(config.selector)

    async def watch(self) -> AsyncGenerator[Discovered]:
        """Yield the endpoints once both collections are there, and after each change."""
        config, changed = self._config, asyncio.Event()
        lease = self._context.shared.acquire(self._informer_key(), self._make_informer)
        informer: Informer = lease.value
        services = informer.services.subscribe(changed, config.service)
        slices = informer.slices.subscribe(changed, config.service)
        table = EndpointTable(PortChoice(config.port, config.scheme), needs_service=self._selector is not None)
        try:
            while True:
                await changed.wait()
                changed.clear()
                failure = informer.failure
                if informer.is_listed:
                    for key in services.take():
                        table.put_service(key, self._wanted_service(informer.services.items.get(key)))
                    for key in slices.take():
                        table.put_slice(key, self._wanted_slice(informer.slices.items.get(key)))
                    endpoints = table.endpoints()
                    why = failure or ("" if endpoints else why_empty(config, self._namespace, table, informer))
                    yield Discovered(endpoints, is_stale=bool(failure), reason=why, strategy=table.strategy)
                    await asyncio.sleep(GATHER_SECONDS)
                elif failure:
                    yield Discovered((), is_stale=True, reason=failure)
        finally:
            informer.services.unsubscribe(services)
            informer.slices.unsubscribe(slices)
            await lease.aclose()

    def _informer_key(self) -> tuple[object, ...]:
        config = self._config
        return "kubernetes", config.kubeconfig, config.context, self._namespace, config.timeout, self._settings

    def _make_informer(self) -> Informer:
        return Informer(self._api, self._namespace, self._settings, self._context)

    def _wanted_service(self, service: Service | None) -> Service | None:
        if service is None or self._selector is None or self._selector.selects(dict(service.labels)):
            return service
        return None

    def _wanted_slice(self, item: Slice | None) -> Slice | None:
        """Leave out an EndpointSlice that was given to another Service."""
        return item if self._config.service in {None, item and item.service} else None
