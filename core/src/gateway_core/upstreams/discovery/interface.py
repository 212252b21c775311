"""How endpoints are found that the configuration does not list."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Hashable
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Any, Protocol

from gateway_core.clock import Clock
from gateway_core.leases import Leases
from gateway_core.upstreams.endpoint import EndpointSpec
from gateway_core.upstreams.resolver import Resolver

if TYPE_CHECKING:
    import aiohttp


@dataclass(frozen=True, slots=True)
class Discovered:
    """What a discovery knows at one moment."""

    endpoints: tuple[EndpointSpec, ...]
    """All endpoints, not only the changed ones. Reusing the objects of unchanged ones makes large lists cheap."""
    is_stale: bool = False
    """Whether the registry is unreachable, so that this is the last known result."""
    reason: str = ""
    """Why it is stale, or why there are no endpoints: such as that there is no service of this name."""
    strategy: str = ""
    """How the registry wants requests to be spread, by the name that ``upstreams[].strategy`` uses; empty if it has no
    wish. It has an effect only on an upstream whose own strategy is the default, ``weighted-round-robin``."""


@dataclass(frozen=True, slots=True)
class DiscoveryContext:
    """What the gateway gives to a discovery."""

    upstream: str
    clock: Clock
    rng: Random
    session: Callable[[], aiohttp.ClientSession]
    """A session for calls to a registry; not to be closed."""
    resolver: Resolver = field(default_factory=Resolver)
    """Resolves host names, for the gateway's own discoveries."""
    shared: Leases[Hashable, Any] = field(default_factory=Leases)
    """What the discoveries of a process have in common by key, such as one watch for many upstreams: acquire it while
    watching, and close the lease at the end. A key begins with the extension's name."""


class Discovery(Protocol):
    """Finds the endpoints of one upstream."""

    def watch(self) -> AsyncIterator[Discovered]:
        """Yield what is known, first as soon as possible and then after each change.

        Nothing needs to be yielded while the registry is away: what was yielded last stays in force. Before the first
        result, a stale one without endpoints says why there is none yet. An exception is logged, the state is marked
        stale, and ``watch`` is called again after a pause that grows. The iterator is closed when the upstream is gone.
        """
        ...


class DiscoveryFactory(Protocol):
    """A class of discoveries; what the ``gateway_discovery`` hook offers by name."""

    @property
    def config_model(self) -> type[Any] | None:
        """The pydantic model of ``upstreams[].discovery.config``; None takes no keys."""
        ...

    def __call__(self, config: Any, context: DiscoveryContext) -> Discovery:
        """Make a discovery; nothing is connected yet.

        :param config: an instance of the model.
        :raises ValueError: for a configuration that cannot work, saying which key and why.
        """
        ...
