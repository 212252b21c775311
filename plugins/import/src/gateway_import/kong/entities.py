"""What a declarative configuration has: services, routes, plugins and consumers, wherever they are written.

Entities may be nested (a route below its service) or stand at the top with a reference, and a reference is a name, an
id, or a mapping with one of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from gateway_import.failures import CannotImportError, Origin
from gateway_import.nodes import Node
from gateway_import.sections import Section

BOOKKEEPING: Final = ("id", "tags", "created_at", "updated_at", "instance_name", "ws_id", "_comment")
"""Keys of every entity that say nothing about requests."""
CREDENTIALS: Final = {
    "keyauth_credentials": "key-auth", "jwt_secrets": "jwt", "basicauth_credentials": "basic-auth",
    "hmacauth_credentials": "hmac-auth", "oauth2_credentials": "oauth2", "mtls_auth_credentials": "mtls-auth",
}  # fmt: skip
"""Lists of credentials, by the plugin that they are for."""
_SPECIFICITY: Final = {
    scope: number for number, scope in enumerate(("", "s", "r", "g", "c", "rs", "gs", "gr", "cs", "cr", "grs", "crs"))
}
"""How specific a plugin of route, service, consumer and group is, by their first letters."""
_NAMES: Final = ("name", "id", "username", "custom_id")


@dataclass(slots=True, eq=False)
class KongPlugin:
    """One plugin in one scope."""

    name: str
    section: Section
    config: Section | None
    service: str | None = None
    route: str | None = None
    consumer: str | None = None
    group: str | None = None
    enabled: bool = True

    @property
    def origin(self) -> Origin:
        return self.section.origin

    @property
    def what(self) -> str:
        """What findings call it."""
        scopes = {"route": self.route, "service": self.service, "consumer": self.consumer, "group": self.group}
        where = " of ".join(f"{kind} {name!r}" for kind, name in scopes.items() if name is not None)
        return f"plugin {self.name!r}{f' of {where}' if where else ''}"

    @property
    def scope(self) -> str:
        """A name of the scope, which bindings that count together share."""
        return "-".join(filter(None, ("kong", self.service, self.route, self.consumer or self.group, self.name)))

    @property
    def specificity(self) -> int:
        """The more specific of two plugins of a name counts."""
        scopes = (("c", self.consumer), ("g", self.group), ("r", self.route), ("s", self.service))
        scope = "".join(letter for letter, name in scopes if name is not None)
        return _SPECIFICITY.get(scope, len(_SPECIFICITY))


@dataclass(slots=True, eq=False)
class KongRoute:
    """A route, and the service that it belongs to."""

    name: str
    section: Section
    service: str | None


@dataclass(slots=True, eq=False)
class KongConsumer:
    """A consumer with credentials and groups."""

    name: str
    origin: Origin
    section: Section | None = None
    groups: list[str] = field(default_factory=list)
    """Groups of its acls, which the plugin acl compares."""
    memberships: list[str] = field(default_factory=list)
    """Consumer groups, which plugins may be for."""
    credentials: dict[str, list[Section]] = field(default_factory=dict)
    """By the plugin that they are for."""
    aliases: set[str] = field(default_factory=set)
    """Every name that references may use."""
    ids: dict[str, str] = field(default_factory=dict)
    """Those of ``custom_id`` and ``id`` that the file has."""


@dataclass(slots=True)
class Entities:
    """All entities of a document."""

    services: dict[str, Section] = field(default_factory=dict)
    routes: list[KongRoute] = field(default_factory=list)
    plugins: list[KongPlugin] = field(default_factory=list)
    consumers: list[KongConsumer] = field(default_factory=list)
    upstreams: dict[str, Section] = field(default_factory=dict)
    targets: list[Section] = field(default_factory=list)

    def consumer(self, name: str | None) -> KongConsumer | None:
        """Return the consumer that a reference names."""
        return next((each for each in self.consumers if name in each.aliases), None)


def read_entities(root: Section) -> Entities:
    """Read the entities of a document; what is left in ``root`` are keys that are not known."""
    return _Reader(root).read()


class _Reader:
    def __init__(self, root: Section) -> None:
        self.root = root
        self.found = Entities()
        self.service_names: dict[str, str] = {}
        self.route_names: dict[str, str] = {}
        info = root.section("_info")
        self.defaults = info.section("defaults") if info is not None else None
        configs = root.section("_plugin_configs")
        self.plugin_configs: dict[str, Node] = dict(_entries(configs)) if configs is not None else {}

    def read(self) -> Entities:
        root, found = self.root, self.found
        for section in root.sections("services", "a service"):
            self._service(section)
        for section in root.sections("routes", "a route"):
            self._route(section, None)
        for given in root.sections("upstreams", "an upstream"):
            section = self._defaulted(given, "upstream")
            name = _required(section, "name")
            section.what = f"upstream {name!r}"
            found.upstreams[name] = section
            found.targets += [_with(target, name) for target in section.sections("targets", "a target")]
        found.targets += root.sections("targets", "a target")
        groups = self._groups()
        for section in root.sections("consumers", "a consumer"):
            self._consumer(section, groups)
        self._credentials()
        for section in root.sections("plugins", "a plugin"):
            self._plugin(section, {})
        return found

    def _defaulted(self, section: Section, kind: str) -> Section:
        """Return an entity with what decK gives to every one of its kind."""
        given = self.defaults.section(kind) if self.defaults is not None else None
        if given is None:
            return section
        return Section(Node(section.origin, {**dict(_entries(given)), **dict(_entries(section))}), section.what)

    def _service(self, section: Section) -> None:
        section = self._defaulted(section, "service")
        name = section.text("name") or section.text("id") or section.text("host") or f"service-{section.origin.line}"
        section.what = f"service {name!r}"
        if name in self.found.services:
            raise CannotImportError(section.origin, f"has the service {name!r} twice: rename one of them")
        self.found.services[name] = section
        self.service_names |= {name: name, section.text("id") or name: name}
        for route in section.sections("routes", "a route"):
            self._route(route, name)
        for plugin in section.sections("plugins", "a plugin"):
            self._plugin(plugin, {"service": name})

    def _route(self, section: Section, service: str | None) -> None:
        section = self._defaulted(section, "route")
        service = service or self._resolved(reference(section, "service"), self.service_names, section, "service")
        number = len(self.found.routes) + 1
        name = section.text("name") or section.text("id") or f"{service or 'route'}-{number}"
        section.what = f"route {name!r}"
        self.route_names |= {name: name, section.text("id") or name: name}
        self.found.routes.append(KongRoute(name, section, service))
        for plugin in section.sections("plugins", "a plugin"):
            self._plugin(plugin, {"route": name})

    def _groups(self) -> dict[str, list[str]]:
        """Return the members that groups list themselves, by group; plugins of groups are read on the way."""
        members: dict[str, list[str]] = {}
        for section in self.root.sections("consumer_groups", "a consumer group"):
            name = _required(section, "name")
            members[name] = [_name_in(node) or "" for node in section.nodes("consumers")]
            for plugin in section.sections("plugins", "a plugin"):
                self._plugin(plugin, {"group": name})
            section.ignore(*BOOKKEEPING)
        for section in self.root.sections("consumer_group_plugins", "a plugin of a consumer group"):
            self._plugin(section, {})
        for section in self.root.sections("consumer_group_consumers", "a member of a consumer group"):
            members.setdefault(reference(section, "consumer_group") or "", []).append(
                reference(section, "consumer") or ""
            )
        return members

    def _consumer(self, section: Section, members: dict[str, list[str]]) -> None:
        aliases = {text for key in ("username", "custom_id", "id") if (text := section.text(key))}
        name = section.text("username") or section.text("custom_id") or section.text("id") or ""
        if not name:
            raise CannotImportError(section.origin, "is a consumer without a name: give it a username")
        section.what = f"consumer {name!r}"
        ids = {key: text for key in ("custom_id", "id") if (text := section.text(key))}
        consumer = KongConsumer(name, section.origin, section, aliases=aliases, ids=ids)
        section.ignore(*BOOKKEEPING, "type")
        consumer.memberships += [_name_in(node) or "" for node in section.nodes("groups")]
        for acl in section.sections("acls", "an acl"):
            consumer.groups.append(_required(acl, "group"))
        consumer.memberships += [group for group, names in members.items() if aliases.intersection(names)]
        for key, plugin in CREDENTIALS.items():
            consumer.credentials[plugin] = section.sections(key, f"a credential of consumer {name!r}")
        for plugin_section in section.sections("plugins", "a plugin"):
            self._plugin(plugin_section, {"consumer": name})
        self.found.consumers.append(consumer)

    def _credentials(self) -> None:
        """Read credentials and groups at the top, which name their consumer."""
        for key in (*CREDENTIALS, "acls"):
            for section in self.root.sections(key, f"an entry of {key}"):
                name = reference(section, "consumer")
                consumer = self.found.consumer(name)
                if consumer is None:
                    raise CannotImportError(section.origin, f"names the consumer {name!r}, which is not in the file")
                if key == "acls":
                    consumer.groups.append(_required(section, "group"))
                else:
                    consumer.credentials[CREDENTIALS[key]].append(section)

    def _plugin(self, section: Section, scope: dict[str, str]) -> None:
        name = _required(section, "name")
        section.what = f"plugin {name!r}"
        shared = section.text("_config")
        config = section.section("config", f"config of plugin {name!r}")
        if shared is not None:
            config = self._merged(section, shared, config)
        for key, group in (
            ("service", "service"),
            ("route", "route"),
            ("consumer", "consumer"),
            ("consumer_group", "group"),
        ):
            if (named := reference(section, key)) is not None:
                scope = {**scope, group: named}
        service = self._resolved(scope.get("service"), self.service_names, section, "service")
        route = self._resolved(scope.get("route"), self.route_names, section, "route")
        section.ignore(*BOOKKEEPING, "protocols", "run_on", "ordering", "config")
        enabled = section.boolean("enabled") is not False
        self.found.plugins.append(
            KongPlugin(name, section, config, service, route, scope.get("consumer"), scope.get("group"), enabled)
        )

    def _merged(self, section: Section, shared: str, config: Section | None) -> Section:
        if shared not in self.plugin_configs:
            raise CannotImportError(section.origin, f"names {shared!r}, which is not in _plugin_configs")
        base = Section(self.plugin_configs[shared], f"_plugin_configs {shared!r}")
        own = {} if config is None else dict(_entries(config))
        return Section(Node(section.origin, {**dict(_entries(base)), **own}), section.what)

    def _resolved(self, name: str | None, names: dict[str, str], section: Section, kind: str) -> str | None:
        if name is None:
            return None
        if name not in names:
            raise CannotImportError(section.origin, f"names the {kind} {name!r}, which is not in the file")
        return names[name]


def reference(section: Section, key: str) -> str | None:
    """Return the name or id that a reference gives."""
    node = section.take(key)
    return None if node is None else _name_in(node)


def _name_in(node: Node) -> str | None:
    if isinstance(node.value, dict):
        found = (node.value[key].value for key in _NAMES if key in node.value)
        return next((str(value) for value in found if value is not None), None)
    return None if node.value is None else str(node.value)


def _entries(section: Section) -> Iterator[tuple[str, Node]]:
    for name in section.names():
        node = section.take(name)
        if node is not None:
            yield name, node


def _required(section: Section, key: str) -> str:
    text = section.text(key)
    if not text:
        raise CannotImportError(section.origin, f"{section.what} has no {key}")
    return text


def _with(target: Section, upstream: str) -> Section:
    """Return a nested target as one at the top, which names its upstream."""
    values = {**dict(_entries(target)), "upstream": Node(target.origin, upstream)}
    return Section(Node(target.origin, values), target.what)
