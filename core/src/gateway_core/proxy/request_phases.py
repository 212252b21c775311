"""The hooks before the upstream: request, route match and pre-proxy.

Made by an exchange that has such hooks. A hook returns nothing, a response, which ends these phases, or, in the
route-match phase, the id of another route. A request is rerouted once. Then the hooks of the new route's chain run that
did not run yet, so that none runs twice and none is skipped; those of the old route take no further part.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol

from gateway_core.hooks import Chain, Hook, Stop, reject_result, start_phase
from gateway_core.messages import Request, Response
from gateway_core.proxy.hook_runner import HookRunner
from gateway_core.proxy.route_matching import Unmatched, hooks_after_reroute
from gateway_core.snapshot import CompiledRoute, Snapshot

_ROUTE_MATCH: Final = "gateway_route_match"


class PhasesOwner(Protocol):
    """The exchange, as far as these phases use it."""

    request: Request
    chain: Chain
    route: CompiledRoute | None
    snapshot: Snapshot

    def take_route(self, route: CompiledRoute) -> None:
        """Go on with a route and its chain."""

    def match(self) -> None:
        """Find the route."""

    def routed(self) -> None:
        """Go on behind the route-match phase; there is a route."""

    def no_route(self, found: Unmatched) -> None:
        """Respond that there is no route."""

    def forward(self) -> None:
        """Go on behind the pre-proxy phase."""

    def fail(self, status: int, reason: str, detail: str) -> None:
        """Respond for the gateway."""

    def respond_with(self, response: Response, hooks: tuple[Hook, ...] | None = None) -> None:
        """Respond, through these response hooks."""

    def plugin_failed(self, reason: str, detail: str) -> None:
        """Record why a hook did not decide."""


class RequestPhases:
    """Runs the hooks of one request before the upstream."""

    __slots__ = ("_called", "_owner", "_runner")

    def __init__(self, owner: PhasesOwner, runner: HookRunner) -> None:
        self._owner = owner
        self._runner = runner
        self._called: frozenset[object] | None = None  # after a reroute: bindings whose route-match hook ran before

    def run_request(self) -> None:
        """Run the request phase, and go on with `PhasesOwner.match`."""
        self._run(self._owner.chain.request, "gateway_request", lambda _: self._owner.match())

    def run_pre_proxy(self) -> None:
        """Run the pre-proxy phase, and go on with `PhasesOwner.forward`."""
        self._run(self._owner.chain.pre_proxy, "gateway_pre_proxy", lambda _: self._owner.forward())

    def run_route_match(self, hooks: tuple[Hook, ...], missing: Unmatched | None) -> None:
        """Run the route-match phase, or what is left of it.

        :param missing: why there is no route, if there is none.
        """
        route = self._owner.route
        info = None if route is None else route.info
        self._run(hooks, _ROUTE_MATCH, lambda stop: self._matched(hooks, missing, stop), info)

    def _run(self, hooks: tuple[Hook, ...], phase: str, then: Callable[[Stop | None], None], *args: Any) -> None:
        def decided(stop: Stop | None) -> None:
            if stop is None or isinstance(stop.result, str):
                then(stop)
            else:
                self._respond(stop, stop.result, phase)

        self._runner.run(decided, start_phase, hooks, self._owner.request, *args)

    def _respond(self, stop: Stop, response: Response, phase: str) -> None:
        response.produced_by = response.produced_by or stop.hook.binding.id
        if stop.error is not None:
            self._owner.plugin_failed(response.failure or "plugin.failed", stop.error)
        self._owner.respond_with(response, self._owner.chain.response_after(phase, stop))

    def _matched(self, hooks: tuple[Hook, ...], missing: Unmatched | None, stop: Stop | None) -> None:
        owner = self._owner
        if stop is not None:
            self._reroute(hooks, missing, stop, str(stop.result))
        elif owner.route is not None:
            owner.routed()
        else:
            assert missing is not None
            owner.no_route(missing)

    def _reroute(self, hooks: tuple[Hook, ...], missing: Unmatched | None, stop: Stop, chosen: str) -> None:
        owner, position = self._owner, hooks.index(stop.hook)
        other = owner.snapshot.routes.get(chosen)
        if other is None or self._called is not None:
            # One reroute for each request: two routes could send it to each other for ever.
            why = f"there is no route {chosen!r}" if other is None else "the request was rerouted before"
            verdict = reject_result(stop, owner.request, why)
            if verdict is not None and isinstance(verdict.result, Response):
                self._respond(verdict, verdict.result, _ROUTE_MATCH)
                return
            rest = hooks[position + 1 :]
        else:
            self._called = frozenset([hook.binding for hook in hooks[: position + 1]])
            owner.take_route(other)
            if (problem := other.take_over(owner.request)) is not None:
                owner.fail(400, "path-refused", problem)
                return
            rest = hooks_after_reroute(other.chain, self._called)
        self.run_route_match(rest, missing)
