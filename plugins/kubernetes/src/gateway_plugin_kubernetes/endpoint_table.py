"""The endpoints of Services, kept up to date by differences: a change costs the EndpointSlice that it is in.

Endpoints that terminate get nothing new while another one is ready. When none is left (a Service of one pod is rolled,
a node is drained), those that still serve are used, as kube-proxy does.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal, NamedTuple

from gateway_plugin_sdk import EndpointSpec, EndpointStatus

from gateway_plugin_kubernetes.objects import Service, Slice, SliceEndpoint, SlicePort
from gateway_plugin_kubernetes.store import Key

DEFAULT_PORTS: Final = ("http", "web", "gateway")
"""Names of ports that are taken, in this order, when none is configured."""

Scheme = Literal["auto", "http", "https"]


class Found(NamedTuple):
    """An endpoint of an EndpointSlice."""

    spec: EndpointSpec
    is_serving: bool
    """Whether it can take requests, although it may be terminating."""

    @property
    def rank(self) -> tuple[bool, bool]:
        """What counts where two EndpointSlices, or two entries of one, differ: the larger one."""
        return self.spec.status is EndpointStatus.UP, self.is_serving


@dataclass(frozen=True, slots=True)
class PortChoice:
    """Which port of the endpoints to use, and how to speak there."""

    port: int | str | None = None
    scheme: Scheme = "auto"

    def find(self, ports: tuple[SlicePort, ...], service: Service | None) -> SlicePort | None:
        """Return the port among those of an EndpointSlice.

        A number is one of the Service first (its name leads to the endpoints' port), then one of the endpoints. A
        Service with a single port need not name it, so such a port is taken where no port is configured.
        """
        if isinstance(self.port, str):
            return _named(ports, self.port)
        if self.port is not None:
            names = dict(service.port_names) if service is not None else {}
            if self.port in names:
                return _named(ports, names[self.port])
            return next((port for port in ports if port.number == self.port), None)
        for name in DEFAULT_PORTS:
            found = _named(ports, name)
            if found is not None:
                return found
        return ports[0] if len(ports) == 1 and not ports[0].name else None

    def scheme_of(self, port: SlicePort) -> str:
        """Return ``http`` or ``https``; unless configured, as the port's protocol or name says."""
        if self.scheme != "auto":
            return self.scheme
        return "https" if "https" in {port.app_protocol.lower(), port.name} else "http"


def _named(ports: tuple[SlicePort, ...], name: str) -> SlicePort | None:
    return next((port for port in ports if port.name == name), None)


class EndpointTable:
    """Endpoints out of EndpointSlices."""

    def __init__(self, choice: PortChoice, *, needs_service: bool) -> None:
        """Begin empty.

        :param needs_service: whether only endpoints of Services count that were put in.
        """
        self._choice = choice
        self._needs_service = needs_service
        self._services: dict[Key, Service] = {}
        self._slices: dict[Key, Slice] = {}
        self._slices_of: dict[Key, set[Key]] = {}
        self._found_in: dict[Key, dict[str, Found]] = {}
        """Of each slice, its endpoints by id."""
        self._read_of: dict[Key, tuple[str, int, dict[SliceEndpoint, Found]]] = {}
        """Of each slice, scheme and port, and what its endpoints were read as: those that stay are not read again."""
        self._slices_with: dict[str, set[Key]] = {}
        """Of each endpoint's id, the slices that have it: for a moment two may, while it moves from one to another."""
        self._merged: dict[str, Found] = {}
        self._listed: tuple[EndpointSpec, ...] | None = ()

    @property
    def strategy(self) -> str:
        """The strategy of the first Service, by name, that has a wish."""
        wishes = ((key, service.strategy) for key, service in self._services.items() if service.strategy)
        return min(wishes, default=(("", ""), ""))[1]

    @property
    def services(self) -> Mapping[Key, Service]:
        """The Services that were put in."""
        return self._services

    @property
    def slices(self) -> Collection[Slice]:
        """The EndpointSlices that count: those of the Services, where only endpoints of Services do."""
        counted = self._slices.items()
        return [item for key, item in counted if not self._needs_service or (key[0], item.service) in self._services]

    @property
    def has_port(self) -> bool:
        """Whether one of the EndpointSlices has the port."""
        return any(
            self._choice.find(item.ports, self._services.get((key[0], item.service)))
            for key, item in self._slices.items()
        )

    def endpoints(self) -> tuple[EndpointSpec, ...]:
        """Return all endpoints; unchanged ones are the same objects as before."""
        if self._listed is None:
            found = self._merged.values()
            if any(each.spec.status is EndpointStatus.UP for each in found):
                self._listed = tuple(each.spec for each in found)
            else:
                self._listed = tuple(
                    replace(each.spec, status=EndpointStatus.UP) if each.is_serving else each.spec for each in found
                )
        return self._listed

    def put_service(self, key: Key, service: Service | None) -> None:
        """Take a Service that is new, changed or (None) gone."""
        before = self._services.get(key)
        if service is None:
            self._services.pop(key, None)
        else:
            self._services[key] = service
        ports = None if service is None else service.port_names
        if ports == (None if before is None else before.port_names):
            return
        for slice_key in list(self._slices_of.get(key, ())):
            self._set(slice_key, self._found_of(slice_key))

    def put_slice(self, key: Key, item: Slice | None) -> None:
        """Take an EndpointSlice that is new, changed or (None) gone."""
        before = self._slices.pop(key, None)
        if before is not None:
            owner = (key[0], before.service)
            self._slices_of[owner].discard(key)
            if not self._slices_of[owner]:
                del self._slices_of[owner]
        if item is not None:
            self._slices[key] = item
            self._slices_of.setdefault((key[0], item.service), set()).add(key)
        else:
            self._read_of.pop(key, None)
        self._set(key, self._found_of(key))

    def _found_of(self, key: Key) -> dict[str, Found]:
        item = self._slices.get(key)
        if item is None:
            return {}
        service = self._services.get((key[0], item.service))
        if service is None and self._needs_service:
            return {}
        port = self._choice.find(item.ports, service)
        if port is None:
            return {}
        scheme = self._choice.scheme_of(port)
        *read_as, known = self._read_of.get(key, ("", 0, {}))
        if read_as != [scheme, port.number]:
            known = {}
        read = {
            each: taken
            for each in item.endpoints
            if (each.is_terminating or each.is_ready)
            and (taken := known.get(each) or _read(each, scheme, port.number)) is not None
        }
        self._read_of[key] = (scheme, port.number, read)
        found = {each.spec.id: each for each in read.values()}
        if len(found) < len(read):  # one address more than once, in different states
            found = {each.spec.id: each for each in sorted(read.values(), key=lambda each: each.rank)}
        return found

    def _set(self, key: Key, found: dict[str, Found]) -> None:
        before = self._found_in.pop(key, {})
        if found:
            self._found_in[key] = found
        for name in before.keys() - found.keys():
            self._slices_with[name].discard(key)
        for name in found.keys() - before.keys():
            self._slices_with.setdefault(name, set()).add(key)
        for name in {**before, **found}:
            if (was := before.get(name)) is not (now := found.get(name)) and was != now:
                self._merge(name)

    def _merge(self, name: str) -> None:
        """Settle what counts of an endpoint that several slices have: ready in one of them is ready."""
        holders = self._slices_with[name]
        if not holders:
            del self._slices_with[name], self._merged[name]
            self._listed = None
            return
        best = max((self._found_in[key][name] for key in holders), key=lambda each: each.rank)
        if self._merged.get(name) != best:
            self._merged[name] = best
            self._listed = None


def _read(endpoint: SliceEndpoint, scheme: str, port: int) -> Found | None:
    """Return an endpoint; None if its address can be none, which API servers do not accept."""
    status = EndpointStatus.DRAIN if endpoint.is_terminating else EndpointStatus.UP
    try:
        spec = EndpointSpec(scheme, endpoint.address, port, status=status)
    except ValueError:
        return None
    return Found(spec, endpoint.is_serving or not endpoint.is_terminating)
