"""An exchange in progress as its parts see it: the phases before the upstream, the relay, responses; and its host."""

from __future__ import annotations

import logging
from collections.abc import Callable
from random import Random
from typing import Protocol

from gateway_core.config import LimitsConfig
from gateway_core.hooks import Chain, Hook, Stop
from gateway_core.messages import Request, Response
from gateway_core.proxy.downstream.client import Client
from gateway_core.proxy.hook_runner import HookRunner
from gateway_core.proxy.request_body import RequestBody
from gateway_core.proxy.response_fields import DateField
from gateway_core.proxy.response_stream import ResponseStream
from gateway_core.proxy.response_writer import ResponseWriter
from gateway_core.proxy.telemetry import Telemetry
from gateway_core.proxy.tunnel import Tunnel
from gateway_core.proxy.upstream.directory import UpstreamDirectory
from gateway_core.proxy.wire.request_head import RequestHead
from gateway_core.snapshot import CompiledRoute, RouteTarget, Snapshot, SnapshotHolder


class ExchangeHost(Protocol):
    """The process's `Proxy`, for its exchanges."""

    now: Callable[[], float]
    wall: Callable[[], float]
    rng: Random
    log: logging.Logger
    date: DateField
    holder: SnapshotHolder
    telemetry: Telemetry
    upstreams: UpstreamDirectory
    exchanges: set[TrackedExchange]
    tunnels: set[Tunnel]
    keeps_alive: bool

    @property
    def limits(self) -> LimitsConfig:
        """Those of the snapshot in force."""


class TrackedExchange(Protocol):
    """An exchange in progress, as the proxy sees it."""

    @property
    def deadline(self) -> float:
        """Monotonic seconds."""

    def expire(self, now: float) -> None:
        """Act on the deadline, which is over."""

    def snapshot_replaced(self) -> None:
        """Called when another snapshot is in force."""


class Forwarding(Protocol):
    """A request that a pre-proxy hook sends on by `Request.forward`."""

    def end(self, stop: Stop | None) -> None:
        """Respond: the pre-proxy phase is over.

        :param stop: what the hook that forwarded returned in place of the response; None for that itself.
        """


class PhasesOwner(Protocol):
    """The exchange, as far as these phases use it."""

    body: RequestBody | None
    chain: Chain
    client: Client
    head: RequestHead
    writer: ResponseWriter
    proxy: ExchangeHost
    request: Request
    route: CompiledRoute | None
    snapshot: Snapshot

    @property
    def forwarding(self) -> Forwarding | None:
        """What a hook forwards."""

    @property
    def limits(self) -> LimitsConfig:
        """The limits of the snapshot in force."""

    def runner(self) -> HookRunner:
        """Return what runs its hooks."""

    def watch(self, seconds: float) -> None:
        """Expire in so many seconds, 0 is never."""

    def take_route(self, route: CompiledRoute, chain: Chain) -> None:
        """Have a route's bindings take part from here on."""

    def send(self, route: CompiledRoute, target: RouteTarget, sticky_target: RouteTarget | None = None) -> None:
        """Send the request upstream.

        :param sticky_target: the target, if a cookie is to keep the client on it.
        """

    def fail(self, status: int, reason: str, detail: str) -> None:
        """Respond for the gateway."""

    def body_failed(self, status: int, reason: str, detail: str) -> None:
        """Respond for the gateway, and take no more of the request's body."""

    def respond_with(self, response: Response, hooks: tuple[Hook, ...]) -> None:
        """Respond, through these response hooks."""

    def note_failure(self, reason: str, detail: str) -> None:
        """Record why the response is not an upstream's or a plugin's."""


class RunningExchange(Protocol):
    """The exchange, as its parts use it."""

    client: Client
    head: RequestHead
    chain: Chain
    route: CompiledRoute | None
    snapshot: Snapshot
    hooks: HookRunner | None
    sticky_target: RouteTarget | None
    proxy: ExchangeHost
    request: Request
    writer: ResponseWriter
    body: RequestBody | None
    sent_body: RequestBody | None
    """What goes upstream: the client's body, unless hooks changed it."""
    id_line: bytes
    total_deadline: float
    """Monotonic seconds by which all has to be over."""

    @property
    def limits(self) -> LimitsConfig:
        """Those of the snapshot in force."""

    def runner(self) -> HookRunner:
        """Return what runs the hooks."""

    def watch(self, seconds: float) -> None:
        """Expire in so many seconds; 0 is no limit but that of the whole request."""

    def watch_until(self, when: float) -> None:
        """Expire at a time of the monotonic clock."""

    # -- responses

    def respond_with(self, response: Response, hooks: tuple[Hook, ...]) -> None:
        """Respond, through these response hooks."""

    def write_response(self, response: Response) -> None:
        """Write a response that was made here, whole."""

    def response_begins(self) -> None:
        """Called before the head is written: decides whether the connection may be used again."""

    def resume_response(self) -> None:
        """Go on with the response, whose head is written."""

    def stream(self, stream: ResponseStream) -> None:
        """Resume and cancel the stream of a body with its response."""

    def snapshot_replaced(self) -> None:
        """Called when the head is written, and the response is not complete: the snapshot may not be in force."""

    # -- ends

    def note_failure(self, reason: str, detail: str) -> None:
        """Record why the response is not an upstream's or a plugin's."""

    def fail(self, status: int, reason: str, detail: str, retry_after: float | None = None) -> None:
        """Respond for the gateway."""

    def break_off(self, by: str, reason: str, detail: str) -> None:
        """Cut off the response, whose head is written."""

    def body_broken(self, error: BaseException) -> None:
        """Called when what gives a response's body failed."""

    def crashed(self, error: BaseException) -> None:
        """Called when the gateway itself failed, or over what a plugin left."""

    def tunnel_opened(self, tunnel: Tunnel) -> None:
        """Called when the client is joined with the upstream."""

    def tunnel_closed(self, received: int, sent: int) -> None:
        """Called when the tunnel that followed a 101 is closed, with the bytes from the client and to it."""

    def finish(self, now: float) -> None:
        """Called when the response is complete and written."""

    def written(self) -> None:
        """Called when a response that was made here is written."""
