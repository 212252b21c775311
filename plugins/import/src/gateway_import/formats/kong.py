"""Kong: declarative configurations in YAML or JSON, formats 1.1, 2.1 and 3.0, and those of decK."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from gateway_import.failures import CannotImportError
from gateway_import.files import Files, SourceText
from gateway_import.formats import Format
from gateway_import.kong.auth import AUTHENTICATIONS, Consumers, RouteAuth
from gateway_import.kong.entities import Entities, read_entities
from gateway_import.kong.plugins import ADVICE, PLUGINS, Placed
from gateway_import.kong.routes import RouteParts, add_routes
from gateway_import.kong.scoped import IDENTIFIED, effective_plugins, scoped_plugins, unless_scoped
from gateway_import.kong.upstreams import add_upstreams
from gateway_import.model import Imported
from gateway_import.nodes import read_nodes
from gateway_import.sections import Section

_VERSIONS: Final = ("1.1", "2.1", "3.0")
_PROXY: Final = "Kong's own settings, such as its listeners, are in kong.conf: add listen, and tls where it is needed."


def read(source: SourceText, _files: Files, _options: Mapping[str, Any]) -> Imported:
    """Read a declarative configuration."""
    root = Section(read_nodes(source))
    version = root.text("_format_version")
    if version is None:
        message = "is no configuration of Kong: _format_version is missing; with deck gateway dump it has one"
        raise CannotImportError(source.origin, message)
    if version not in _VERSIONS:
        place = root.origin_of("_format_version")
        raise CannotImportError(place, f"has the _format_version {version!r}: known are {', '.join(_VERSIONS)}")
    imported = Imported(f"Kong, format {version}", source.name, comments=[_PROXY])
    entities = read_entities(root)
    root.ignore("_transform", "_info", "_workspace", "_konnect", "_comment", "_ignore")
    services = add_upstreams(imported, entities)
    parts = add_routes(imported, _enabled(imported, entities), services, regexes_marked=version == "3.0")
    consumers = Consumers(imported, entities)
    for part in parts:
        _place_plugins(imported, entities, consumers, part)
    for consumer in entities.consumers:
        for key, node in list(consumer.section.rest()) if consumer.section is not None else ():
            what = f"{key!r} of consumer {consumer.name!r}"
            imported.lose(node.origin, what, "it is not carried over", "see the providers of auth")
    _lose_rest(imported, root)
    return imported


FORMAT: Final = Format(
    read,
    "Import a declarative configuration of Kong, in YAML or JSON: formats 1.1, 2.1 and 3.0, those of decK too.\n",
)


def _enabled(imported: Imported, entities: Entities) -> list[Any]:
    off = {name for name, section in entities.services.items() if section.boolean("enabled") is False}
    for route in entities.routes:
        if route.service in off:
            imported.note(route.section.origin, route.section.what, "its service is not enabled: it is left out")
    return [route for route in entities.routes if route.service not in off]


def _place_plugins(imported: Imported, entities: Entities, consumers: Consumers, part: RouteParts) -> None:
    effective = effective_plugins(entities, part.kong.name, part.kong.service)
    has_identity = any(name in AUTHENTICATIONS for name in effective)
    placed = {name: Placed(imported, plugin, part.routes, has_identity) for name, plugin in effective.items()}
    if "cors" in placed:  # before auth: a preflight has no credentials
        PLUGINS["cors"](placed["cors"])
    RouteAuth(consumers, placed).bind()
    is_identified = any(name in placed for name in IDENTIFIED)
    scoped = scoped_plugins(entities, consumers.known, part.kong.name, part.kong.service) if is_identified else {}
    for name, carry_over in PLUGINS.items():
        if name in placed and name != "cors":
            placed[name].when = unless_scoped(scoped.get(name, ()))
            carry_over(placed[name])
        for each in scoped.get(name, ()):
            carry_over(Placed(imported, each.plugin, part.routes, has_identity, each.when))
    for name, at in placed.items():
        for key, node in list(at.plugin.section.rest()):
            what, reason = f"{key!r} of {at.plugin.what}", "it may decide when the plugin runs"
            imported.lose_guard(node.origin, what, reason, "see when of bindings", at.routes)
        if name not in PLUGINS and name not in {*AUTHENTICATIONS, "acl"}:
            at.guard(
                "", "it may decide who passes, and is not known here", ADVICE.get(name, "write a plugin, and bind it")
            )
    for route in part.routes:
        if not route.keys.keys() & {"target", "respond"} and not route.is_closed:
            reason = "it has no service, and no plugin that responds"
            imported.lose_guard(route.origin, part.kong.section.what, reason, "give it a target", [route])


def _lose_rest(imported: Imported, root: Section) -> None:
    advice = {
        "certificates": "write them into files, and name them in tls of a listener",
        "snis": "a certificate is chosen by its own names",
        "ca_certificates": "write them into files, and name them in client_ca or in tls of an upstream",
        "vaults": "set the variables of the environment, or use ${file:...}",
    }
    for key, node in list(root.rest()):
        if node.value not in ([], {}):
            imported.lose(
                node.origin, repr(key), "it is not carried over", advice.get(key, "see docs/configuration.md")
            )
