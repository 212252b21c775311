"""What we need of Services, EndpointSlices and ConfigMaps, read without trust in optional fields."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from gateway_plugin_kubernetes.api import Object

SERVICE_LABEL: Final = "kubernetes.io/service-name"
"""The label of an EndpointSlice that names its Service."""
STRATEGY_ANNOTATION: Final = "gateway/load-balancer"
"""The annotation of a Service that names the strategy of its callers."""


@dataclass(frozen=True, slots=True)
class Service:
    """A Service."""

    strategy: str = ""
    port_names: tuple[tuple[int, str], ...] = ()
    """Its port numbers, with the names by which EndpointSlices speak of them."""
    labels: tuple[tuple[str, str], ...] = ()
    external_name: str = ""
    """The name that it stands for, if its type is ExternalName."""


class SlicePort(NamedTuple):
    """A port that all endpoints of an EndpointSlice have."""

    name: str
    number: int
    app_protocol: str = ""


class SliceEndpoint(NamedTuple):
    """A pod, usually."""

    address: str
    is_ready: bool
    is_terminating: bool
    is_serving: bool = False
    """Whether it would be ready, were it not terminating."""


class Slice(NamedTuple):
    """A part of the endpoints of a Service. Large ones change often: these are tuples, which are compared fast."""

    service: str
    ports: tuple[SlicePort, ...] = ()
    endpoints: tuple[SliceEndpoint, ...] = ()


@dataclass(frozen=True, slots=True)
class ConfigMap:
    """Texts by name."""

    texts: tuple[tuple[str, str], ...] = ()


def read_service(item: Object) -> Service:
    """Read a Service."""
    annotations = _part(item, "metadata", "annotations")
    labels = _part(item, "metadata", "labels")
    spec = _part(item, "spec")
    ports = _items(spec, "ports")
    return Service(
        str(annotations.get(STRATEGY_ANNOTATION) or "").strip(),
        tuple((int(port["port"]), str(port.get("name") or "")) for port in ports if _is_tcp(port)),
        tuple(sorted((str(name), str(value)) for name, value in labels.items())),
        str(spec.get("externalName") or "unknown") if spec.get("type") == "ExternalName" else "",
    )


def read_slice(item: Object) -> Slice:
    """Read an EndpointSlice of discovery.k8s.io/v1.

    Of several addresses of an endpoint the first is taken: they are fungible. A condition that is not said counts as
    the API says it: ready unless false, terminating only if true, serving as it is ready.
    """
    endpoints = []
    for endpoint in _items(item, "endpoints"):
        addresses, conditions = endpoint.get("addresses"), endpoint.get("conditions")
        if isinstance(addresses, list) and addresses:
            if not isinstance(conditions, dict):
                conditions = {}
            is_terminating = conditions.get("terminating") is True
            is_ready = conditions.get("ready") is not False
            serving = conditions.get("serving")
            is_serving = is_ready if serving is None else serving is True
            endpoints.append(SliceEndpoint(str(addresses[0]), is_ready, is_terminating, is_serving))
    ports = tuple(
        SlicePort(str(port.get("name") or ""), int(port["port"]), str(port.get("appProtocol") or ""))
        for port in _items(item, "ports")
        if _is_tcp(port)
    )
    return Slice(str(_part(item, "metadata", "labels").get(SERVICE_LABEL) or ""), ports, tuple(endpoints))


def read_config_map(item: Object) -> ConfigMap:
    """Read a ConfigMap; binary entries are left out."""
    texts = _part(item, "data")
    return ConfigMap(tuple(sorted((str(name), text) for name, text in texts.items() if isinstance(text, str))))


def _is_tcp(port: Object) -> bool:
    return isinstance(port.get("port"), int) and port.get("protocol") in {None, "", "TCP"}


def _part(item: Object, *keys: str) -> Object:
    """Return an object below, empty if there is none."""
    for key in keys:
        value = item.get(key)
        if not isinstance(value, dict):
            return {}
        item = value
    return item


def _items(item: Object, key: str) -> list[dict[str, Any]]:
    """Return a list of objects; Kubernetes writes ``null`` for an empty one."""
    value = item.get(key)
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []
