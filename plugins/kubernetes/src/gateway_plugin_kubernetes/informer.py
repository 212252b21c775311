"""Services and EndpointSlices of one namespace, followed once for all upstreams of a process.

How it works: a discovery leases the informer of its cluster and namespace (`DiscoveryContext.shared`). The first one
makes it, the last one ends it. It watches two collections whole, whatever the number of Services that are wanted: a
connection to the API server costs more than the objects that are not used.
"""

from __future__ import annotations

from typing import Any, Final

from gateway_plugin_sdk import Clock, DiscoveryContext, Tasks

from gateway_plugin_kubernetes.api import Api
from gateway_plugin_kubernetes.objects import SERVICE_LABEL, Service, Slice, read_service, read_slice
from gateway_plugin_kubernetes.store import Store
from gateway_plugin_kubernetes.watcher import Collection, Watcher, WatchSettings

SLICES_MISSING: Final = (
    "the API server has no EndpointSlices of discovery.k8s.io/v1: it is older than Kubernetes 1.21, which is needed"
)


class Informer:
    """Keeps copies of the Services and EndpointSlices of one namespace, or of all."""

    def __init__(self, api: Api, namespace: str, settings: WatchSettings, context: DiscoveryContext) -> None:
        """Begin to follow them; needs a running event loop."""
        self.services: Store[Service] = Store(read_service)
        self.slices: Store[Slice] = Store(read_slice, lambda _, item: item.service)
        self._tasks = Tasks()
        clock: Clock = context.clock
        followed: list[tuple[Collection, Store[Any]]] = [
            (Collection.of("/api/v1", namespace, "services", {}), self.services),
            (
                Collection.of(
                    "/apis/discovery.k8s.io/v1",
                    namespace,
                    "endpointslices",
                    {"labelSelector": SERVICE_LABEL},
                    SLICES_MISSING,
                ),
                self.slices,
            ),
        ]
        for collection, store in followed:
            watcher = Watcher(api, collection, store, settings, clock, context.rng)
            self._tasks.supervise(watcher.run, name=f"follow {collection.path}")

    @property
    def is_listed(self) -> bool:
        """Whether both collections were seen whole."""
        return self.services.is_listed and self.slices.is_listed

    @property
    def failure(self) -> str:
        """Why a copy may be out of date; empty if none is."""
        return self.slices.failure or self.services.failure

    async def aclose(self) -> None:
        """Stop to follow."""
        await self._tasks.aclose()
