"""Plugins of one consumer or consumer group, as bindings that run for these consumers only.

Kong knows the consumer when the authentications of a route have run, and then runs of each plugin the most specific
instance. Here auth puts the consumer's name into X-Consumer-Username, where no client can put it, and bindings that
stand behind it have it as their condition.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from gateway_import.kong.entities import Entities, KongConsumer, KongPlugin
from gateway_import.kong.plugins import CONSUMER_HEADER, PLUGINS, Placed
from gateway_import.model import Imported, Route
from gateway_import.sections import Section

IDENTIFIED: Final = ("key-auth", "key-auth-enc", "basic-auth")
"""Authentications after which the header has the consumer's name."""
_CARRIED: Final = frozenset(
    {"rate-limiting", "rate-limiting-advanced", "ip-restriction", "correlation-id"}
    | {f"{side}-transformer{more}" for side in ("request", "response") for more in ("", "-advanced")}
)
_NAME: Final = re.compile(r"[A-Za-z0-9._@+-]+")
"""Names that a header field has as they are."""


@dataclass(slots=True)
class Scoped:
    """A plugin, and the consumers for which it is the most specific one of its name."""

    plugin: KongPlugin
    consumers: list[str]

    @property
    def when(self) -> dict[str, Any]:
        """The condition of its bindings."""
        return {"headers": {CONSUMER_HEADER: {"one_of": self.consumers}}}


def members(entities: Entities, plugin: KongPlugin) -> list[KongConsumer]:
    """Return the consumers that a plugin is for."""
    return [
        each for each in entities.consumers
        if plugin.consumer in each.aliases or (plugin.group is not None and plugin.group in each.memberships)
    ]  # fmt: skip


def is_carried(entities: Entities, plugin: KongPlugin) -> bool:
    """Whether a plugin of consumers can become bindings that run for them only."""
    anonymous = {each.config.text("anonymous") for each in entities.plugins if each.config is not None}
    return plugin.name in _CARRIED and all(
        _NAME.fullmatch(each.name)
        and not each.aliases & anonymous
        and not any(sections for name, sections in each.credentials.items() if name not in IDENTIFIED)
        for each in members(entities, plugin)
    ) and all(_is_binding(each) for each in entities.plugins if each.name == plugin.name and each.enabled)  # fmt: skip


def _is_binding(plugin: KongPlugin) -> bool:
    """Whether a plugin becomes bindings and nothing else: it loses no guard, and changes no key of its routes."""
    config = None if plugin.config is None else Section(plugin.config.node, plugin.config.what)
    trial = KongPlugin(plugin.name, Section(plugin.section.node, plugin.section.what), config)
    route = Route("trial", {}, plugin.origin)
    PLUGINS[plugin.name](Placed(Imported("", ""), trial, [route], has_identity=True))
    return not route.keys and not route.is_closed


def effective_plugins(
    entities: Entities, route: str, service: str | None, consumer: KongConsumer | None = None
) -> dict[str, KongPlugin]:
    """Return the plugins that run for a route: of each name the most specific one.

    :param consumer: who sends the request; None for the plugins that are of no consumer.
    """
    found: dict[str, KongPlugin] = {}
    for plugin in entities.plugins:
        is_here = plugin.route in {None, route} and plugin.service in {None, service}
        if not is_here or not plugin.enabled or not _is_for(plugin, consumer):
            continue
        if plugin.name not in found or plugin.specificity > found[plugin.name].specificity:
            found[plugin.name] = plugin
    return found


def _is_for(plugin: KongPlugin, consumer: KongConsumer | None) -> bool:
    if consumer is None:
        return plugin.consumer is None and plugin.group is None
    return (plugin.consumer is None or plugin.consumer in consumer.aliases) and (
        plugin.group is None or plugin.group in consumer.memberships
    )


def scoped_plugins(
    entities: Entities, known: Iterable[KongConsumer], route: str, service: str | None
) -> dict[str, list[Scoped]]:
    """Return, by name, the plugins of consumers that run for a route instead of those of everyone.

    :param known: consumers with credentials.
    """
    found: dict[str, dict[int, Scoped]] = {}
    for consumer in known:
        for name, plugin in effective_plugins(entities, route, service, consumer).items():
            if name in _CARRIED and (plugin.consumer is not None or plugin.group is not None):
                scoped = found.setdefault(name, {}).setdefault(id(plugin), Scoped(plugin, []))
                scoped.consumers.append(consumer.name)
    return {name: list(each.values()) for name, each in found.items()}


def unless_scoped(scoped: Iterable[Scoped]) -> dict[str, Any] | None:
    """Return the condition of the plugin of everyone beside those of consumers; None if there are none."""
    names = [name for each in scoped for name in each.consumers]
    return {"headers": {CONSUMER_HEADER: {"none_of": names}}} if names else None
