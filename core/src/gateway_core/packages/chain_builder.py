"""From the bindings in a configuration to the chains of its routes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from gateway_core.config import BindingConfig, ConfigProblem, GatewayConfig, PlaceOf, effective_chain
from gateway_core.hooks.binding import Binding
from gateway_core.hooks.chain import Chain, build_chain
from gateway_core.hooks.server_timing import answer_with_times
from gateway_core.hooks.timings import Timings
from gateway_core.packages.instances import Bindings
from gateway_core.packages.registry import PluginRegistry

if TYPE_CHECKING:
    from gateway_core.config import ExtraCheck


class ChainBuilder:
    """Makes the chain of each route; routes without bindings of their own share one."""

    def __init__(
        self,
        bindings: Bindings,
        gateway_wide: Sequence[BindingConfig],
        place_of: PlaceOf,
        timings: Timings | None = None,
        answers: Binding | None = None,
    ) -> None:
        """Bind the gateway-wide bindings.

        :param place_of: the place of a key path such as ``routes[3].plugins[0]``.
        :param timings: measures every hook; None costs nothing.
        :param answers: goes around every chain (see `answer_with_times`).
        :raises ConfigError: a binding cannot be made.
        """
        self._bindings = bindings
        self._gateway_wide = gateway_wide
        self._place_of = place_of
        self._timings = timings
        self._answers = answers
        self._inherited: dict[str, Binding] = {}
        for index, config in enumerate(gateway_wide):
            if config.enabled:
                self._inherited[config.id] = self._bind(config, None, f"plugins[{index}]")
        self.global_chain: Chain = self._build(list(self._inherited.values()))
        """The gateway-wide bindings alone, for the request phase and for requests without a route."""

    def chain_for(self, route: str, own: Sequence[BindingConfig], key_path: str) -> Chain:
        """Return the chain of a route.

        :param own: the route's own bindings.
        :param key_path: of the route, such as ``routes[3]``.
        :raises ConfigError: a binding cannot be made.
        """
        if not own:
            return self.global_chain
        chain = []
        for entry in effective_chain(self._gateway_wide, own):
            if entry.is_own:
                chain.append(self._bind(entry.binding, route, f"{key_path}.plugins[{entry.index}]"))
            else:
                chain.append(self._inherited[entry.binding.id])
        return self._build(chain)

    def _build(self, bindings: Sequence[Binding]) -> Chain:
        chain = build_chain(bindings, self._timings)
        return chain if self._answers is None else answer_with_times(chain, self._answers)

    def _bind(self, config: BindingConfig, route: str | None, key_path: str) -> Binding:
        return self._bindings.bind(config, route=route, place=self._place_of(key_path), key_path=key_path)


def unreachable_bindings(registry: PluginRegistry) -> ExtraCheck:
    """Return a check that finds bindings on routes whose plugin could never be called there.

    The hook gateway_request runs before a route is known, so a plugin that has no other is of use gateway-wide only.
    """

    def check(config: GatewayConfig, place_of: PlaceOf) -> Iterable[ConfigProblem]:
        for position, route in enumerate(config.routes):
            for index, binding in enumerate(route.plugins):
                info = registry.info(binding.name) if binding.enabled else None
                if info is not None and info.kind == "plugin" and info.hooks == ("gateway_request",):
                    where = f"routes[{position}].plugins[{index}]"
                    yield ConfigProblem(
                        place_of(where),
                        where,
                        f"{binding.name} has only the hook gateway_request, which runs before a route is known: "
                        "list it under the top-level plugins",
                        code="binding.unreachable",
                    )

    return check
