"""The hooks before the upstream, where nothing but the route is to be decided: without an object for their phases."""

from __future__ import annotations

from typing import Final

from gateway_core.hooks import Stop, start_phase
from gateway_core.messages import Request
from gateway_core.proxy.request_phases import RequestPhases, respond_for
from gateway_core.proxy.running_exchange import RequestOwner
from gateway_core.snapshot import CompiledRoute


class _Ended(RequestPhases):
    """The phases of a request that a plain hook responded to: there is nothing left to decide."""

    __slots__ = ()

    def __init__(self) -> None:
        self._target = self._sticky_target = None

    def settle(self) -> None:
        pass

    def body_ended(self) -> None:
        pass


_ENDED: Final = _Ended()


def run_plain_hooks(owner: RequestOwner, route: CompiledRoute) -> RequestPhases | None:
    """Run the route-match and pre-proxy hooks of a route that is direct.

    :returns: what goes on from there; None if they let the request pass to the route's target, as almost always.
    """
    request, chain, target = owner.request, route.chain, route.targets[0]
    if chain.reserved_by_route is not None:
        owner.head.drop_reserved(request, chain.reserved_by_route)
    if hooks := chain.route_match:
        context = owner.context or owner.begin_hooks()
        stop = context.run(start_phase, hooks, request, route.info)
        if stop is not None or request.upstream is not None or _needs_a_look(owner, request):
            return RequestPhases(owner, stop=stop, is_matched=False)
    if not (hooks := chain.pre_proxy):
        return None
    name = request.upstream = target.upstream.name  # setting another one overrides it
    context = owner.context or owner.begin_hooks()
    stop = context.run(start_phase, hooks, request)
    if stop is None and request.upstream is name and not request.path_flags and owner.hooks is None:
        return None  # as almost always
    if type(stop) is Stop and owner.hooks is None:  # no hook is awaited, or forwards
        respond_for(owner, stop, "gateway_pre_proxy")
        return _ENDED
    if stop is None and request.upstream is name and not _needs_a_look(owner, request):
        return None
    return RequestPhases(owner, (target, None), stop)


def _needs_a_look(owner: RequestOwner, request: Request) -> bool:
    """Return whether a hook aborted the request, or set a path that the route's policy has to decide on."""
    runner = owner.hooks
    return bool(request.path_flags) or (runner is not None and runner.is_stopped)
