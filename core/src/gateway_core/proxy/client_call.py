"""A client's request that a plugin sends: `Request.forward`, of a request in progress or of a detached one.

It is an `UpstreamCall`, so that the plugin awaits the response, and reads its body at its own pace. Unlike
the call of a fetch it has the client's head: rewrites, forwarding fields, Host, cookies and connections are those that
a `Relay` would send and use. A failure of the upstream is not raised: it is the gateway's response.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from gateway_core.errors import UpstreamError
from gateway_core.hooks import Chain
from gateway_core.messages import Request, Response
from gateway_core.observe.tracing import RequestTrace, TracePlace
from gateway_core.proxy.attempt_owner import PreparedRequest, client_terms
from gateway_core.proxy.downstream.client import Client
from gateway_core.proxy.gateway_responses import gateway_response
from gateway_core.proxy.hook_runner import HookRunner
from gateway_core.proxy.request_body import RequestBody
from gateway_core.proxy.response_stream import report_filter
from gateway_core.proxy.streamed_body import StreamedBody
from gateway_core.proxy.upstream.directory import UpstreamDirectory
from gateway_core.proxy.upstream_call import UpstreamCall
from gateway_core.proxy.upstream_head import (
    AttemptPhase,
    UnsendableHeadError,
    client_host,
    framing_fields,
    sent_host,
    target_of,
    upstream_head,
)
from gateway_core.proxy.wire.grpc import is_call, is_grpc
from gateway_core.proxy.wire.request_head import IN_CHUNKS, RequestHead
from gateway_core.proxy.wire.response_head import ResponseHead
from gateway_core.reasons import PATH_REFUSED, PLUGIN_FAILED
from gateway_core.routing import ResponseFacts, UnsafePathError
from gateway_core.snapshot import CompiledRoute, RouteTarget
from gateway_core.snapshot.snapshot import Snapshot
from gateway_core.upstreams.endpoint import Endpoint


@dataclass(frozen=True, slots=True)
class SentRequest:
    """A client's request with all that is known of where it goes."""

    request: Request
    head: RequestHead
    client: Client
    snapshot: Snapshot
    chain: Chain
    route: CompiledRoute
    target: RouteTarget
    sticky_target: RouteTarget | None
    body: RequestBody | bytes | None
    id_line: bytes
    seconds: float | None
    """For all of it; None is no limit."""
    pass_interim: Callable[[ResponseHead], None] | None
    """Sends an interim response to the client, if there is one that waits."""

    @property
    def method(self) -> str:
        return self.request.method

    def head_for(self, endpoint: Endpoint, body: RequestBody | None) -> PreparedRequest:
        """Make the head for an endpoint (a `HeadMaker`).

        :raises UpstreamError: it cannot be sent; 400 for its path, 500 for fields that a plugin left.
        """
        length = body.received if body is not None and body.is_complete and self.has_own_length else None
        in_chunks = body is not None and body.is_chunked
        framing = framing_fields(self.head.facts, length=length, in_chunks=in_chunks)
        try:
            data, flags = upstream_head(
                self.request, self.head, self.route.path_policy, self.target, endpoint, framing, self.id_line
            )
            if not self.target.is_plain:
                self.request.sent_target = target_of(data)
        except (UnsafePathError, UnsendableHeadError) as error:
            is_path = isinstance(error, UnsafePathError)
            reason = PATH_REFUSED if is_path else PLUGIN_FAILED
            raise UpstreamError(str(error), status=400 if is_path else 500, reason=reason) from error
        if in_chunks:
            return data, flags | IN_CHUNKS
        return data, flags if length is None else flags & ~IN_CHUNKS

    def on_interim(self, head: ResponseHead) -> None:
        """Pass it on (RFC 9110 section 15.2), except for a 100: the client was asked already to send its body."""
        if self.pass_interim is not None and head.status != 100:
            self.pass_interim(head)

    @property
    def has_own_length(self) -> bool:
        """Whether the body is framed by its length, however it came."""
        return isinstance(self.body, bytes) or (self.body is not None and self.body.is_gathered)


class ClientCall:
    """One client's request on its way upstream, and its response."""

    __slots__ = ("_sent", "call", "error", "response")

    def __init__(self, directory: UpstreamDirectory, sent: SentRequest, runner: HookRunner) -> None:
        """Send nothing yet.

        :param runner: of the attempt hooks.
        """
        self._sent = sent
        self.error = ""
        """What went wrong, for logs."""
        self.response: Response | None = None
        """The upstream's, or the gateway's if there is none."""
        route, target, request, client = sent.route, sent.target, sent.request, sent.client
        upstream, trace = target.upstream, request.trace
        timeouts = route.timeouts.model_copy(update={"idle": 0.0}) if is_grpc(sent.head) else route.timeouts
        self.call = call = UpstreamCall(
            directory,
            upstream,
            sent,
            timeouts,
            sent.body if sent.body is not None else b"",
            sent.seconds if sent.seconds is not None else 0,
            client.bound,
            terms=partial(client_terms, request, sent.head, client, route, upstream),
            takes_switch=sent.head.facts.upgrade is not None,
            place=TracePlace(trace, is_call=is_call(sent.head)) if isinstance(trace, RequestTrace) else None,
        )
        hooks = sent.chain.attempt + sent.snapshot.attempt_hooks.get(upstream.name, ())
        if hooks:
            call.run_before_attempts(AttemptPhase(hooks, request, runner))

    async def send(self) -> Response:
        """Send the request, and return the upstream's response, or the gateway's if there is none."""
        try:
            self.response = self._response_of(await self.call.response())
        except UpstreamError as error:
            self.error = str(error)
            stop = self.call.refusal
            if stop is not None and isinstance(stop.result, Response):
                self.response = stop.result
            else:
                self.response = gateway_response(error.status, error.reason, retry_after=self.call.retry_after)
        except BaseException:
            self.call.close()
            raise
        self.response.is_for_head = self._sent.head.method == "HEAD"
        return self.response

    def _response_of(self, head: ResponseHead) -> Response:
        sent, call = self._sent, self.call
        if sent.target.rewrite.response is not None:
            head = self._undone(head)
        response = Response.streamed(
            head.status, head.reason, head.block + sent.snapshot.scope.via_line, came=head.block
        )
        response.came_length = head.length if head.length >= 0 else None
        attempt, route, target = call.attempt, sent.route, sent.sticky_target
        sticky, endpoint = attempt.upstream.sticky, attempt.endpoint
        cookies = []
        if sticky is not None and endpoint is not None:
            cookies.append(sticky.set_cookie(endpoint, attempt.terms.sticky_cookie))
        if target is not None and route.split is not None:
            cookies.append(route.split.set_cookie(target, sent.request))
        for cookie in cookies:
            if cookie is not None:
                response.headers.add("Set-Cookie", cookie)
        if head.status != 101:
            failed = partial(report_filter, sent.request)
            response.operations = StreamedBody(call, "response", failed, head.content_length)
        return response

    def _undone(self, head: ResponseHead) -> ResponseHead:
        """Return the response's head in the client's words (`rewrite_response`)."""
        sent, endpoint = self._sent, self.call.attempt.endpoint
        undo = sent.target.rewrite.response
        if undo is None or endpoint is None:
            return head
        host, _ = sent_host(sent.request, sent.head, sent.target, endpoint)
        asked, scheme = client_host(sent.head), sent.request.scheme
        facts = ResponseFacts(scheme, asked, endpoint.scheme, endpoint.host, endpoint.port, host.decode("latin-1"))
        block = undo.apply(head.block, facts)
        return head if block is head.block else self.call.rewrite_head(block)
