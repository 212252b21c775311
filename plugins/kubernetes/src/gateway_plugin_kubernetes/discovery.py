"""The discovery ``kubernetes``: endpoints of Services, from a list and a watch of Services and of EndpointSlices."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Mapping
from typing import Any, Final

from gateway_plugin_sdk import Discovered, DiscoveryContext, GatewayError, Tasks
from pydantic import ValidationError

from gateway_plugin_kubernetes.api import Api
from gateway_plugin_kubernetes.cluster import LoadCluster
from gateway_plugin_kubernetes.endpoint_table import EndpointTable, PortChoice
from gateway_plugin_kubernetes.follower import Collection, Follower, Rhythm
from gateway_plugin_kubernetes.kubeconfig import cluster_loader
from gateway_plugin_kubernetes.mirror import Mirror
from gateway_plugin_kubernetes.objects import SERVICE_LABEL, Service, Slice, read_service, read_slice
from gateway_plugin_kubernetes.options import KubernetesConfig

GATHER_SECONDS: Final = 0.05
"""Changes within this time are told together; the first is told at once."""

SLICES_MISSING: Final = (
    "the API server has no EndpointSlices of discovery.k8s.io/v1: it is older than Kubernetes 1.21, which is needed"
)


class NoAnswerError(GatewayError):
    """The endpoints were never known."""


class KubernetesDiscovery:
    """Follows the endpoints of one upstream."""

    def __init__(self, config: KubernetesConfig, context: DiscoveryContext, load: LoadCluster) -> None:
        """Read the credentials.

        :raises ValueError: they cannot be used.
        """
        self._config = config
        self._context = context
        self._api = Api(load, context.session, config.timeout)
        self._rhythm = Rhythm(config.watch_timeout, config.resync)

    async def watch(self) -> AsyncGenerator[Discovered]:
        """Yield the endpoints once both lists are there, and after each change.

        :raises NoAnswerError: the API server fails before that.
        """
        changed = asyncio.Event()
        services = Mirror(read_service, changed)
        slices = Mirror(read_slice, changed)
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

    def _follow(self, tasks: Tasks, services: Mirror[Service], slices: Mirror[Slice]) -> None:
        service, selector = self._config.service, self._config.selector
        namespace = self._config.namespace or self._api.cluster.namespace
        wanted = {"fieldSelector": f"metadata.name={service}"} if selector is None else {"labelSelector": selector}
        label = SERVICE_LABEL if selector is not None else f"{SERVICE_LABEL}={service}"
        followed: list[tuple[Collection, Mirror[Any]]] = [
            (Collection.of("/api/v1", namespace, "services", wanted), services),
            (
                Collection.of(
                    "/apis/discovery.k8s.io/v1", namespace, "endpointslices", {"labelSelector": label}, SLICES_MISSING
                ),
                slices,
            ),
        ]
        for collection, mirror in followed:
            follower = Follower(self._api, collection, mirror, self._rhythm, self._context.clock, self._context.rng)
            tasks.spawn(follower.run(), name=f"follow {collection.path} for {self._context.upstream}")


def _apply(table: EndpointTable, services: Mirror[Service], slices: Mirror[Slice]) -> None:
    for key in services.take():
        table.put_service(key, services.items.get(key))
    for key in slices.take():
        table.put_slice(key, slices.items.get(key))


def make_discovery(config: Mapping[str, Any], context: DiscoveryContext) -> KubernetesDiscovery:
    """Make the discovery from ``discovery.config`` (see `KubernetesConfig`).

    :raises ValueError: an option, or the credentials, cannot be used.
    """
    try:
        options = KubernetesConfig.model_validate(config)
    except ValidationError as error:
        raise ValueError(f"discovery kubernetes: {explain(error)}") from None
    return KubernetesDiscovery(options, context, cluster_loader(options.kubeconfig, options.context, os.environ))


def explain(error: ValidationError) -> str:
    """Return what is wrong with options in one line."""
    problems = []
    for problem in error.errors(include_url=False, include_context=False):
        where = ".".join(map(str, problem["loc"]))
        message = problem["msg"].removeprefix("Value error, ")
        found = f" (found {problem['input']!r})" if where and problem["type"] != "missing" else ""
        problems.append(f"{where}: {message}{found}" if where else message)
    return "; ".join(problems)
