"""An exchange in progress as its parts see it, and its host.

`RequestOwner` is what an exchange has in common with a detached request, which has no client to respond to: its phases
before the upstream and what forwards it know no more. `RunningExchange` is the exchange as all its other parts see it:
relay, response phase, own responses, what hooks do to the body.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextvars import Context
from random import Random
from typing import Protocol

from gateway_core.config import LimitsConfig
from gateway_core.hooks import Chain, Hook, Passed, Stop
from gateway_core.messages import Request, Response
from gateway_core.observe.tracing import RequestTrace
from gateway_core.proxy.downstream.client import Client
from gateway_core.proxy.hook_runner import HookRunner
from gateway_core.proxy.limit_events import LimitEvents
from gateway_core.proxy.request_body import RequestBody
from gateway_core.proxy.response_fields import DateField
from gateway_core.proxy.response_stream import ResponseStream
from gateway_core.proxy.response_writer import ResponseWriter
from gateway_core.proxy.tail import Tail
from gateway_core.proxy.telemetry import Telemetry
from gateway_core.proxy.tunnel import Tunnel
from gateway_core.proxy.upstream.directory import UpstreamDirectory
from gateway_core.proxy.wire.request_head import RequestHead
from gateway_core.snapshot import CompiledRoute, RouteTarget, Snapshot, SnapshotHolder


class ExchangeHost(Protocol):
    """The process's `Proxy`, for its exchanges."""

    next_id_line: Callable[[], bytes]
    """Returns a new request id as the line that ends a head."""
    now: Callable[[], float]
    wall: Callable[[], float]
    rng: Random
    log: logging.Logger
    date: DateField
    holder: SnapshotHolder
    telemetry: Telemetry
    limit_events: LimitEvents
    upstreams: UpstreamDirectory
    exchanges: set[RequestOwner]
    tunnels: set[Tunnel]
    keeps_alive: bool
    tail: Tail | None
    """Shows requests to those who watch them, if there are any."""
    challenges: Hook | None
    """Responds to authorities that validate host names, before everything else."""

    @property
    def limits(self) -> LimitsConfig:
        """Those of the snapshot in force."""


class Forwarding(Protocol):
    """A request that a pre-proxy hook sends on by `Request.forward`."""

    def end(self, stop: Stop | None) -> None:
        """Respond: the pre-proxy phase is over.

        :param stop: what the hook that forwarded returned in place of the response; None for that itself.
        """


class RequestOwner(Protocol):
    """Whose request it is: an exchange's, or a detached one."""

    body: RequestBody | None
    """The client's."""
    chain: Chain
    client: Client
    head: RequestHead
    id_line: bytes
    proxy: ExchangeHost
    route: CompiledRoute | None
    snapshot: Snapshot
    writer: ResponseWriter

    aborted: str | None
    """Who ended a response that is not complete: client, upstream or gateway."""
    reason: str | None
    """Why the response is not an upstream's or a plugin's, or was cut off: a code of `gateway_core.reasons`."""
    error: str | None
    """The same in words; for logs, never for clients."""
    tunnel_bytes: tuple[int, int] | None
    """From the client and to it, where that is not the body and what the writer has sent."""

    @property
    def deadline(self) -> float:
        """Monotonic seconds."""

    @property
    def request(self) -> Request:
        """The request as hooks see it."""

    @property
    def context(self) -> Context | None:
        """That of the hooks; as long as there is none, none has run, so that nothing can have been changed."""

    @property
    def hooks(self) -> HookRunner | None:
        """What runs the hooks that must be awaited, if one had to be, or did more than a plain hook does."""

    def expire(self, now: float) -> None:
        """Act on the deadline, which is over."""

    def snapshot_replaced(self) -> None:
        """Called when another snapshot may be in force."""

    def runner(self) -> HookRunner:
        """Return what runs the hooks."""

    def begin_hooks(self) -> Context:
        """Make the context of the hooks: the first one is about to run."""

    def watch(self, seconds: float) -> None:
        """Expire in so many seconds; 0 is no limit but that of the whole request."""

    def take_route(self, route: CompiledRoute, chain: Chain) -> None:
        """Have a route's bindings take part from here on."""

    def send(self, route: CompiledRoute, target: RouteTarget, sticky_target: RouteTarget | None = None) -> None:
        """Send the request upstream.

        :param sticky_target: the target, if a cookie is to keep the client on it.
        """

    @property
    def forwarding(self) -> Forwarding | None:
        """What forwards the request for a pre-proxy hook."""

    def note_failure(self, reason: str, detail: str) -> None:
        """Record why the response is not an upstream's or a plugin's."""

    def fail(self, status: int, reason: str, detail: str) -> None:
        """Respond for the gateway."""

    def body_failed(self, status: int, reason: str, detail: str) -> None:
        """Respond for the gateway, and take no more of the request's body."""

    def respond_with(self, response: Response, hooks: tuple[Hook, ...]) -> None:
        """Respond, through these response hooks."""


class RunningExchange(RequestOwner, Protocol):
    """The exchange, as its parts use it."""

    is_over: bool
    seen: Request | None
    """The request, once something other than the path from the head to the upstream has looked at it."""
    passed: Passed
    """What its hooks did, if they were left out."""
    sticky_target: RouteTarget | None
    trace: RequestTrace | None
    total_deadline: float
    """Monotonic seconds by which all has to be over."""

    @property
    def is_responding(self) -> bool:
        """Whether there is a response, written or not."""

    def make_request(self) -> Request:
        """Make the request as hooks see it, the first time that something looks at it."""

    # -- responses

    def resume_response(self) -> None:
        """Go on with the response, whose head is written."""

    def stream(self, stream: ResponseStream) -> None:
        """Resume and cancel the stream of a body with its response."""

    # -- ends

    def fail(self, status: int, reason: str, detail: str, retry_after: float | None = None) -> None:
        """Respond for the gateway."""

    def break_off(self, by: str, reason: str, detail: str) -> None:
        """Cut off the response, whose head is written."""

    def body_broken(self, error: BaseException) -> None:
        """Called when what gives a body failed: that of the response, or what goes upstream."""

    def crashed(self, error: BaseException) -> None:
        """Called when the gateway itself failed, or over what a plugin left."""

    def tunnel_opened(self, tunnel: Tunnel) -> None:
        """Called when the client is joined with the upstream."""

    def tunnel_closed(self, received: int, sent: int) -> None:
        """Called when the tunnel that followed a 101 is closed, with the bytes from the client and to it."""

    def finish(self, now: float, is_complete: bool = True, outcome: int = 0) -> None:
        """Called when the response is complete and written.

        :param is_complete: whether the connection may go on.
        :param outcome: for a plugin's response that nothing else knows, what it counts as (see `RouteCounts.add`).
        """

    def written(self, failure: str | None, grpc_code: int | None = None) -> None:
        """Called when a response that was made here is written.

        :param failure: the reason if it is not an upstream's or a plugin's.
        :param grpc_code: with which a call of gRPC was refused.
        """
