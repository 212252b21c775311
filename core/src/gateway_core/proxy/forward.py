"""`Request.forward`: a pre-proxy hook sends the request on, and gets the response.

The exchange goes on within the hook, like the layers of an onion:

    hook ... await request.forward()
                 later pre-proxy hooks -> attempts -> response hooks of the bindings behind
             <- response
    ... returns a response, or None for the forwarded one -> response hooks of the other bindings -> client

All of it is awaited by the hook's task, so it ends with it. The forwarded response is a `Response` whose body is the
`UpstreamCall`'s; the exchange closes it on every end at which it was not read.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

from gateway_core.config import LimitsConfig
from gateway_core.errors import BodyTooLargeError
from gateway_core.hooks import Chain, Hook, Suspended, start_phase, start_response_phase
from gateway_core.messages import Request, Response
from gateway_core.proxy.client_call import ClientCall, SentRequest
from gateway_core.proxy.downstream.client import Client
from gateway_core.proxy.gateway_responses import gateway_response, show_own_fields
from gateway_core.proxy.hook_runner import HookRunner
from gateway_core.proxy.request_body import RequestBody
from gateway_core.proxy.request_phases import Destination, RequestPhases
from gateway_core.proxy.response_writer import ResponseWriter
from gateway_core.proxy.running_exchange import ExchangeHost
from gateway_core.proxy.wire.request_head import RequestHead
from gateway_core.reasons import BODY_TOO_LARGE
from gateway_core.snapshot import CompiledRoute
from gateway_core.snapshot.snapshot import Snapshot

T = TypeVar("T")


class ForwardOwner(Protocol):
    """Whose request it is: an exchange's, or a detached one."""

    body: RequestBody | None
    """The client's."""
    client: Client
    head: RequestHead
    id_line: bytes
    chain: Chain
    route: CompiledRoute | None
    proxy: ExchangeHost
    request: Request
    snapshot: Snapshot
    writer: ResponseWriter

    @property
    def limits(self) -> LimitsConfig:
        """Those of the snapshot in force."""

    def watch(self, seconds: float) -> None:
        """Expire in so many seconds; 0 is no limit but that of the whole request."""

    @property
    def phases(self) -> RequestPhases | None:
        """What decided where the request goes; None if it was known before."""


class Forward:
    """One request that is forwarded."""

    __slots__ = ("_exchange", "_send_copies", "_take_body", "client_call", "detail", "outer", "response")

    def __init__(
        self,
        exchange: ForwardOwner,
        take_body: Callable[[], RequestBody | None],
        send_copies: Callable[[], None] | None = None,
    ) -> None:
        """Begin with nothing.

        :param take_body: returns the body that goes upstream, as hooks left it.
        :param send_copies: sends those for the route's mirrors.
        """
        self._exchange = exchange
        self._take_body = take_body
        self._send_copies = send_copies
        self.outer: tuple[Hook, ...] = ()
        """The response hooks around the hook that forwards."""
        self.response: Response | None = None
        """What the hook gets."""
        self.detail = ""
        """What went wrong, for logs."""
        self.client_call: ClientCall | None = None

    async def run(self, hook: Hook | None, later: tuple[Hook, ...], runner: HookRunner) -> Response:
        """Run all that is within a hook, and return the response. In the context of the hooks.

        :param hook: the pre-proxy hook that forwards; None behind that phase.
        :param later: the pre-proxy hooks behind it.
        :param runner: for hooks of attempts, in the same context.
        """
        exchange = self._exchange
        phases = exchange.phases
        assert phases is not None, "there are hooks before the upstream"
        inner, self.outer = ((), ()) if hook is None else exchange.chain.split_response(hook)
        stop = await settled(start_phase(later, exchange.request))
        if stop is None and hook is not None and (chain := phases.take_target_chain()) is not None:
            inner, self.outer = chain.split_response(hook)
            stop = await settled(start_phase(chain.pre_proxy, exchange.request))
        if stop is not None:
            response = stop.result
            assert isinstance(response, Response), "only route-match hooks choose routes"
            self.detail = stop.error or ""
            entered = exchange.chain.response_after("gateway_pre_proxy", stop)
            inner = tuple(each for each in inner if each in entered)
        else:
            response = await self._send(phases, runner)
        response.is_for_head = exchange.head.method == "HEAD"
        if inner:
            show_own_fields(response, exchange.proxy.date, exchange.request.request_id)
        seen = await settled(start_response_phase(inner, exchange.request, response))
        if not self.is_forwarded(seen):
            self.close()
        self.response = seen
        return seen

    async def _send(self, phases: RequestPhases, runner: HookRunner) -> Response:
        exchange = self._exchange
        found, route = phases.destination(), exchange.route
        if isinstance(found, Response):
            return found
        assert route is not None
        body = self._take_body()
        # What hooks changed asks its client by itself.
        if body is not None and not body.is_complete and body is exchange.body:
            if exchange.head.facts.expect:
                exchange.writer.send_continue()
            exchange.watch(exchange.limits.body_timeout)
        if body is not None and route.buffer_request:
            try:
                await body.read(route.buffer_request)
            except BodyTooLargeError as error:
                self.detail = str(error)
                return gateway_response(413, BODY_TOO_LARGE)
            body.gather(route.buffer_request)
        sent = self._sent_request(route, found, body)
        self.client_call = ClientCall(exchange.proxy.upstreams, sent, runner)
        if route.mirrors and self._send_copies is not None:
            self._send_copies()
        response = await self.client_call.send()
        self.detail = self.client_call.error
        return response

    def _sent_request(self, route: CompiledRoute, destination: Destination, body: RequestBody | None) -> SentRequest:
        exchange = self._exchange
        request, total = exchange.request, route.timeouts.total
        return SentRequest(
            request,
            exchange.head,
            exchange.client,
            exchange.snapshot,
            exchange.chain,
            route,
            destination.target,
            destination.sticky_target,
            body,
            exchange.id_line,
            max(0.001, request.started + total - exchange.proxy.now()) if total else None,
        )

    def is_forwarded(self, response: Response) -> bool:
        """Whether a response is the upstream's: hooks may have made copies of its head."""
        call = self.client_call
        if call is None or call.response is None or not response.is_streamed:
            return False
        if response.operations is None:
            return response.status == 101 == call.response.status
        return response.operations is call.response.operations

    def close(self) -> None:
        """End what is in progress upstream."""
        if self.client_call is not None:
            self.client_call.call.close()


async def settled(outcome: T | Suspended[T]) -> T:
    """Return what a phase came to, awaited if one of its hooks must be."""
    return await outcome.finish() if isinstance(outcome, Suspended) else outcome
