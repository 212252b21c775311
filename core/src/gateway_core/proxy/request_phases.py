"""The phases before the upstream: request, route match and pre-proxy.

Their hooks run between the decisions of the gateway: which route takes the request, and which of its targets. A hook
returns nothing, a response, which ends these phases, or, in the route-match phase, the id of another route. A request
is rerouted once. Then the hooks of the new route's chain run that did not run yet (`Chain.rerouted`); the bindings of
the old route take no further part.
"""

from __future__ import annotations

from functools import partial
from typing import Final

from gateway_core.hooks import Chain, Hook, Stop, Suspended, reject_result, start_phase
from gateway_core.messages import Response
from gateway_core.proxy.gateway_responses import gateway_response
from gateway_core.proxy.route_lookup import (
    ChosenTarget,
    Destination,
    Found,
    Missing,
    RouteRefusal,
    admits_options,
    find_route,
    for_options,
    https_redirect,
)
from gateway_core.proxy.running_exchange import RequestOwner
from gateway_core.proxy.wire.request_head import ALLOWED_METHODS, FOR_CHALLENGES, FOR_GATEWAY
from gateway_core.reasons import LIMIT_REQUESTS, PLUGIN_FAILED
from gateway_core.routing import HttpsRedirect, Match, MethodNotAllowed, Router
from gateway_core.snapshot import CompiledRoute, RouteTarget

_ROUTE_MATCH: Final = "gateway_route_match"


class RequestPhases:
    """Decides over one request: which route takes it, where it goes, and whether it may.

    Made unless nothing but the route is to be decided, and plain hooks let the request pass (`run_plain_hooks`).
    """

    __slots__ = ("_is_matched", "_owner", "_request", "_sticky_target", "_stop", "_target", "_was_rerouted")

    def __init__(
        self,
        owner: RequestOwner,
        chosen: ChosenTarget = (None, None),
        stop: Stop | Suspended[Stop | None] | None = None,
        is_matched: bool = True,
    ) -> None:
        """Decide nothing yet.

        :param chosen: what was decided already: over the request that this one is a copy of, or by `run_plain_hooks`.
        :param stop: what the last phase came to that ran already: pre-proxy, or route match unless ``is_matched``.
        """
        self._stop = stop
        self._is_matched = is_matched
        self._owner = owner
        self._request = owner.request
        self._was_rerouted = False
        # The second one is for a cookie, unless a plugin chose another upstream.
        self._target, self._sticky_target = chosen

    def start(self, found: Found | None) -> None:
        """Run the request phase, and go on; or refuse a head that is not to be routed.

        :param found: the route, if it is known already: there is no request phase, and nothing to refuse.
        """
        if found is not None:
            self._take(found)
            return
        head = self._owner.head
        if len(self._owner.proxy.exchanges) > self._owner.snapshot.max_requests:
            self.refuse(503, LIMIT_REQUESTS, "limits.max_requests is reached", retry_after=1)
        elif head.responder == FOR_GATEWAY:
            if head.facts.chunked or head.facts.content_length > 0:
                # The body is not read, so where the next request begins is unknown.
                self._owner.writer.make_last()
            self.refuse(200, "", "", allow=ALLOWED_METHODS)
        elif head.refusal is not None:
            self.refuse(*head.refusal)
        elif self._owner.proxy.challenges is not None and head.responder == FOR_CHALLENGES:
            self._owner.runner().run(self._challenged, start_phase, (self._owner.proxy.challenges,), self._request)
        else:
            self._begin()

    def _challenged(self, stop: Stop | None) -> None:
        """Respond to an authority that validates a host name; go on if it is none."""
        if stop is not None and isinstance(stop.result, Response):
            stop.result.produced_by = "gateway"
            self._owner.respond_with(stop.result, self._owner.chain.response_to_all)
        else:
            self._begin()

    def _begin(self) -> None:
        chain, head = self._owner.chain, self._owner.head
        if chain.request:
            head.drop_reserved(self._request, chain.reserved)
            self._owner.runner().run(self._requested, start_phase, chain.request, self._request)
        else:
            self._take(self._find())

    def refuse(
        self, status: int, reason: str, detail: str, *, allow: tuple[str, ...] = (), retry_after: float | None = None
    ) -> None:
        """Respond before any binding was entered: only those that ask for all responses see this one.

        :param reason: a code of `gateway_core.reasons`.
        :param detail: for logs.
        """
        owner = self._owner
        if status == 400:
            owner.writer.make_last()
        owner.note_failure(reason, detail)
        response = gateway_response(status, reason, allow=allow, retry_after=retry_after)
        owner.respond_with(response, owner.chain.response_to_all)

    def _requested(self, stop: Stop | None) -> None:
        if stop is None:
            self._take(self._find())
        else:
            respond_for(self._owner, stop, "gateway_request")

    def _find(self) -> Found:
        return find_route(self._router(), self._request.host, self._request, self._request)

    def _router(self) -> Router[CompiledRoute]:
        return self._owner.client.router_in(self._owner.snapshot, self._owner.head.facts.host)

    def _take(self, found: Found) -> None:
        """Go on from the route that takes the request, or refuse it for want of one."""
        owner, request = self._owner, self._request
        if isinstance(found, Match):
            request.path_params = found.params
            if not self._take_route(found.payload):
                return
            if hooks := owner.chain.route_match:
                missing = None
                if request.method == "OPTIONS" and not admits_options(found):  # a preflight's
                    missing = for_options(self._router(), found, request.host, request, request)
                self._run_route_match(hooks, missing)
            else:
                self._routed()
        elif isinstance(found, RouteRefusal):
            if found.route is not None:
                self._adopt(found.route)
            owner.fail(found.status, found.reason, found.detail)
        elif isinstance(found, HttpsRedirect):
            self._redirect_to_https(found)
        elif hooks := owner.chain.route_match:
            self._run_route_match(hooks, found)
        else:
            self._no_route(found)

    def _redirect_to_https(self, redirect: HttpsRedirect) -> None:
        """Respond before any binding decides over the request: its credentials would be invited in plain text."""
        owner = self._owner
        if (response := https_redirect(redirect, owner.head)) is None:
            self.refuse(400, "bad-request", "the Host is malformed and cannot be redirected to")
        else:
            owner.respond_with(response, owner.chain.response_to_all)

    def _take_route(self, route: CompiledRoute) -> bool:
        """Go on with a route; or respond with 404, and return False, if it names a target that there is not."""
        if route.by_target is not None:
            chosen = route.by_target.get(self._request.path_params)
            if chosen is None:
                self._adopt(route)
                self._owner.fail(404, "no-route", "what the route's target names is no upstream")
                return False
            route = chosen
        self._adopt(route)
        return True

    def _adopt(self, route: CompiledRoute) -> None:
        self._owner.take_route(route, route.chain)
        if route.chain.reserved_by_route is not None:
            self._owner.head.drop_reserved(self._request, route.chain.reserved_by_route)

    def _no_route(self, found: Missing) -> None:
        """Respond for want of a route; a preflight may have one that lists OPTIONS."""
        if isinstance(found, Match):
            self._go_on_with_options(found)
        elif isinstance(found, MethodNotAllowed) and self._owner.snapshot.method_mismatch == 405:
            reason = "method-not-allowed"
            self._owner.note_failure(reason, "no route takes the method")
            self._owner.respond_with(gateway_response(405, reason, allow=found.allow), self._owner.chain.response)
        else:
            self._owner.fail(404, "no-route", "no route")

    def _go_on_with_options(self, found: Match[CompiledRoute]) -> None:
        """Take the route for a preflight that no hook of the other one responded to, with bindings of its own."""
        ran = self._owner.chain.bindings
        self._request.path_params = found.params
        if self._take_route(found.payload):
            rest = tuple([each for each in self._owner.chain.route_match if each.binding not in ran])
            self._run_route_match(rest, None)

    def _routed(self) -> None:
        """Choose the target, and run the pre-proxy phase."""
        owner, request = self._owner, self._request
        route, body, hooks = owner.route, owner.body, owner.chain.pre_proxy
        assert route is not None
        if body is not None and not body.limit_to(route.max_body_bytes, owner.head.facts.content_length):
            owner.body_failed(413, "body-too-large", "the request body is over its limit")
            return
        is_alone = route.upstream is not None and not (body is not None and route.buffer_request)
        if is_alone and not hooks and request.upstream is None and not request.path_flags:
            owner.send(route, route.targets[0])
            return
        if route.own_response is None:
            split = route.split
            target = self._target = route.targets[0] if split is None else route.pick_target(request, owner.proxy.now())
            if split is not None and split.sticky is not None:
                self._sticky_target = target
            if request.upstream is None and (hooks or route.upstream is None):
                request.upstream = target.upstream.name  # setting another one overrides it
        if hooks:
            owner.runner().run(self._allowed, start_phase, hooks, request)
        else:
            self._allowed(None)

    def settle(self) -> None:
        """Go on from the phase that ran already."""
        owner, stop = self._owner, self._stop
        if self._is_matched and type(stop) is Stop and owner.hooks is None:  # no hook is awaited, or forwards
            respond_for(self._owner, stop, "gateway_pre_proxy")
        else:
            then = self._allowed if self._is_matched else partial(self._matched, owner.chain.route_match, None)
            owner.runner().settle(then, stop, self._request)

    @property
    def chosen(self) -> ChosenTarget:
        """What was decided so far, for a copy of the request."""
        return self._target, self._sticky_target

    def _allowed(self, stop: Stop | None) -> None:
        """Run the pre-proxy hooks of the target that is set by now."""
        owner = self._owner
        if stop is None and owner.forwarding is None and (chain := self.take_target_chain()) is not None:
            owner.runner().run(self._forward, start_phase, chain.pre_proxy, self._request)
        else:
            self._forward(stop)

    def _end_pre_proxy(self, stop: Stop | None) -> None:
        """Respond with what a hook forwarded, or with its own response."""
        forwarding = self._owner.forwarding
        if forwarding is not None:
            forwarding.end(stop)
        elif stop is not None:
            respond_for(self._owner, stop, "gateway_pre_proxy")

    def take_target_chain(self) -> Chain | None:
        """Go on with the chain of the target that is set by now; None if it is no other."""
        owner, request = self._owner, self._request
        route = owner.route
        if route is None or route.upstream is not None or request.upstream is None:
            return None
        if (chain := owner.chain.for_target(request.upstream)) is not None:
            owner.take_route(route, chain)
        return chain

    def _forward(self, stop: Stop | None) -> None:
        """Send the request upstream, or give the route's own response."""
        owner, request, route, target = self._owner, self._request, self._owner.route, self._target
        if stop is not None or owner.forwarding is not None:
            self._end_pre_proxy(stop)
            return
        if (
            target is not None
            and route is not None
            and (request.upstream is None or request.upstream is target.upstream.name)
            and not request.path_flags
            and owner.body is None
        ):  # as almost always: nothing has changed
            owner.send(route, target, self._sticky_target)
            return
        found = self.destination()
        if isinstance(found, Response):
            owner.respond_with(found, owner.chain.response)
        else:
            assert owner.route is not None
            self._send(owner.route, found[0])

    def destination(self) -> Destination | Response:
        """Return where the request goes, or the response if it goes nowhere."""
        owner, request = self._owner, self._request
        route, target = owner.route, self._target
        assert route is not None
        if request.path_flags and (problem := route.path_policy.problem(request.path_flags)) is not None:
            owner.note_failure("path-refused", problem)
            return gateway_response(400, "path-refused")
        if route.own_response is not None:
            return route.own_response(request)
        if (passed := self._passed_bindings(route)) is not None:
            owner.note_failure(PLUGIN_FAILED, passed)
            return gateway_response(500, PLUGIN_FAILED)
        target = target or route.targets[0]
        if request.upstream is not None and request.upstream != target.upstream.name:
            chosen = owner.snapshot.upstreams.get(request.upstream)
            if chosen is None:
                detail = f"a plugin chose an upstream that is not configured: {request.upstream!r}"
                owner.note_failure("upstream.unknown", detail)
                return gateway_response(500, "upstream.unknown")
            target, self._sticky_target = route.target_for(chosen), None
        return Destination(target, self._sticky_target)

    def _passed_bindings(self, route: CompiledRoute) -> str | None:
        """Return what is wrong if a plugin chose a target whose own bindings have not run.

        Their turn is before gateway-wide bindings with `order: after`. Such a binding may choose a target without
        bindings, or with the same ones; another one would be reached without its authentication, say.
        """
        upstream = self._request.upstream
        if route.upstream is not None or upstream is None:
            return None
        chain, taken = route.chain.for_target(upstream), self._owner.chain
        if chain is None or chain is taken or all(each in taken.bindings for each in chain.bindings):
            return None
        return f"a plugin chose the target {upstream!r} when the turn of its bindings was over: use order: before"

    def _send(self, route: CompiledRoute, target: RouteTarget) -> None:
        """Send the request upstream, once its body is there if the route has ``buffer_request``."""
        owner, limit = self._owner, route.buffer_request
        body = owner.body
        if not limit or body is None:
            owner.send(route, target, self._sticky_target)
            return
        self._target = target
        if owner.head.facts.content_length > limit:
            owner.body_failed(413, "body-too-large", "the request body is longer than buffer_request")
        elif body.gather(limit):
            self.body_ended()
        elif body.received <= limit:
            if owner.head.facts.expect:
                owner.writer.send_continue()
            owner.watch(owner.proxy.limits.body_timeout)

    def body_ended(self) -> None:
        """Called when the request's body is complete, while there is nothing upstream."""
        owner, target = self._owner, self._target
        body, route = owner.body, owner.route
        if body is not None and body.is_gathered and route is not None and target is not None:
            owner.watch(0)
            owner.send(route, target, self._sticky_target)

    def _run_route_match(self, hooks: tuple[Hook, ...], missing: Missing | None) -> None:
        """Run the route-match phase, or what is left of it.

        :param missing: why there is no route, if there is none; for a preflight where else it goes.
        """
        info = None if (route := self._owner.route) is None else route.info
        self._owner.runner().run(partial(self._matched, hooks, missing), start_phase, hooks, self._request, info)

    def _matched(self, hooks: tuple[Hook, ...], missing: Missing | None, stop: Stop | None) -> None:
        if stop is not None and isinstance(stop.result, str):
            self._reroute(hooks, missing, stop, stop.result)
        elif stop is not None:
            respond_for(self._owner, stop, _ROUTE_MATCH)
        elif missing is not None:
            self._no_route(missing)
        else:
            self._routed()

    def _reroute(self, hooks: tuple[Hook, ...], missing: Missing | None, stop: Stop, chosen: str) -> None:
        owner, position = self._owner, hooks.index(stop.hook)
        other = owner.snapshot.routes.get(chosen)
        if other is not None and other.variants:
            other = other.for_path(self._request.path)
        if other is None or self._was_rerouted:
            # One reroute for each request: two routes could send it to each other for ever.
            why = f"there is no route {chosen!r}" if other is None else "the request was rerouted before"
            if (verdict := reject_result(stop, self._request, why)) is not None:
                respond_for(owner, verdict, _ROUTE_MATCH)
                return
            rest = hooks[position + 1 :]
        else:
            self._was_rerouted = True
            self._adopt(other)
            if (problem := other.take_over(self._request)) is not None:
                owner.fail(400, "path-refused", problem)
                return
            if not self._take_route(other):
                return
            rest, missing = other.chain.rerouted(stop), None
        self._run_route_match(rest, missing)


def respond_for(owner: RequestOwner, stop: Stop, phase: str) -> None:
    """Respond with what a hook decided in a phase before the upstream."""
    response = stop.result
    assert isinstance(response, Response), "only route-match hooks choose routes"
    response.produced_by = response.produced_by or stop.hook.binding.id
    if stop.error is not None:
        owner.note_failure(response.failure or "plugin.failed", stop.error)
    chain = owner.chain.for_stop(stop)
    if (route := owner.route) is not None and chain is not owner.chain:
        owner.take_route(route, chain)
    owner.respond_with(response, chain.response_after(phase, stop))
