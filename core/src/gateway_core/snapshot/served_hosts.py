"""The host names that a listener serves, for what gets certificates for them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cache
from pathlib import Path

from gateway_core.config import GatewayConfig, ListenConfig, LoadedConfig, PlaceOf
from gateway_core.config.documents import is_file
from gateway_core.hooks import ServedHosts


def served_hosts(listeners: Iterable[ListenConfig], config: GatewayConfig, place_of: PlaceOf) -> ServedHosts:
    """Return the hosts of some listeners and of the routes that may be reached through one of them.

    :param place_of: says which document a route is written in: one that is no local file is another's.
    """
    listeners = list(listeners)
    names = {each.name for each in listeners if each.name is not None}
    serves_all = any(each.default for each in listeners)
    local, remote = dict[str, None](), dict[str, None]()
    # Documents of sources have names that are no files: URLs, or `configmap/...`.
    is_local = cache(lambda name: is_file(Path(name)))
    for index, route in enumerate(config.routes):
        reaches = not names.isdisjoint(route.listeners) if route.listeners else serves_all
        if not (route.enabled and route.hosts and reaches) or route.effective_scheme == "http":
            continue
        into = local if is_local(place_of(f"routes[{index}]").file) else remote
        into.update(dict.fromkeys(host.lower() for host in route.hosts))
    own = dict.fromkeys(host.lower() for each in listeners for host in each.hosts)
    return ServedHosts(tuple(own), tuple(local), tuple(remote))


def hosts_by(loaded: LoadedConfig) -> Callable[[Sequence[ListenConfig]], ServedHosts]:
    """Return a function that returns the hosts of some listeners by a configuration."""
    return lambda listeners: served_hosts(listeners, loaded.config, loaded.place_of)
