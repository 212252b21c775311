"""What stands for more than it says: ``route_defaults`` and ``use`` of ``plugin_sets``, expanded before anything else.

How it works. Both are expanded in the nodes of the documents, not in their values. A key that a route gets from
``route_defaults``, and a binding that it gets from a set, is then the very node that was written there: every problem
with it names the line where it is to be mended, and no later step knows that there was anything to expand.

Defaults are those of one document. Sets are those of the whole configuration, so they are expanded once documents are
merged.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import yaml

from gateway_core.config.models.base import EXTENSION
from gateway_core.config.problems import KeyPath
from gateway_core.config.suggestions import did_you_mean, quote, there_are
from gateway_core.config.yaml_constructor import ReportNode, is_merge, lookup, merge_sources, node_place
from gateway_core.config.yaml_nodes import PLAIN_TAG

DEFAULTS: Final = "route_defaults"
SETS: Final = "plugin_sets"
USE: Final = "use"

_PATHS: Final = frozenset({"id", "path", "path_prefix", "path_regex", "grpc"})
_RESPONDING: Final = frozenset({"target", "targets", "redirect", "respond"})
_KEEPING: Final = frozenset({"sticky_cookie", "hash_on"})
"""Keep a client on one of ``targets``: of no use without those of the same place."""
_UPSTREAM: Final = frozenset(
    {"mirror", "preserve_host", "timeouts", "retries", "rewrite", "rewrite_response", "buffer_request"}
)
"""Of no use for a route that responds itself."""
_NULLS: Final = frozenset({"", "~", "null", "Null", "NULL"})
_NULL_TAGS: Final = frozenset({PLAIN_TAG, "tag:yaml.org,2002:null"})

Pair = tuple[yaml.Node, yaml.Node]


def apply_defaults(root: yaml.MappingNode, report: ReportNode) -> dict[int, yaml.Node]:
    """Give the routes of one document what its ``route_defaults`` say and they do not.

    :returns: the defaults, by the ``id`` of the nodes of routes whose own ``plugins`` replace theirs.
    """
    found = lookup(root, DEFAULTS)
    if found is None:
        return {}
    defaults, routes = found[1], lookup(root, "routes")
    if not isinstance(defaults, yaml.MappingNode):
        return {}  # Its model says what it must be.
    pairs = []
    for key, value in _pairs(defaults):
        if str(key.value) in _PATHS:
            message = f"{quote(str(key.value))} cannot be a default: each route has its own"
            report(key, (DEFAULTS, str(key.value)), message, code="key.unknown", remedy="write it on the routes")
        elif not str(key.value).startswith(EXTENSION):
            pairs.append((key, value))
    seen: set[int] = set()
    displaced: dict[int, yaml.Node] = {}
    has_plugins = any(key.value == "plugins" for key, _ in pairs)
    for route in routes[1].value if routes is not None and isinstance(routes[1], yaml.SequenceNode) else ():
        if isinstance(route, yaml.MappingNode) and id(route) not in seen:
            seen.add(id(route))
            if has_plugins and (own := lookup(route, "plugins")) is not None and not _is_nothing(own[1]):
                displaced[id(route)] = defaults
            _complete(route, pairs)
    return displaced


def _complete(route: yaml.MappingNode, defaults: list[Pair]) -> None:
    given = {str(key.value) for key, value in _pairs(route) if not _is_nothing(value)}
    displaced: set[str] = set(given)
    if given & _RESPONDING:
        # What stands in the place of the target displaces it, and what goes with it.
        displaced |= _RESPONDING | (_KEEPING if "targets" not in given else set())
        if given & {"redirect", "respond"}:
            displaced |= _UPSTREAM
    if given & _KEEPING:
        displaced |= _KEEPING  # They exclude each other.
    added = [pair for pair in defaults if str(pair[0].value) not in displaced]
    names = {str(key.value) for key, _ in added}
    # A key with nothing behind it counts as not given.
    kept = [pair for pair in route.value if pair[0].value not in names or not _is_nothing(pair[1])]
    route.value = [*kept, *added]


def _is_nothing(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.tag in _NULL_TAGS and node.value in _NULLS


def _pairs(node: yaml.MappingNode) -> Iterator[Pair]:
    """Yield the keys of a mapping with their values, those that are merged in included."""
    seen = set()
    for key, value in node.value:
        if isinstance(key, yaml.ScalarNode) and not is_merge(key):
            seen.add(key.value)
            yield key, value
    for key, value in node.value:
        if is_merge(key):
            for source in merge_sources(value):
                for inner in _pairs(source) if isinstance(source, yaml.MappingNode) else ():
                    if inner[0].value not in seen:
                        seen.add(inner[0].value)
                        yield inner


@dataclass(slots=True)
class SetExpansion:
    """Puts the bindings of sets in the place of their ``use``."""

    report: ReportNode
    replacing: set[int] = field(default_factory=set)
    """``id`` of the nodes of bindings that stand in the place of one from a set."""
    used: set[str] = field(default_factory=set)
    _sets: dict[str, tuple[yaml.Node, list[yaml.Node]]] = field(default_factory=dict)
    _done: set[int] = field(default_factory=set)

    def run(self, root: yaml.MappingNode) -> None:
        """Expand every list of bindings in the merged document."""
        for path, entry in _items(root, SETS, ()):
            self._gather(path, entry)
        self._expand(root, ())
        for key in ("upstreams", "routes", DEFAULTS):
            for path, parent in _items(root, key, ()):
                self._expand(parent, path)
                for inner, target in _items(parent, "targets", path):
                    self._expand(target, inner)

    def _gather(self, path: KeyPath, entry: yaml.MappingNode) -> None:
        name, plugins = lookup(entry, "name"), lookup(entry, "plugins")
        if name is None or not isinstance(name[1], yaml.ScalarNode):
            return  # Its model says what it lacks.
        text = str(name[1].value)
        if text in self._sets:
            first = node_place(self._sets[text][0])
            message = f"{quote(text)} is already a set at {first}"
            code, remedy = "name.duplicate", "give one of them another name"
            self.report(name[1], (*path, "name"), message, code=code, remedy=remedy, related=[first])
            return
        items = plugins[1].value if plugins is not None and isinstance(plugins[1], yaml.SequenceNode) else []
        kept = []
        for index, item in enumerate(items):
            if isinstance(item, yaml.MappingNode) and (use := lookup(item, USE)) is not None:
                where, message = (*path, "plugins", index, USE), "a set uses no other set"
                self.report(use[0], where, message, code="binding.set-in-set", remedy="list its bindings here")
            else:
                kept.append(item)
        if plugins is not None and len(kept) < len(items):
            plugins[1].value = kept
        self._sets[text] = (name[1], kept)

    def _expand(self, parent: yaml.MappingNode, path: KeyPath) -> None:
        found = lookup(parent, "plugins")
        if found is None or not isinstance(found[1], yaml.SequenceNode) or id(found[1]) in self._done:
            return
        self._done.add(id(found[1]))
        if not any(isinstance(item, yaml.MappingNode) and lookup(item, USE) for item in found[1].value):
            return
        made: list[yaml.Node] = []
        of_sets: dict[str, tuple[int, str]] = {}
        replaced: set[str] = set()
        for index, item in enumerate(found[1].value):
            where = (*path, "plugins", index)
            use = lookup(item, USE) if isinstance(item, yaml.MappingNode) else None
            if use is None:
                # One of a set is replaced once: another binding of its id is a second one in this list, and a problem.
                known = None if _id_of(item) in replaced else of_sets.get(_id_of(item))
                if known is None:
                    made.append(item)
                else:
                    made[known[0]] = item
                    replaced.add(_id_of(item))
                    self.replacing.add(id(item))
                continue
            name, bindings = self._bindings_of(where, item, use)
            for binding in bindings:
                key = _id_of(binding)
                if key in of_sets and key:
                    message = f"{quote(key)} is in the set {quote(of_sets[key][1])} as well as in {quote(name)}"
                    remedy = "give one of them another id"
                    self.report(use[1], (*where, USE), message, code="name.duplicate", remedy=remedy)
                    continue
                of_sets[key] = (len(made), name)
                made.append(binding)
        found[1].value = made

    def _bindings_of(self, where: KeyPath, item: yaml.Node, use: Pair) -> tuple[str, list[yaml.Node]]:
        """Return the set that an entry uses, and its bindings; none if there is something wrong with the entry."""
        name = str(use[1].value) if isinstance(use[1], yaml.ScalarNode) else ""
        others = [
            key
            for key, _ in (_pairs(item) if isinstance(item, yaml.MappingNode) else ())
            if key.value != USE and not str(key.value).startswith(EXTENSION)
        ]
        if others:
            message = f"{quote(str(others[0].value))} has no place beside use"
            remedy = "list the binding behind it with its id, which then replaces that of the set"
            self.report(others[0], (*where, str(others[0].value)), message, code="value.inconsistent", remedy=remedy)
        elif name in self._sets:
            self.used.add(name)
            return name, self._sets[name][1]
        else:
            remedy = did_you_mean(name, list(self._sets)) or there_are(list(self._sets), "write it under plugin_sets")
            message = f"{quote(name)} is not a set of plugins"
            self.report(use[1], (*where, USE), message, code="binding.set-unknown", remedy=remedy)
        return name, []


def _items(parent: yaml.MappingNode, key: str, path: KeyPath) -> Iterator[tuple[KeyPath, yaml.MappingNode]]:
    found = lookup(parent, key)
    for index, item in enumerate(
        found[1].value if found is not None and isinstance(found[1], yaml.SequenceNode) else ()
    ):
        if isinstance(item, yaml.MappingNode):
            yield (*path, key, index), item


def _id_of(binding: yaml.Node) -> str:
    """Return the id of a binding as it is written; empty if it has none."""
    if isinstance(binding, yaml.MappingNode):
        for key in ("id", "name"):
            found = lookup(binding, key)
            if found is not None and isinstance(found[1], yaml.ScalarNode) and found[1].value:
                return str(found[1].value)
    return ""
