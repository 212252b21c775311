"""The upstream's half of an exchange: picking an endpoint, sending, and trying again."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from gateway_core.messages import Response
from gateway_core.messages.fields import TOKEN_BYTES
from gateway_core.messages.headers import block_of, written_lines
from gateway_core.messages.request import request_block
from gateway_core.proxy.gateway_responses import own_answer
from gateway_core.proxy.relaying import Relaying
from gateway_core.proxy.sweeper import NEVER
from gateway_core.proxy.upload import Upload
from gateway_core.proxy.upstream.bound_connections import BoundConnections
from gateway_core.proxy.upstream.connection import BINDS, UpstreamConnection
from gateway_core.proxy.upstream.response_handler import Failure
from gateway_core.proxy.wire.bound import credentials_bind
from gateway_core.proxy.wire.chunks import LAST_CHUNK, encode_chunk
from gateway_core.proxy.wire.outgoing import outgoing_fields
from gateway_core.proxy.wire.request_head import TARGET_BYTES, has_special_fields
from gateway_core.routing import UnsafePathError
from gateway_core.upstreams.admission import Verdict
from gateway_core.upstreams.outcome import Outcome

if TYPE_CHECKING:
    from gateway_core.proxy.wire.response_head import ResponseHead
    from gateway_core.snapshot import CompiledRoute
    from gateway_core.upstreams.endpoint import Endpoint
    from gateway_core.upstreams.upstream import Upstream

MOST_MIRRORED: Final = 65536
"""Bytes of a request body at most that is copied for a mirror; longer ones are not mirrored."""

EXPECT_WAIT: Final = 1.0
"""Seconds to wait for an upstream's 100 before the client is told to go on (RFC 9110 section 10.1.1)."""


class Sending(Relaying):
    """Sends one request upstream, to one endpoint after another if need be."""

    __slots__ = ()

    tried: tuple[Endpoint, ...] = ()
    tries = 1
    first_try_at = 0.0
    """When the first endpoint was picked, if there was more than one try."""
    total_deadline = NEVER
    was_suspended = False
    _connecting: asyncio.Task[None] | None = None
    _is_retrying = False
    _is_fresh_only = False
    _is_queued = False
    _continue_sent = False
    _binds = False
    """Whether a plugin gave the request credentials that bind the upstream's connection."""
    _sticky_value: str | None = None
    _unrecorded: int | None = None
    """How the try ends unless the rest of the answer's body fails: a try has one outcome."""

    def send(self, upstream: Upstream, route: CompiledRoute) -> None:
        """Send the request to an endpoint of the upstream."""
        self.upstream = upstream
        # Without a hook that was awaited, no time worth asking for has passed since the head was read.
        now = self.proxy.now() if self.was_suspended else self.request.started
        if route.timeouts.total:
            self.total_deadline = self.request.started + route.timeouts.total
        if self.upload is not None:
            policy = route.retry or upstream.retries
            keeps = policy.keeps_body(self.memo.facts.content_length)
            self.upload.keep_limit = policy.settings.max_body_bytes if keeps else 0
            if route.mirror is not None:
                self.upload.keep_limit = max(self.upload.keep_limit, MOST_MIRRORED)
        self._try(now)

    def _try(self, now: float) -> None:
        upstream = self.upstream
        assert upstream is not None
        bound = self.lane.peer.bound
        endpoint = None if bound is None or self.tried else bound.pick(upstream, now)
        if endpoint is None:
            endpoint = upstream.pick(None, now, self.tried) if upstream.is_plain else self._pick_for(upstream, now)
        self.picked_at = now
        if endpoint is None:
            refusal = upstream.refusal(now)
            self.fail(
                503, f"upstream {upstream.name!r}: {refusal.reason.value}", retry_after=refusal.retry_after or None
            )
            return
        self.endpoint = endpoint
        if upstream.admission.is_unlimited or self._is_admitted(upstream, endpoint):
            self._count_in(upstream, endpoint, now)

    def _pick_for(self, upstream: Upstream, now: float) -> Endpoint | None:
        """Pick by what the request carries."""
        request = self.request
        key = upstream.hash_key(request) if upstream.hash_key is not None else None
        if upstream.sticky is not None:
            self._sticky_value = request.cookie(upstream.sticky.name)
        return upstream.pick(key, now, self.tried, self._sticky_value)

    def _is_admitted(self, upstream: Upstream, endpoint: Endpoint) -> bool:
        verdict = upstream.admission.ask(endpoint)
        if verdict is Verdict.REFUSE:
            self._leave(Outcome.ABANDONED)
            self.fail(503, f"upstream {upstream.name!r} has no free connection", retry_after=1)
        elif verdict is Verdict.QUEUE:
            self._is_queued = True
            self.proxy.queue_up(self, upstream, endpoint)
            self._watch(upstream.settings.limits.pending_timeout)
        return verdict is Verdict.ADMIT

    def dispatch(self) -> None:
        """Go on after waiting for the endpoint that was picked."""
        assert self.upstream is not None
        assert self.endpoint is not None
        self._is_queued = False
        try:
            self._count_in(self.upstream, self.endpoint, self.proxy.now())
        except Exception as error:  # noqa: BLE001 - another request's end led here, which is not to fail for it
            self.crashed(error)

    def _count_in(self, upstream: Upstream, endpoint: Endpoint, now: float) -> None:
        upstream.admission.load.active += 1
        endpoint.active += 1
        self._is_counted = True
        self.take_connection(upstream, endpoint, now)

    def take_connection(self, upstream: Upstream, endpoint: Endpoint, now: float) -> None:
        """Send over an idle connection to the endpoint, or a new one.

        :param now: monotonic seconds; the wait for the answer begins here, not where others were waited for.
        """
        bound = self.lane.peer.bound
        if bound is not None and not self._is_fresh_only:
            connection = bound.take(endpoint)
            if connection is not None:
                self._send_over(connection, endpoint, now)
                return
        pool: Any = endpoint.pool
        if pool is None:
            pool = self.proxy.make_pool(endpoint, upstream)
        if pool.idle and not self._is_fresh_only:
            connection = pool.take()
            if connection is not None:
                self._send_over(connection, endpoint, now)
                return
        self.deadline = NEVER
        connect = self.route.timeouts.connect if self.route is not None else pool.settings.connect_timeout
        if self.total_deadline is not NEVER:
            connect = max(0.001, min(connect or NEVER, self.total_deadline - self.proxy.now()))
        self._connecting = pool.connect(connect, self._connected)

    def _connected(self, connection: UpstreamConnection | None, failure: Failure, reason: str) -> None:
        self._connecting = None
        if self.over or self.head_sent:
            if connection is not None:
                connection.pool.give_back(connection)
        elif connection is None:
            self.on_failure(failure, reason)
        else:
            assert self.endpoint is not None
            try:
                self._send_over(connection, self.endpoint, self.proxy.now())
            except Exception as error:  # noqa: BLE001 - nobody else would tell the client
                self.crashed(error)

    # -- the request on the wire

    def _send_over(self, connection: UpstreamConnection, endpoint: Endpoint, now: float) -> None:
        self.connection = connection
        upload, memo, route, upstream = self.upload, self.memo, self.route, self.upstream
        if self.request.method is not memo.method:
            memo = self.memo = memo.sent_as(self.request.method)
        status, problem = 500, "a plugin left header fields that cannot be sent"
        try:
            head = self._head_for(endpoint)
        except UnsafePathError as error:
            head, status, problem = None, 400, str(error)
        if head is None:
            self.connection = None
            connection.pool.give_back(connection)
            self._leave(Outcome.ABANDONED)
            self.fail(status, problem)
            return
        if upload is not None:
            self._send_with_body(connection, head, upload)
            return
        receiver: Any = self
        connection.send(receiver, head, memo.flags if not self._binds else memo.flags | BINDS)
        assert route is not None
        self.deadline = now + (route.wait if upstream is route.upstream else self._response_timeout())
        if self.total_deadline is not NEVER:
            self.deadline = min(self.deadline, self.total_deadline)

    def _send_with_body(self, connection: UpstreamConnection, head: bytes, upload: Upload) -> None:
        facts = self.memo.facts
        body = upload.take()
        if facts.chunked:
            body = encode_chunk(body) + (LAST_CHUNK if upload.complete else b"")
        receiver: Any = self
        flags = self.memo.flags if not self._binds else self.memo.flags | BINDS
        connection.send(receiver, head + body, flags, upload.complete)
        if upload.complete:
            self._watch(self._response_timeout())
            return
        upload.attach(connection)
        if facts.expect and not self._continue_sent and not upload.received:
            self._watch(EXPECT_WAIT)
        else:
            self.watch_upload()

    def _head_for(self, endpoint: Endpoint) -> bytes | None:
        """Return the request's head for an endpoint; most of it is known if the one before was the same."""
        request, memo, route = self.request, self.memo, self.route
        if (
            request_block(request) is not memo.facts.block
            or request.path_was_set
            or request.query_string is not memo.query_string
            or request.method is not memo.method
            or memo.facts.expect
        ):
            return self.head_for(endpoint)
        if memo.sent_by is not route:
            memo.before = self._request_line() + b"\r\nHost: "
            memo.host = memo.facts.host.encode("latin-1") if route is not None and route.preserve_host else b""
            memo.after = memo.tail + self._framing_fields()
            memo.sent_by = route
        return b"".join((memo.before, memo.host or endpoint.authority, memo.after, self.id_line))

    def head_for(self, endpoint: Endpoint, *, copy_length: int | None = None) -> bytes | None:
        """Return the request's head for an endpoint; None if a plugin left fields that are not valid.

        :param copy_length: bytes of the body of a copy that is sent whole; None for the request itself.
        """
        request, memo = self.request, self.memo
        facts, tail, route, end = memo.facts, memo.tail, self.route, self.id_line
        host = own_host = facts.host
        block = request_block(request)
        if block is not facts.block:
            added = block[len(facts.block) :] if block.startswith(facts.block + b"\r\n") else b""
            if added and not facts.has_odd_names and not has_special_fields(added):
                self._binds = credentials_bind(added.lower())
                tail = facts.kept + added + memo.origin.tail
            else:
                own_host = request.headers.get("host", "")
                outgoing = outgoing_fields(facts, memo.origin, self._own_fields(), written_lines(request.headers))
                if outgoing is None:
                    return None
                self._binds = outgoing.binds
                tail = outgoing.fields
                if outgoing.has_request_id:
                    end = b"\r\n\r\n"
        authority = host.encode("latin-1") if route is not None and route.preserve_host and host else endpoint.authority
        if own_host != host and own_host:
            authority = own_host.encode("latin-1")
        fields = self._framing_fields() if copy_length is None else b"\r\nContent-Length: %d" % copy_length
        return b"".join((self._request_line(), b"\r\nHost: ", authority, tail, fields, end))

    def _framing_fields(self) -> bytes:
        """Return the fields that are between the gateway and the upstream."""
        facts, block = self.memo.facts, b""
        if facts.chunked:
            block = b"\r\nTransfer-Encoding: chunked"
        elif facts.content_length >= 0:
            block = b"\r\nContent-Length: %d" % facts.content_length
        if facts.upgrade is not None:
            block += b"\r\nConnection: Upgrade\r\nUpgrade: " + facts.upgrade
        if facts.expect and self.upload is not None and not self._continue_sent:
            block += b"\r\nExpect: 100-continue"
        return block

    def _own_fields(self) -> bytes:
        """Return the fields as the plugins left them, without those that the gateway writes itself."""
        headers = self.request.headers.copy()
        # Connection as well: what a client lists there must not take away what a plugin wrote.
        for name in ("connection", "content-length", "transfer-encoding", "expect"):
            headers.remove(name)
        return block_of(headers)

    def _request_line(self) -> bytes:
        request, route, memo = self.request, self.route, self.memo
        path, target, flags = request._raw_path, memo.target, request.path_flags  # noqa: SLF001 - no call
        if request.method is not memo.method or request.query_string is not memo.query_string:
            _check_line(request.method, request.query_string)
        if route is not None and route.rewrite is not None:
            path = route.rewrite(request.path_params, path)
        elif not flags and not request.path_was_set and request.query_string is memo.query_string:
            if memo.line and request.method is memo.method:
                return memo.line
            return f"{request.method} {target} HTTP/1.1".encode("latin-1")
        if route is not None and (flags or "//" in path):  # a rewrite may have brought some
            path = route.path_policy.sent(path)
        if request.query_string or target.endswith("?"):
            path = f"{path}?{request.query_string}"
        return f"{request.method} {path} HTTP/1.1".encode("latin-1", "replace")

    # -- deadlines

    def _response_timeout(self) -> float:
        upstream, route = self.upstream, self.route
        assert route is not None
        assert upstream is not None
        return route.wait if upstream is route.upstream else route.wait_for(upstream)

    def _watch(self, seconds: float) -> None:
        """Expire in so many seconds, 0 is never; or when the whole request has to be over."""
        deadline = self.proxy.now() + seconds if seconds else NEVER
        self.deadline = min(self.total_deadline, deadline)

    def watch_upload(self) -> None:
        """Give the client time for the next part of its body, or the upstream for its answer."""
        if self.upload is None or self.upload.complete:
            self._watch(self._response_timeout())
        else:
            self._watch(self.snapshot.limits.body_timeout)

    def watch_answer_body(self) -> None:
        if not self.over:
            self._watch(self.route.timeouts.idle if self.route is not None else 60.0)

    def watch_client_write(self) -> None:
        if not self.over:
            self._watch(self.snapshot.limits.write_timeout)

    # -- what the connection says

    def on_interim(self, head: ResponseHead) -> None:
        if head.status == 100:
            if not self.memo.facts.expect or self._continue_sent:
                return
            self._continue_sent = True
            self.watch_upload()
        self.write_interim(head)

    def send_continue(self) -> None:
        """Tell a client that waits for it to send its body."""
        if self.memo.facts.expect and not self._continue_sent and not self.head_sent:
            self._continue_sent = True
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def keep_bound(self, connection: UpstreamConnection) -> None:
        """Keep the connection, whose upstream knows the user by it, for this client alone."""
        peer = self.lane.peer
        if peer.bound is None:
            peer.bound = BoundConnections()
        assert self.endpoint is not None
        peer.bound.keep(self.endpoint, connection)

    def _leave(self, outcome: int | None, detail: str = "") -> None:
        """Count the try to be over, and let the upstream learn from it unless it did already."""
        upstream, endpoint = self.upstream, self.endpoint
        if upstream is None or endpoint is None:
            return
        if outcome is not None:
            upstream.record(endpoint, outcome, self.picked_at, self.proxy.now(), detail)
        self._count_out(upstream, endpoint)

    def _count_out(self, upstream: Upstream, endpoint: Endpoint) -> None:
        if self._is_counted:
            self._is_counted = False
            admission = upstream.admission
            admission.load.active -= 1
            endpoint.active -= 1
            if not admission.is_unlimited:
                self.proxy.serve_queue(upstream)

    def fail(self, status: int, error: str, *, retry_after: float | None = None) -> None:
        """Answer for the gateway, for a reason that only logs get to know."""
        self.error = error
        self.answer(own_answer(status, retry_after=retry_after))

    def answer(self, response: Response) -> None:
        raise NotImplementedError

    def on_failure(self, failure: Failure, detail: str) -> None:
        raise NotImplementedError

    def crashed(self, error: BaseException) -> None:
        """Answer for a failure that is nobody's: of ours, or in what a plugin left behind."""
        raise NotImplementedError


__all__ = ["Sending", "Upload"]


def _check_line(method: str, query: str) -> None:
    """Refuse what a plugin set, often from a client's text, and what would end the request line or a part of it."""
    if not method.isascii() or not method or method.encode().translate(None, TOKEN_BYTES):
        raise UnsafePathError(f"a plugin set the method {method[:80]!r}, which is not a token")
    if not query.isascii() or query.encode().translate(None, TARGET_BYTES):
        raise UnsafePathError(f"a plugin set the query {query[:80]!r}, which must be percent-encoded")
