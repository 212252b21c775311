"""The discovery ``kubernetes``: endpoints of Services, from a list and a watch of Services and of EndpointSlices."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator
from typing import Any, ClassVar, Final

from gateway_plugin_sdk import Discovered, DiscoveryContext, GatewayError, Tasks

from gateway_plugin_kubernetes.api import Api
from gateway_plugin_kubernetes.endpoint_table import EndpointTable, PortChoice
from gateway_plugin_kubernetes.kubeconfig import cluster_loader
from gateway_plugin_kubernetes.objects import SERVICE_LABEL, Service, Slice, read_service, read_slice
from gateway_plugin_kubernetes.options import KubernetesConfig
from gateway_plugin_kubernetes.store import Store
from gateway_plugin_kubernetes.watcher import Collection, Watcher, WatchSettings

GATHER_SECONDS: Final = 0.05
"""Changes within this time are told together; the first is told at once."""

SLICES_MISSING: Final = (
    "the API server has no EndpointSlices of discovery.k8s.io/v1: it is older than Kubernetes 1.21, which is needed"
)


class NoAnswerError(GatewayError):
    """The endpoints were never known."""


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

    async def watch(self) -> AsyncGenerator[Discovered]:
        """Yield the endpoints once both lists are there, and after each change.

        :raises NoAnswerError: the API server fails before that.
        """
        changed = asyncio.Event()
        services = Store(read_service, changed)
        slices = Store(read_slice, changed)
        table = EndpointTable(
            PortChoice(self._config.port, self._config.scheme), needs_service=self._config.selector is not None
        )
        tasks = Tasks()
        try:
            self._follow(tasks, services, slices)
            while True:
                await changed.wait()
                changed.clear()
                failure = slices.failure or services.failure
                if services.is_listed and slices.is_listed:
                    _apply(table, services, slices)
                    yield Discovered(table.endpoints(), is_stale=bool(failure), reason=failure, strategy=table.strategy)
                    await asyncio.sleep(GATHER_SECONDS)
                elif failure:
                    raise NoAnswerError(failure)
        finally:
            await tasks.aclose()

    def _follow(self, tasks: Tasks, services: Store[Service], slices: Store[Slice]) -> None:
        service, selector = self._config.service, self._config.selector
        namespace = self._config.namespace or self._api.cluster.namespace
        wanted = {"fieldSelector": f"metadata.name={service}"} if selector is None else {"labelSelector": selector}
        label = SERVICE_LABEL if selector is not None else f"{SERVICE_LABEL}={service}"
        followed: list[tuple[Collection, Store[Any]]] = [
            (Collection.of("/api/v1", namespace, "services", wanted), services),
            (
                Collection.of(
                    "/apis/discovery.k8s.io/v1", namespace, "endpointslices", {"labelSelector": label}, SLICES_MISSING
                ),
                slices,
            ),
        ]
        for collection, store in followed:
            watcher = Watcher(self._api, collection, store, self._settings, self._context.clock, self._context.rng)
            tasks.spawn(watcher.run(), name=f"follow {collection.path} for {self._context.upstream}")


def _apply(table: EndpointTable, services: Store[Service], slices: Store[Slice]) -> None:
    for key in services.take():
        table.put_service(key, services.items.get(key))
    for key in slices.take():
        table.put_slice(key, slices.items.get(key))
