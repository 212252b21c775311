"""Why a discovery finds nothing, in words that name the key to mend."""

from __future__ import annotations

from difflib import get_close_matches

from gateway_plugin_kubernetes.endpoint_table import EndpointTable
from gateway_plugin_kubernetes.informer import Informer
from gateway_plugin_kubernetes.options import KubernetesConfig


def why_empty(config: KubernetesConfig, namespace: str, table: EndpointTable, informer: Informer) -> str:
    """Return the first reason for which there are no endpoints."""
    where = "any namespace" if namespace == "*" else f"namespace {namespace!r}"
    if not table.services:
        if config.service is None:
            return f"no Service in {where} is selected by {config.selector!r}"
        return f"there is no Service {config.service!r} in {where}{_instead(config.service, informer)}"
    names = ", ".join(sorted(f"{key[0]}/{key[1]}" for key in table.services))
    external = [service.external_name for service in table.services.values() if service.external_name]
    if external:
        return (
            f"Service {names} has type ExternalName, which has no endpoints: "
            f"use the discovery dns with host {external[0]!r}"
        )
    if not any(item.endpoints for item in table.slices):  # one without endpoints has no ports either
        return f"Service {names} has no endpoints: no pod has the labels that it selects"
    if not table.has_port:
        ports = sorted({f"{port.name or 'unnamed'} ({port.number})" for item in table.slices for port in item.ports})
        wanted = "http, web, gateway" if config.port is None else repr(config.port)
        return f"Service {names} has no port {wanted}: its endpoints have {', '.join(ports) or 'none'}, set port"
    count = sum(len(item.endpoints) for item in table.slices)
    return f"none of the {count} endpoints of Service {names} is ready"


def _instead(name: str, informer: Informer) -> str:
    known = {key[1] for key in informer.services.items}
    similar = get_close_matches(name, known, 1)
    if similar:
        return f", but {similar[0]!r}"
    return f", which has {len(known)} others" if known else ", nor any other: is the namespace right?"
