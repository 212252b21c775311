"""The upstream's half of an exchange: picking an endpoint, sending, and trying again."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, cast

from gateway_core.messages import Response
from gateway_core.proxy.own_answers import own_answer
from gateway_core.proxy.pool import Pool
from gateway_core.proxy.relaying import Relaying
from gateway_core.proxy.sweeper import NEVER
from gateway_core.proxy.upload import Upload
from gateway_core.proxy.upstream_connection import Failure, Receiver, UpstreamConnection
from gateway_core.proxy.wire.chunks import LAST_CHUNK, encode_chunk
from gateway_core.proxy.wire.request_head import read_request_block
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

    route: CompiledRoute | None = None
    upstream: Upstream | None = None
    endpoint: Endpoint | None = None
    answering_endpoint: Endpoint | None = None
    tried: tuple[Endpoint, ...] = ()
    tries = 0
    first_try_at = 0.0
    picked_at = 0.0
    answered_at = 0.0
    total_deadline = NEVER
    raw_path = ""
    raw_query = ""
    raw_method = ""
    request_line: bytes | None = None
    """The request line as it came, without its CRLF, if the lane has it."""
    was_suspended = False
    _connecting: asyncio.Task[None] | None = None
    _is_retrying = False
    _is_fresh_only = False
    _is_stale_retry = False
    _is_queued = False
    _is_counted = False
    _continue_sent = False
    _sticky_value: str | None = None

    def send(self, upstream: Upstream) -> None:
        """Send the request to an endpoint of the upstream."""
        self.upstream = upstream
        # Without a hook that was awaited, no time worth asking for has passed since the head was read.
        now = self.first_try_at = self.proxy.now() if self.was_suspended else self.request.started
        route = self.route
        if route is not None and route.timeouts.total:
            self.total_deadline = self.request.started + route.timeouts.total
        if self.upload is not None and route is not None:
            policy = route.retry or upstream.retries
            keeps = policy.keeps_body(self.memo.facts.content_length)
            self.upload.keep_limit = policy.settings.max_body_bytes if keeps else 0
            if route.mirror is not None:
                self.upload.keep_limit = max(self.upload.keep_limit, MOST_MIRRORED)
        self._try(now)

    def _try(self, now: float) -> None:
        upstream, request = self.upstream, self.request
        assert upstream is not None
        key = upstream.hash_key(request) if upstream.hash_key is not None else None
        if upstream.sticky is not None:
            self._sticky_value = request.cookie(upstream.sticky.name)
        endpoint = upstream.pick(key, now, self.tried, self._sticky_value)
        self.picked_at = now
        if endpoint is None:
            refusal = upstream.refusal(now)
            self.fail(
                503, f"upstream {upstream.name!r}: {refusal.reason.value}", retry_after=refusal.retry_after or None
            )
            return
        self.endpoint = endpoint
        if not upstream.admission.is_unlimited:
            verdict = upstream.admission.ask(endpoint)
            if verdict is Verdict.REFUSE:
                self._leave(Outcome.ABANDONED)
                self.fail(503, f"upstream {upstream.name!r} has no free connection", retry_after=1)
                return
            if verdict is Verdict.QUEUE:
                self._is_queued = True
                self.proxy.queue_up(self, upstream, endpoint)
                self._watch(upstream.settings.limits.pending_timeout)
                return
        self.dispatch()

    def dispatch(self) -> None:
        """Take a connection to the endpoint that was picked, and send."""
        upstream, endpoint = self.upstream, self.endpoint
        assert upstream is not None
        assert endpoint is not None
        self._is_queued = False
        upstream.admission.enter(endpoint)
        self._is_counted = True
        self.tries += 1
        self.take_connection()

    def take_connection(self) -> None:
        """Send over an idle connection to the endpoint, or a new one."""
        upstream, endpoint = self.upstream, self.endpoint
        assert upstream is not None
        assert endpoint is not None
        pool = endpoint.pool or self.proxy.make_pool(endpoint, upstream)
        assert isinstance(pool, Pool)
        connection = None if self._is_fresh_only else pool.take()
        if connection is not None:
            self._send_over(connection)
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
            self._send_over(connection)

    # -- the request on the wire

    def _send_over(self, connection: UpstreamConnection) -> None:
        upload, endpoint = self.upload, self.endpoint
        assert endpoint is not None
        head = self.head_for(endpoint)
        if head is None:
            connection.pool.give_back(connection)
            self._leave(Outcome.ABANDONED)
            self.fail(500, "a plugin left header fields that cannot be sent")
            return
        self.connection = connection
        facts = self.memo.facts
        if upload is not None:
            body = upload.take()
            head += encode_chunk(body) if facts.chunked else body
            if facts.chunked and upload.complete:
                head += LAST_CHUNK
        connection.send(
            cast("Receiver", self),
            head,
            method_is_head=self.request.method == "HEAD",
            upload_complete=upload is None or upload.complete,
            chunked_upload=facts.chunked,
            upgrade_asked=facts.upgrade is not None,
        )
        if upload is None:
            seconds = self._response_timeout()
            deadline = self.picked_at + seconds if seconds else NEVER
            self.deadline = min(self.total_deadline, deadline)
            return
        upload.attach(connection)
        if facts.expect and not self._continue_sent and not upload.received:
            self._watch(EXPECT_WAIT)
        else:
            self.watch_upload()

    def head_for(self, endpoint: Endpoint, *, copy_length: int | None = None) -> bytes | None:
        """Return the request's head for an endpoint; None if a plugin left fields that are not valid.

        :param copy_length: bytes of the body of a copy that is sent whole; None for the request itself.
        """
        request, memo = self.request, self.memo
        facts, tail, route = memo.facts, memo.tail, self.route
        host = own_host = facts.host
        if request.current_block is not facts.block:
            own_host = request.headers.get("host", "")
            changed = read_request_block(self._own_fields(), http_1_0=True)
            if changed is None:
                return None
            tail = changed.kept + memo.origin.tail
        line = self._request_line()
        authority = host.encode("latin-1") if route is not None and route.preserve_host and host else endpoint.authority
        if own_host != host and own_host:
            authority = own_host.encode("latin-1")
        request_id = request.request_id.encode("latin-1")
        if facts.is_bare and copy_length is None:
            return b"%b\r\nHost: %b%b\r\nX-Request-Id: %b\r\n\r\n" % (line, authority, tail, request_id)
        lines = [line, b"\r\nHost: ", authority, tail, b"\r\nX-Request-Id: ", request_id]
        if copy_length is not None:
            lines.append(b"\r\nContent-Length: %d" % copy_length)
        elif facts.chunked:
            lines.append(b"\r\nTransfer-Encoding: chunked")
        elif facts.content_length >= 0:
            lines.append(b"\r\nContent-Length: %d" % facts.content_length)
        if facts.upgrade is not None:
            lines.append(b"\r\nConnection: Upgrade\r\nUpgrade: " + facts.upgrade)
        if facts.expect and self.upload is not None and not self._continue_sent and copy_length is None:
            lines.append(b"\r\nExpect: 100-continue")
        lines.append(b"\r\n\r\n")
        return b"".join(lines)

    def _own_fields(self) -> bytes:
        """Return the fields as the plugins left them, without those that the gateway writes itself."""
        headers = self.request.headers.copy()
        for name in ("content-length", "transfer-encoding", "expect"):
            headers.remove(name)
        return headers.block

    def _request_line(self) -> bytes:
        request, route = self.request, self.route
        path, target = request.path, request.target
        if route is not None and route.rewrite is not None:
            path = route.rewrite(request.params, path)
        elif path is self.raw_path and request.query is self.raw_query:
            if self.request_line is not None and request.method is self.raw_method:
                return self.request_line
            return f"{request.method} {target} HTTP/1.1".encode("latin-1")
        if request.query or target.endswith("?"):
            path = f"{path}?{request.query}"
        return f"{request.method} {path} HTTP/1.1".encode("latin-1", "replace")

    # -- deadlines

    def _response_timeout(self) -> float:
        upstream, route = self.upstream, self.route
        assert route is not None
        assert upstream is not None
        timeout = route.timeouts.response
        policy = route.retry or upstream.retries
        if policy.is_enabled and policy.settings.per_try_timeout:
            return min(timeout or NEVER, policy.settings.per_try_timeout)
        return timeout

    def _watch(self, seconds: float) -> None:
        """Expire in so many seconds, 0 is never; or when the whole request has to be over."""
        deadline = self.proxy.now() + seconds if seconds else NEVER
        self.deadline = min(deadline, self.total_deadline)

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

    def _leave(self, outcome: int | None, detail: str = "") -> None:
        """Count the try to be over, and let the upstream learn from it unless it did already."""
        upstream, endpoint = self.upstream, self.endpoint
        if upstream is None or endpoint is None:
            return
        if outcome is not None:
            upstream.record(endpoint, outcome, self.picked_at, self.proxy.now(), detail)
        if self._is_counted:
            self._is_counted = False
            upstream.admission.leave(endpoint)
            if not upstream.admission.is_unlimited:
                self.proxy.serve_queue(upstream)

    def fail(self, status: int, error: str, *, retry_after: float | None = None) -> None:
        """Answer for the gateway, for a reason that only logs get to know."""
        self.error = error
        self.answer(own_answer(status, retry_after=retry_after))

    def answer(self, response: Response) -> None:
        raise NotImplementedError

    def on_failure(self, failure: Failure, detail: str) -> None:
        raise NotImplementedError


__all__ = ["Sending", "Upload"]
