"""The hooks before the upstream, where nothing but the route is to be decided: without an object for their phases."""

from __future__ import annotations

from typing import Final

from gateway_core.hooks import Stop, start_phase, start_pre_proxy_phase
from gateway_core.proxy.request_phases import RequestPhases, respond_for
from gateway_core.proxy.running_exchange import RunningExchange
from gateway_core.proxy.unseen_response import respond_unseen
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


def run_plain_hooks(owner: RunningExchange, route: CompiledRoute) -> RequestPhases | None:
    """Run the route-match and pre-proxy hooks of a route that is direct.

    :returns: what goes on from there; None if they let the request pass to the route's target, as almost always.
    """
    request, chain, target = owner.seen or owner.make_request(), route.chain, route.targets[0]
    if chain.reserved_by_route is not None:
        owner.head.drop_reserved(request, chain.reserved_by_route)
    if hooks := chain.route_match:
        stop = (owner.context or owner.begin_hooks()).run(start_phase, hooks, request, route.info)
        runner = owner.hooks  # if a hook is awaited, or aborted the request
        is_stopped = runner is not None and runner.is_stopped
        if stop is not None or request.upstream is not None or request.path_flags or is_stopped:
            return RequestPhases(owner, stop=stop, is_matched=False)
    if not (hooks := chain.pre_proxy):
        return None
    name = request.upstream = target.upstream.name  # setting another one overrides it
    stop = (owner.context or owner.begin_hooks()).run(start_pre_proxy_phase, hooks, request)
    runner = owner.hooks
    if (
        stop is None
        and request.upstream is name
        and not request.path_flags
        and (runner is None or not runner.is_stopped)
    ):
        return None  # as almost always
    if type(stop) is Stop and runner is None:  # no hook is awaited, or forwards
        if not respond_unseen(owner, stop):
            respond_for(owner, stop.with_copy(), "gateway_pre_proxy")
        return _ENDED
    return RequestPhases(owner, (target, None), stop.with_copy() if type(stop) is Stop else stop)
