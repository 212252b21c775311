"""Endpoints out of the instances of a service, as ``/v1/health/service/NAME`` lists them."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Set
from typing import Any, Final

from gateway_plugin_sdk import EndpointSpec, GatewayError

LARGEST_WEIGHT: Final = 65_535


class InstancesError(GatewayError):
    """A response that has no list of instances."""


def read_instances(
    body: bytes,
    scheme: str,
    tags: Collection[str] = (),
    *,
    include_warning: bool,
    refuse: Callable[[str], None] = lambda _: None,
) -> dict[str, EndpointSpec]:
    """Return the endpoints of a response by id.

    An instance of which a check is critical (maintenance is one) is left out; one with a warning has the weight that
    the service has for it, and is left out unless wanted. Without an address of its own it has that of its node.

    :param tags: what an instance must have, all of them, in any case.
    :param refuse: called with what is wrong with an instance that is wanted and cannot be used.
    :raises InstancesError: the response is none.
    """
    try:
        entries = json.loads(body)
    except (ValueError, RecursionError):
        entries = None
    if not isinstance(entries, list):
        raise InstancesError("the response is no list of service instances")
    found: dict[str, EndpointSpec] = {}
    wanted = _wanted(entries, {tag.lower() for tag in tags}, include_warning=include_warning)
    for host, port, weight in wanted:
        if not isinstance(port, int) or not 0 < port < 1 << 16:
            refuse(f"the instance at {host!r} has the port {port!r}")
            continue
        try:
            spec = EndpointSpec(scheme, host if isinstance(host, str) else "", port, weight=weight)
        except ValueError as error:
            refuse(f"an instance has an address that cannot be used: {error}")
        else:
            found.setdefault(spec.id, spec)
    return found


def _wanted(entries: list[Any], tags: Set[str], *, include_warning: bool) -> Iterator[tuple[object, object, int]]:
    """Yield host, port and weight, as they are written, of the instances that are wanted."""
    for entry in entries:
        if not isinstance(entry, dict):
            continue
        service, node = _part(entry, "Service"), _part(entry, "Node")
        status = _status(entry.get("Checks"))
        own = service.get("Tags")
        if tags and not (isinstance(own, list) and tags <= {str(tag).lower() for tag in own}):
            continue
        if status == "passing" or (status == "warning" and include_warning):
            yield service.get("Address") or node.get("Address"), service.get("Port"), _weight(service, status)


def _status(checks: object) -> str:
    """Return the worst status of the checks; one that is unknown counts as critical."""
    statuses = (
        {check.get("Status") for check in checks if isinstance(check, dict)} if isinstance(checks, list) else set()
    )
    if not statuses - {"passing"}:
        return "passing"
    return "warning" if not statuses - {"passing", "warning"} else "critical"


def _weight(service: Mapping[str, Any], status: str) -> int:
    weight = _part(service, "Weights").get(status.capitalize())
    return min(weight, LARGEST_WEIGHT) if isinstance(weight, int) and weight >= 0 else 1


def _part(item: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = item.get(key)
    return value if isinstance(value, dict) else {}


def keep_same(before: Mapping[str, EndpointSpec], found: Mapping[str, EndpointSpec]) -> dict[str, EndpointSpec]:
    """Return what was found, with the objects of before where nothing changed: comparing long lists is cheap then."""
    return {name: before[name] if before.get(name) == spec else spec for name, spec in found.items()}
