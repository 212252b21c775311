"""Copies of requests for mirror targets, whose responses are dropped.

A copy has an `Attempt` of its own, without a client and without retries. It takes nothing that a request needs:
it is dropped rather than queued where its upstream's limits leave no room or requests wait, and where too many copies
are in progress already. Its upstream's timeouts hold for it, and it ends after `_MAX_SECONDS` whatever they say. Its
body is the one that the request keeps (`RequestBody.keep`), so a copy is sent when that is complete.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from typing import Final

from gateway_core.events import MIRROR_FAILED, emit
from gateway_core.messages import Request, UpstreamAttempt
from gateway_core.messages.headers import headers_of_block
from gateway_core.messages.trace import trace_id_of
from gateway_core.observe.tracing import RequestTrace, TracePlace
from gateway_core.proxy.attempt import Attempt
from gateway_core.proxy.attempt_owner import AttemptTerms, PreparedRequest, Retries, UpstreamFailure
from gateway_core.proxy.fetches import FetchBody
from gateway_core.proxy.hook_runner import HookRunner
from gateway_core.proxy.request_body import RequestBody
from gateway_core.proxy.sweeper import NEVER
from gateway_core.proxy.upstream.connection import UpstreamConnection
from gateway_core.proxy.upstream.directory import UpstreamDirectory
from gateway_core.proxy.upstream_head import AttemptPhase, UnsendableHeadError, framing_fields, upstream_head
from gateway_core.proxy.wire.grpc import is_call
from gateway_core.proxy.wire.request_head import BINDS, HEAD_ONLY, RequestHead
from gateway_core.proxy.wire.response_head import ResponseHead
from gateway_core.routing import UnsafePathError
from gateway_core.snapshot import CompiledRoute
from gateway_core.snapshot.route import Mirror
from gateway_core.upstreams.admission import Decision
from gateway_core.upstreams.endpoint import Endpoint
from gateway_core.upstreams.retry import RetryPolicy

MAX_COPIES: Final = 100
"""Copies that may be in progress to one upstream: each holds up to `MAX_MIRRORED` bytes."""

MAX_MIRRORED: Final = 65536
"""Bytes of a request body that is copied; requests with longer ones are not."""

_MAX_SECONDS: Final = 30.0
"""How long a copy may take: a mirror that hangs must not pile up connections."""


def send_copies(
    route: CompiledRoute,
    request: Request,
    head: RequestHead,
    body: RequestBody | None,
    id_line: bytes,
    directory: UpstreamDirectory,
    runner: Callable[[], HookRunner],
) -> bool:
    """Send copies of a request to the route's mirrors, as far as chance and limits have it.

    :param id_line: X-Request-Id as a line and the empty line that ends the head.
    :param runner: returns what runs the request's hooks: attempt hooks of a mirror run in a copy of its context.
    :returns: False if the body is not complete: it is kept then, and copies are sent by another call.
    """
    if body is not None:
        body.keep(MAX_MIRRORED)
        if not body.is_complete:
            return False
    if head.facts.upgrade is not None or (body is not None and body.received > MAX_MIRRORED):
        return True
    for mirror in route.mirrors:
        if directory.rng.random() * 100 < mirror.percent:
            try:
                MirrorCopy(mirror, route, request, head, body, id_line, directory, runner).start()
            except Exception as error:  # noqa: BLE001 - the request itself goes on whatever becomes of its copy
                _report(request, error)
    return True


def _report(request: Request, error: BaseException) -> None:
    """Have the log say that the gateway itself failed over a copy of a request."""
    text, trace_id = f"a copy for a mirror failed: {error!r}", trace_id_of(request.trace)
    emit(MIRROR_FAILED, text, error=error, request_id=request.request_id, trace_id=trace_id, reason=repr(error))


class MirrorCopy:
    """One copy in progress (an `AttemptOwner`)."""

    bound = None
    passes_whole = True

    __slots__ = (
        "_attempt",
        "_head",
        "_id_line",
        "_inbound",
        "_mirror",
        "_request",
        "_responded",
        "_route",
        "_runner",
        "_target",
        "_until",
        "body",
        "deadline",
        "directory",
        "upstream",
    )

    def __init__(
        self,
        mirror: Mirror,
        route: CompiledRoute,
        request: Request,
        head: RequestHead,
        body: RequestBody | None,
        id_line: bytes,
        directory: UpstreamDirectory,
        runner: Callable[[], HookRunner],
    ) -> None:
        self._mirror = mirror
        self.upstream = mirror.upstream
        self._route = route
        self._target = route.target_for(mirror.upstream)
        self._request = request
        self._inbound = head
        self.body = None if body is None else body.copied()
        self._id_line = id_line
        self.directory = directory
        self._responded = False
        # A copy of the context, made now: the copy of the request outlives the request.
        self._runner = runner().copy_for(self.crashed) if mirror.attempt_hooks else None
        now = directory.now()
        timeouts = mirror.timeouts
        self.deadline = NEVER
        self._until = now + min(timeouts.total or _MAX_SECONDS, _MAX_SECONDS)
        self._attempt = Attempt(self)

    def terms(self) -> AttemptTerms:
        connect = min(self._mirror.timeouts.connect or _MAX_SECONDS, _MAX_SECONDS)
        return AttemptTerms(self._request.method, RetryPolicy(None), connect, self._until, request=self._request)

    def start(self) -> None:
        """Send the copy if there is room for it; otherwise nothing happens."""
        admission = self.upstream.admission
        endpoints = self.upstream.endpoints
        has_room = any(admission.decide(endpoint) is Decision.ADMIT for endpoint in endpoints)
        if admission.load.copies >= MAX_COPIES or not has_room:
            return
        admission.load.copies += 1
        self.directory.calls.add(self)
        self.on_waiting(0)
        if self._attempt.start(now := self.directory.now()):
            self.on_sent(now)

    def prepare(self, endpoint: Endpoint) -> PreparedRequest | None:
        """Make the head, without credentials unless the mirror gets them."""
        body = self.body
        framing = b"" if body is None else framing_fields(self._inbound.facts, copy_length=body.received)
        try:
            head, flags = upstream_head(
                self._request, self._inbound, self._route.path_policy, self._target, endpoint, framing, self._id_line
            )
        except (UnsafePathError, UnsendableHeadError):
            self._end()  # the request itself is about to be refused
            return None
        if self._mirror.credentials is not None:
            head = self._mirror.credentials.removed_from(head)
        prepared = head, flags & (HEAD_ONLY | BINDS)
        if isinstance(trace := self._request.trace, RequestTrace):
            place = TracePlace(trace, "mirror", is_call=is_call(self._inbound))
            prepared = place.sent_head(self._attempt, head), prepared[1]
        if self._runner is None:
            return prepared
        copied = self._copied(head, b"" if body is None else body.peek())
        phase = AttemptPhase(self._mirror.attempt_hooks, copied, self._runner)
        phase.start(endpoint, prepared, self._hooked, lambda _: self._end())
        return None

    def _copied(self, head: bytes, body: bytes) -> Request:
        """Return what is sent, as the attempt hooks see it."""
        copied = copy(self._request)
        copied.headers = headers_of_block(b"\r\n" + head[:-4].partition(b"\r\n")[2])
        copied.operations = FetchBody(body)
        return copied

    def _hooked(self, prepared: PreparedRequest, observed: UpstreamAttempt | None) -> None:
        if self in self.directory.calls:
            self._attempt.connect(prepared, observed)

    def on_retry(self, retries: Retries) -> None:
        """Make the other attempt: a discovered endpoint could not be connected to."""
        self._attempt = Attempt(self, retries)
        if self._attempt.start(now := self.directory.now()):
            self.on_sent(now)

    def on_sent(self, now: float) -> None:
        self._watch(self._mirror.timeouts.response, now)

    def on_waiting(self, seconds: float) -> None:
        if self._attempt.is_queued:
            self._end()  # between the question and the pick, the room went to a request
        else:
            self._watch(seconds, self.directory.now())

    def _watch(self, seconds: float, now: float) -> None:
        self.deadline = min(self._until, now + seconds if seconds else NEVER)

    def on_interim(self, head: ResponseHead) -> None:
        """Drop it."""

    def on_response(self, head: ResponseHead, body: bytes, complete: bool, trailers: bytes = b"") -> None:  # noqa: ARG002 - dropped
        """Drop it; the upstream has learnt from its status."""
        self._responded = True
        if complete:
            self._end()
        else:
            self._watch(self._mirror.timeouts.idle, self.directory.now())

    def on_body(self, data: bytes | memoryview) -> None:  # noqa: ARG002 - dropped
        """Drop it."""
        self._watch(self._mirror.timeouts.idle, self.directory.now())

    def sink(self) -> None:
        """Return none: the body is dropped."""

    def on_end(self, trailers: bytes) -> None:  # noqa: ARG002 - dropped
        """End the copy."""
        self._end()

    def on_switch(self, connection: UpstreamConnection, head: ResponseHead, data: bytes) -> None:  # noqa: ARG002
        """Close what was not asked for."""
        connection.transport.abort()
        self._end()

    def on_failed(self, failure: UpstreamFailure) -> None:  # noqa: ARG002 - the upstream has learnt from it
        """End the copy."""
        self._end()

    def on_broken(self, reason: str, detail: str) -> None:  # noqa: ARG002 - the upstream has learnt from it
        """End the copy."""
        self._end()

    def keep_bound(self, endpoint: Endpoint, connection: UpstreamConnection) -> None:  # noqa: ARG002
        """Close it: a copy has no client that it could belong to."""
        connection.abort()

    def crashed(self, error: BaseException) -> None:
        """Log the failure."""
        _report(self._request, error)
        self._end()

    def expire(self, now: float) -> None:  # noqa: ARG002 - the sweeper's signature
        """End a copy that takes too long."""
        self.deadline = NEVER
        if self._responded:
            self._end(timed_out=True)
        else:
            self._attempt.expire()

    def _end(self, *, timed_out: bool = False) -> None:
        self.deadline = NEVER
        if self in self.directory.calls:
            self.directory.calls.discard(self)
            self.upstream.admission.load.copies -= 1
            if self._runner is not None:
                self._runner.cancel()
            self._attempt.give_up(timed_out=timed_out)
