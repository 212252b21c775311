"""The chains of bindings that routes have: where their responses come from, what protects them, the order.

In every chain what a binding needs comes after what provides it, and nothing that decides who may pass comes behind
what responds without asking it: a cache, or a plugin that responds in the place of an upstream.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from gateway_core.config.catalog import HOOK_TIMES, PLAIN_RESPONSES
from gateway_core.config.checks.scope import BindingView, Scope, bindings, mappings, text
from gateway_core.config.models.base import EXTENSION
from gateway_core.config.models.binding import effective_chain
from gateway_core.config.models.route import RouteConfig
from gateway_core.config.problems import ConfigFinding, KeyPath
from gateway_core.config.suggestions import Fault, listed, quote

RESPONSE: Final = "response"
"""What a plugin provides that responds to requests itself."""
_RESPONDING: Final = ("target", "targets", "redirect", "respond")


def check_responses(scope: Scope) -> None:
    """Report routes with bindings that have no target, none of which responds instead."""
    gateway_wide = bindings(scope.document)
    for path, route in mappings(scope.document, "routes"):
        if any(route.get(key) is not None for key in _RESPONDING):
            continue
        if route.get("enabled") is False:
            continue  # It takes no requests.
        own = bindings(route, path)
        if any(not key.startswith(EXTENSION) and key not in RouteConfig.model_fields for key in route):
            continue  # A misspelt key may be the one that is missing.
        if not any(binding.enabled for binding in own):
            continue  # The model refuses it.
        chain = [entry.binding for entry in effective_chain(gateway_wide, own)]
        if not any(_may_respond(scope, binding) for binding in chain):
            message = "lacks a key, and none of its plugins responds to requests"
            remedy = f"give exactly one of {listed(_RESPONDING, last='and')}"
            scope.add(path, message, code="value.inconsistent", remedy=remedy)


def _may_respond(scope: Scope, binding: BindingView) -> bool:
    description = scope.catalog.describe(binding.name)
    if binding.path in scope.broken or description is None or description.load_error is not None:
        return True  # A problem of its own, and what it would provide is not known.
    provides: Iterable[str] = description.provides
    if description.provides_of is not None and binding.config is not None:
        provides = description.provides_of(binding.config)
    return RESPONSE in provides


def check_displaced_defaults(scope: Scope) -> None:
    """Warn of routes whose own list of plugins leaves out what the defaults protect routes with.

    An empty list leaves it out on purpose, and so does a binding of its id that is switched off.
    """
    guarding = {each.name for each in bindings(scope.document) if each.enabled and _is_guard(scope, each)}
    for path, route in mappings(scope.document, "routes") if scope.displaced_defaults else ():
        own = bindings(route, path)
        named = guarding.union([each.id for each in own], [each.name for each in own])
        missing = [
            quote(each.id)
            for each in (scope.displaced(path) if own else ())
            if each.enabled and not named & {each.id, each.name} and _is_guard(scope, each)
        ]
        if missing:
            do = "does" if len(missing) == 1 else "do"
            guards = f"{listed(missing, last='and')} {do}"
            message = f"replaces the plugins of route_defaults: {guards} not protect this route"
            remedy = "list what is to stay here too, or with enabled: false what is not"
            scope.warn((*path, "plugins"), message, code="binding.replaces", remedy=remedy)


def _is_guard(scope: Scope, binding: BindingView) -> bool:
    description = scope.catalog.describe(binding.name)
    return description is not None and description.load_error is None and description.access_control


@dataclass(frozen=True, slots=True)
class _Link:
    """A binding in a chain, with what its plugin declares for its config."""

    binding: BindingView
    needs: frozenset[str]
    provides: frozenset[str]
    shares_responses: bool
    encodes_responses: bool
    needs_plain_responses: bool
    access_control: bool

    @property
    def always_responds(self) -> bool:
        """Whether no request gets past it: one with ``when`` lets some pass, one in shadow mode all."""
        return RESPONSE in self.provides and not self.binding.is_conditional


@dataclass(slots=True)
class OrderCheck:
    """Checks chains; every pair of bindings is reported once, however many routes share it."""

    scope: Scope
    _links: dict[tuple[str | int, ...], _Link | None] = field(default_factory=dict)
    _reported: set[tuple[KeyPath, str]] = field(default_factory=set)

    def run(self) -> None:
        """Check the chain of every route, or the gateway-wide one if there are no routes."""
        gateway_wide = bindings(self.scope.document)
        routes = list(mappings(self.scope.document, "routes"))
        is_plain_checked = False
        for path, route in routes:
            own = bindings(route, path)
            if not own and not route.get("targets"):
                # Routes without bindings all have the same chain.
                if is_plain_checked:
                    continue
                is_plain_checked = True
            of_targets = [bindings(target, inner) for inner, target in mappings(route, "targets", path)]
            for index, of_target in enumerate(of_targets or [[]]):
                chain = effective_chain(gateway_wide, own, index, of_target)
                self._check([entry.binding for entry in chain], text(route, "id"))
        if not routes:
            self._check([entry.binding for entry in effective_chain(gateway_wide, ())], None)

    def _check(self, chain: list[BindingView], route: str | None) -> None:
        links = [link for binding in chain if (link := self._link(binding)) is not None]
        if len(links) < len(chain):
            return  # A plugin that is missing or broken may be the one that provides.
        for position, link in enumerate(links):
            for need, fault in self._misplaced(link, links[:position], links[position + 1 :]):
                key = (link.binding.path, need)
                if key not in self._reported:
                    self._reported.add(key)
                    is_shared = link.binding.path[0] == "plugins" and route is not None
                    where = f" (on route {quote(route or '')})" if is_shared else ""
                    reason = f"{quote(link.binding.id)} needs {quote(need)}, which {fault.reason}{where}"
                    self.scope.add(link.binding.path, reason, code="binding.order", remedy=fault.remedy)
            if link.encodes_responses:
                for reader in (other for other in links[:position] if other.needs_plain_responses):
                    self._check_encoded(link, reader)
            earlier = (other for other in links[:position] if other.shares_responses or other.always_responds)
            responding = next(earlier, None)
            if responding is not None:
                self._check_passed_by(link, responding)

    def _check_encoded(self, link: _Link, reader: _Link) -> None:
        """Warn of a binding that encodes responses before another one, whose hook runs later, looks into them."""
        key = (link.binding.path, reader.binding.id)
        if key not in self._reported:
            self._reported.add(key)
            reason = f"{quote(link.binding.id)} compresses responses before {self._named(reader)} can look into them"
            self.scope.warn(link.binding.path, reason, code="binding.order", remedy="put this one first")

    def _check_passed_by(self, link: _Link, responding: _Link) -> None:
        """Report a binding that decides who may pass, where responses are given without asking it."""
        decides = "identity" in link.provides | link.needs
        key = (link.binding.path, "passed-by")
        if key in self._reported or not (decides or link.access_control):
            return
        self._reported.add(key)
        does = "gives stored responses" if responding.shares_responses else "responds to every request"
        reason = f"{self._named(responding)} {does} without asking {quote(link.binding.id)}"
        report = self.scope.add if decides else self.scope.warn
        report(link.binding.path, reason, code="binding.passed-by", remedy="put this one before it")

    def _misplaced(self, link: _Link, earlier: list[_Link], later: list[_Link]) -> Iterator[tuple[str, Fault]]:
        """Yield what a binding needs and no earlier one provides, with why that is so."""
        for need in sorted(link.needs):
            if not any(need in other.provides for other in earlier):
                yield need, self._source(need, next((other for other in later if need in other.provides), None))

    def _source(self, need: str, provider: _Link | None) -> Fault:
        if provider is not None:
            return Fault(f"{self._named(provider)} provides only later", "put that one first")
        known = [name for name in sorted(self.scope.catalog.names()) if self._may_provide(name, need)]
        if known:
            return Fault("no binding before it provides", f"add one of {listed(known)} before it")
        return Fault("no installed plugin provides")

    def _may_provide(self, name: str, need: str) -> bool:
        description = self.scope.catalog.describe(name)
        return description is not None and description.load_error is None and need in description.provides

    def _named(self, link: _Link) -> str:
        return f"{quote(link.binding.id)} at {self.scope.place(link.binding.path)}"

    def _link(self, binding: BindingView) -> _Link | None:
        if binding.path not in self._links:
            self._links[binding.path] = self._describe(binding)
        return self._links[binding.path]

    def _describe(self, binding: BindingView) -> _Link | None:
        description = self.scope.catalog.describe(binding.name)
        if description is None or description.load_error is not None or binding.path in self.scope.broken:
            return None
        config = binding.config if binding.config is not None else {}
        try:
            needs = description.needs_of(config) if description.needs_of else description.needs
            provides = description.provides_of(config) if description.provides_of else description.provides
        except Exception as error:  # noqa: BLE001 - the plugin's own code
            finding = ConfigFinding((), f"the plugin fails on this config: {error}", code="plugin.check-failed")
            self.scope.report(finding, binding.path, description.label)
            return None
        return _Link(
            binding,
            frozenset(needs) - {HOOK_TIMES, PLAIN_RESPONSES},
            frozenset(provides),
            description.shares_responses,
            description.encodes_responses,
            PLAIN_RESPONSES in needs,
            description.access_control,
        )
