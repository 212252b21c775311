"""From the bindings in a configuration to the chains of its routes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from gateway_core.clock import Clock
from gateway_core.config import BindingConfig, ErrorPageConfig, PlaceOf, RouteConfig, effective_chain
from gateway_core.hooks.binding import Binding
from gateway_core.hooks.chain import Chain, Hook, attempt_hooks, build_chain
from gateway_core.hooks.error_pages import ErrorPageHooks
from gateway_core.hooks.own_cookies import CookieFilter, CookieRemovals
from gateway_core.hooks.server_timing import with_server_timing
from gateway_core.metrics import Metrics
from gateway_core.observe import HookObserver
from gateway_core.packages.instances import Bindings


class ChainBuilder:
    """Makes the chain of each route; routes without bindings of their own share one."""

    def __init__(
        self,
        bindings: Bindings,
        gateway_wide: Sequence[BindingConfig],
        place_of: PlaceOf,
        timings: HookObserver | None = None,
        server_timing: Binding | None = None,
        pages: ErrorPageHooks | None = None,
    ) -> None:
        """Bind the gateway-wide bindings.

        :param place_of: the place of a key path such as ``routes[3].plugins[0]``.
        :param timings: observes every hook; None costs nothing.
        :param server_timing: goes around every chain (see `with_server_timing`).
        :param pages: what puts error pages into every chain.
        :raises ConfigError: a binding cannot be made.
        """
        self._pages = pages
        self._bindings = bindings
        self._gateway_wide = gateway_wide
        self._place_of = place_of
        self._timings = timings
        self._server_timing = server_timing
        self._inherited: dict[str, Binding] = {}
        self._built: list[Chain] = []
        self._has_cookies = False
        for index, config in enumerate(gateway_wide):
            if config.enabled:
                is_after = config.order == "after"
                self._inherited[config.id] = self._bind(config, None, f"plugins[{index}]", is_after=is_after)
        self.global_chain: Chain = self._build(self._inherited.values())
        """The gateway-wide bindings alone, for the request phase and for requests without a route."""

    def chain_of(self, route: RouteConfig, index: int) -> Chain:
        """Return the chain of a route, by its position in the configuration.

        :raises ConfigError: a binding cannot be made.
        """
        targets = [(each.target, each.plugins) for each in route.targets]
        return self.chain_for(route.id, route.plugins, f"routes[{index}]", targets, route.error_pages)

    def chain_for(
        self,
        route: str,
        own: Sequence[BindingConfig],
        key_path: str,
        targets: Sequence[tuple[str, Sequence[BindingConfig]]] = (),
        error_pages: Sequence[ErrorPageConfig] = (),
    ) -> Chain:
        """Return the chain of a route.

        :param own: the route's own bindings.
        :param key_path: of the route, such as ``routes[3]``.
        :param targets: the upstream's name and the bindings of each target, in the order of the configuration.
        :param error_pages: the route's own.
        :raises ConfigError: a binding cannot be made.
        """
        of_targets: dict[str, list[Binding]] = {}
        for number, (upstream, of_target) in enumerate(targets):
            if upstream not in of_targets:  # a target that stands there twice has the same bindings in both places
                of_targets[upstream] = self._bind_all(of_target, route, f"{key_path}.targets[{number}]", upstream)
        if not own and not any(of_targets.values()) and not error_pages:
            return self.global_chain
        chain = []
        for entry in effective_chain(self._gateway_wide, own):
            if entry.is_own:
                where = f"{key_path}.plugins[{entry.index}]"
                chain.append(self._bind(entry.binding, route, where, is_after=entry.is_after))
            else:
                chain.append(self._inherited[entry.binding.id])
        return self._build(chain, of_targets, error_pages)

    def attempt_hooks_for(self, upstream: str, own: Sequence[BindingConfig], key_path: str) -> tuple[Hook, ...]:
        """Return the hooks that run for every attempt at an upstream, after all others.

        :param own: the upstream's bindings.
        :param key_path: of the upstream, such as ``upstreams[3]``.
        :raises ConfigError: a binding cannot be made.
        """
        return attempt_hooks(self._bind_all(own, None, key_path, upstream), self._timings)

    def _build(
        self,
        bindings: Iterable[Binding],
        targets: Mapping[str, Sequence[Binding]] | None = None,
        error_pages: Sequence[ErrorPageConfig] = (),
    ) -> Chain:
        before: list[Binding] = []
        after: list[Binding] = []
        for binding in bindings:
            (after if binding.is_after else before).append(binding)
        chain = build_chain(before, self._timings, after=after, targets=targets)
        if self._pages is not None:
            chain = self._pages.put_into(chain, error_pages)
        if self._server_timing is not None:
            chain = with_server_timing(chain, self._server_timing)
        self._built.append(chain)
        return chain

    def keep_cookies(self, clock: Clock, metrics: Metrics) -> CookieFilter | None:
        """Keep the cookies of plugins from upstreams, once the chains of all routes are built.

        :returns: what removes them from what plugins fetch; None if no plugin has cookies.
        """
        return CookieRemovals(clock, metrics).put_into(self._built) if self._has_cookies else None

    def _bind_all(
        self, listed: Sequence[BindingConfig], route: str | None, key_path: str, upstream: str
    ) -> list[Binding]:
        return [
            self._bind(config, route, f"{key_path}.plugins[{index}]", upstream)
            for index, config in enumerate(listed)
            if config.enabled
        ]

    def _bind(
        self,
        config: BindingConfig,
        route: str | None,
        key_path: str,
        upstream: str | None = None,
        *,
        is_after: bool = False,
    ) -> Binding:
        place = self._place_of(key_path)
        binding = self._bindings.bind(
            config, route=route, upstream=upstream, is_after=is_after, place=place, key_path=key_path
        )
        self._has_cookies = self._has_cookies or bool(binding.instance.own_cookies)
        return binding
