"""The head of a request as it goes upstream.

    <method> <path>?<query> HTTP/1.1
    Host: <a plugin's, rewrite.host, the client's with preserve_host, or the endpoint's>
    <the fields that go on> <the forwarding fields> <what frames the body, Upgrade, TE, Trailer>
    X-Request-Id: ...

The parts of a request that goes on as it came are there, and `Relay.prepare` joins them. Any other is put together
here. What a plugin wrote is looked at before it goes on: what would end a line, a path or the head is refused.

**The attempt hooks** run once the head for an endpoint is made, and may change its fields. `AttemptPhase.start` takes
the finished bytes, so it does not matter who made them: it parts them into what hooks may change and what they may not
(request line, Host, the fields that frame the message), and puts them together again. Hooks that must be awaited are
why `AttemptOwner.prepare` may return None and `Attempt.connect` exists.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from types import MappingProxyType
from typing import Final

from gateway_core.hooks import Hook, Stop, start_attempt_phase
from gateway_core.messages import Request, UpstreamAttempt
from gateway_core.messages.fields import TOKEN_BYTES
from gateway_core.messages.headers import block_of, headers_of_block, written_lines
from gateway_core.messages.request_lines import request_block
from gateway_core.proxy.attempt_owner import PreparedRequest
from gateway_core.proxy.hook_runner import HookRunner
from gateway_core.proxy.wire.field_names import has_special_fields
from gateway_core.proxy.wire.fields import TARGET_BYTES, credentials_bind, without_names
from gateway_core.proxy.wire.outgoing import are_ordinary, edited_fields, outgoing_fields
from gateway_core.proxy.wire.request_fields import RequestFacts
from gateway_core.proxy.wire.request_head import BINDS, RequestHead, flags_for
from gateway_core.proxy.wire.response_head import ResponseHead
from gateway_core.routing import PathPolicy, ResponseFacts, UnsafePathError
from gateway_core.snapshot import RouteTarget
from gateway_core.snapshot.route import RequestRewrite
from gateway_core.upstreams.endpoint import Endpoint


class UnsendableHeadError(Exception):
    """A plugin left fields that cannot be sent."""


def framing_fields(
    facts: RequestFacts,
    *,
    expects: bool = False,
    length: int | None = None,
    in_chunks: bool = False,
    copy_length: int | None = None,
) -> bytes:
    """Return the fields that are between the gateway and the upstream, as a block.

    :param expects: whether the client's Expect goes on.
    :param length: bytes of a body that is there already, however it came.
    :param in_chunks: whether the body's length is not known, whatever its client said.
    :param copy_length: bytes of the body of a copy that is sent whole; None for the request itself.
    """
    if copy_length is not None:
        return b"\r\nContent-Length: %d" % copy_length
    block = b""
    if length is not None:
        block = b"\r\nContent-Length: %d" % length
    elif facts.chunked or in_chunks:
        block = b"\r\nTransfer-Encoding: chunked"
        block += facts.trailer
    elif facts.content_length >= 0:
        block = b"\r\nContent-Length: %d" % facts.content_length
    if facts.upgrade is not None:
        block += b"\r\nConnection: Upgrade\r\nUpgrade: " + facts.upgrade
    elif facts.takes_trailers:
        block += b"\r\nConnection: TE\r\nTE: trailers"
    if expects:
        block += b"\r\nExpect: 100-continue"
    return block


def tail_with(head: RequestHead, added: bytes) -> bytes | None:
    """Return the fields that go upstream behind Host, with lines that hooks added; None unless these are ordinary."""
    if head.facts.has_odd_names or not are_ordinary(added):
        return None
    return b"".join((head.facts.kept, added, head.origin.tail))


def upstream_head(
    request: Request,
    head: RequestHead,
    path_policy: PathPolicy,
    target: RouteTarget,
    endpoint: Endpoint,
    framing: bytes,
    id_line: bytes,
) -> tuple[bytes, int]:
    """Return the head for an endpoint of a target, and what the connection has to know of it.

    :param path_policy: the route's.
    :param framing: what `framing_fields` gave.
    :param id_line: X-Request-Id as a line and the empty line that ends the head.
    :raises UnsendableHeadError: a plugin left fields that are not valid.
    :raises UnsafePathError: the path or the query would not arrive as what it is.
    """
    facts, tail, end, flags = head.facts, head.tail, id_line, head.flags
    block = request_block(request)
    if request.method is not head.method:
        flags = flags_for(request.method, facts)
    if block is facts.block:
        authority, written = _usual_host(head, target, endpoint), b""
    else:
        added = block[len(facts.block) :] if block.startswith(facts.block) else b""
        if added.startswith(b"\r\n") and not facts.has_odd_names and not has_special_fields(added):
            # As almost always: hooks only added fields, and none of them means anything to the gateway.
            authority, written = _usual_host(head, target, endpoint), added
            binds = credentials_bind(added.lower())
            tail = b"".join((facts.kept, added, head.origin.tail))
        else:
            written = written_lines(request.headers)
            edited = edited_fields(facts, request.headers)
            if edited is not None:
                authority, binds, tail = _usual_host(head, target, endpoint), False, edited + head.origin.tail
            else:
                authority, written = sent_host(request, head, target, endpoint)
                outgoing = outgoing_fields(facts, head.origin, _fields_of(request), written)
                if outgoing is None:
                    raise UnsendableHeadError("a plugin left header fields that cannot be sent")
                binds, tail = outgoing.binds, outgoing.fields
                if outgoing.has_request_id:
                    end = b"\r\n\r\n"
        if binds:
            flags |= BINDS
    if target.rewrite.prefix:
        # Only proxies and plugins may say one.
        may_have = written != b"" or head.origin.is_trusted
        tail = with_prefix(tail, target.rewrite.prefix, written, may_have=may_have)
    line = _request_line(request, head, path_policy, target.rewrite)
    return b"".join((line, b"\r\nHost: ", authority, tail, framing, end)), flags


def target_of(head: bytes) -> str:
    """Return the request-target of a head that was made here."""
    start = head.index(b" ") + 1
    return head[start : head.index(b" ", start)].decode("latin-1")


def sent_host(request: Request, head: RequestHead, target: RouteTarget, endpoint: Endpoint) -> tuple[bytes, bytes]:
    """Return the Host that goes to an endpoint, and every line that plugins wrote."""
    written = b""
    if request_block(request) is not head.facts.block:
        written = written_lines(request.headers)
        own = request.headers.get("host", "")
        if own and (own != head.facts.host or b"\r\nhost:" in written.lower()):
            return own.encode("latin-1"), written
    return _usual_host(head, target, endpoint), written


def _usual_host(head: RequestHead, target: RouteTarget, endpoint: Endpoint) -> bytes:
    """Return the Host that goes to an endpoint unless a plugin wrote one."""
    host, own = head.facts.host, target.rewrite.host
    # The endpoint of a unix socket has no name that an upstream could know.
    keeps = host and not own and (target.preserve_host or endpoint.path)
    return host.encode("latin-1") if keeps else own or endpoint.authority


def client_host(head: RequestHead) -> str:
    """Return the Host as the client sees it, which a trusted proxy in front may say; empty if there is none."""
    for name, line in head.origin.lines:
        if name == b"x-forwarded-host":
            return line.partition(b": ")[2].decode("latin-1")
    return head.facts.host


_PREFIX_LINE: Final = b"\r\nx-forwarded-prefix:"


def with_prefix(tail: bytes, prefix: bytes, written: bytes = b"", *, may_have: bool = True) -> bytes:
    """Return fields with X-Forwarded-Prefix: behind what a trusted proxy sent, and not if a plugin wrote its own.

    :param written: every line that plugins wrote.
    :param may_have: whether there may be such a field.
    """
    start = tail.lower().find(_PREFIX_LINE) if may_have else -1
    if start < 0:
        return tail + b"\r\nX-Forwarded-Prefix: " + prefix
    if _PREFIX_LINE in written.lower():
        return tail
    end = tail.find(b"\r\n", start + 2)
    end = len(tail) if end < 0 else end
    return tail[:end].rstrip(b" \t/") + prefix + tail[end:]


def _fields_of(request: Request) -> bytes:
    """Return the fields as the plugins left them, without those that the gateway writes itself."""
    headers = request.headers.copy()
    # Connection as well: what a client lists there must not take away what a plugin wrote.
    for name in ("connection", "content-length", "transfer-encoding", "expect"):
        headers.remove(name)
    return block_of(headers)


_NO_PARAMS: Final[Mapping[str, str]] = MappingProxyType({})


def _request_line(request: Request, head: RequestHead, policy: PathPolicy, rewrite: RequestRewrite) -> bytes:
    path, query = request.raw_path, request.query_string
    is_changed = request.method is not head.method or request.query_string is not head.query_string
    if is_changed:
        _check(request.method, request.query_string)
    if rewrite.query is not None:
        query = rewrite.query.apply(query, request.path_params)
    if rewrite.path is not None:
        path = rewrite.path(request.path_params if rewrite.takes_params else _NO_PARAMS, path)
    elif rewrite.query is None and not is_changed and not request.path_flags and not request.path_was_set:
        return head.line or f"{request.method} {head.target} HTTP/1.1".encode("latin-1")
    return _line(request.method, _sent_path(path, request.path_flags, policy), query, head.target)


def _sent_path(path: str, flags: int, policy: PathPolicy) -> str:
    return policy.sent(path) if flags or "//" in path else path  # a rewrite may have brought some


def _line(method: str, path: str, query: str, target: str) -> bytes:
    if query or target.endswith("?"):
        path = f"{path}?{query}"
    return f"{method} {path} HTTP/1.1".encode("latin-1", "replace")


def _check(method: str, query: str) -> None:
    """Refuse what a plugin set, often from a client's text, and what would end the request line or a part of it."""
    if not method.isascii() or not method or method.encode().translate(None, TOKEN_BYTES):
        raise UnsafePathError(f"a plugin set the method {method[:80]!r}, which is not a token")
    if method.upper() == "CONNECT":  # its target is no path, and what follows is no HTTP (RFC 9110 section 9.3.6)
        raise UnsafePathError(f"a plugin set the method {method!r}, which opens a tunnel: that is never sent")
    if not query.isascii() or query.encode().translate(None, TARGET_BYTES):
        raise UnsafePathError(f"a plugin set the query {query[:80]!r}, which must be percent-encoded")


_FRAMING: Final = frozenset(
    {b"connection", b"content-length", b"expect", b"te", b"trailer", b"transfer-encoding", b"upgrade"}
)
"""Fields of the gateway's own connection to the upstream: hooks neither see nor change them."""
_NOT_OF_HOOKS: Final = _FRAMING | {b"host"}


def _line_of(names: Collection[bytes]) -> re.Pattern[bytes]:
    """Return what finds a line of one of these names in a block in lower case, without looking at each line."""
    return re.compile(rb"\r\n(?:%b):" % b"|".join(sorted(names)))


_FRAMING_LINE: Final = _line_of(_FRAMING)
_NOT_OF_HOOKS_LINE: Final = _line_of(_NOT_OF_HOOKS)


class AttemptPhase:
    """The hooks that run before each attempt of one request."""

    __slots__ = ("_hooks", "_request", "_runner")

    def __init__(self, hooks: tuple[Hook, ...], request: Request, runner: HookRunner) -> None:
        """Run nothing yet.

        :param request: what the hooks see: what is being sent.
        """
        self._hooks = hooks
        self._request = request
        self._runner = runner

    def start(
        self,
        endpoint: Endpoint,
        prepared: PreparedRequest,
        then: Callable[[PreparedRequest, UpstreamAttempt | None], None],
        failed: Callable[[Stop], None],
    ) -> None:
        """Run the hooks over a head, and call ``then`` with what they leave of it, at once or later.

        ``then`` gets the attempt as well if a hook wants to know the status of its response.

        :param failed: called instead if a hook failed and its binding denies: the request is over.
        """
        head, flags = prepared
        end = head.index(b"\r\n\r\n")
        line_end = head.index(b"\r\n")
        host_end = head.index(b"\r\n", line_end + 2)  # Host comes first in every head that is made here
        line, host = head[:line_end], head[line_end + len(b"\r\nHost: ") : host_end]
        fields, framing = head[host_end:end], b""
        lowered = fields.lower()
        if _FRAMING_LINE.search(lowered) is not None:
            fields, framing = without_names(fields, _FRAMING), _only_names(fields, _FRAMING)
            lowered = fields.lower()
        target = line.split(b" ")[1].decode("latin-1")
        path, _, query = target.partition("?")
        attempt = UpstreamAttempt(endpoint.id, path, query, host.decode("latin-1"), headers_of_block(fields, lowered))

        def decided(stop: Stop | None) -> None:
            if stop is not None:
                failed(stop)
                return
            own = block_of(attempt.headers)
            if own is not fields:
                own = _without_framing(own, fields)
            sent_line = line
            if attempt.query_string is not query:
                sent_line = b"%b %b?%b HTTP/1.1" % (
                    line.split(b" ")[0],
                    path.encode("latin-1"),
                    attempt.query_string.encode(),
                )
            data = b"".join((sent_line, b"\r\nHost: ", host, own, framing, head[end:]))
            then((data, flags), attempt if attempt.observes_status() else None)

        self._runner.run(decided, start_attempt_phase, self._hooks, self._request, attempt)


def _only_names(block: bytes, names: Collection[bytes]) -> bytes:
    """Return the fields of a block that have one of these names, in lower case."""
    lines = block.split(b"\r\n")[1:]
    return b"".join([b"\r\n" + line for line in lines if line.partition(b":")[0].lower() in names])


def _without_framing(block: bytes, fields: bytes) -> bytes:
    """Return the block that hooks left without the fields that are not theirs.

    :param fields: the block that they got, in which there are none.
    """
    written = block.removeprefix(fields)
    if _NOT_OF_HOOKS_LINE.search(written.lower()) is None:
        return block
    return without_names(block, _NOT_OF_HOOKS)


def undo_rewrite(
    head: ResponseHead, request: Request, inbound: RequestHead, target: RouteTarget, endpoint: Endpoint
) -> ResponseHead:
    """Return the head of a response in the client's words (`rewrite_response`)."""
    undo = target.rewrite.response
    if undo is None:
        return head
    host, _ = sent_host(request, inbound, target, endpoint)
    facts = ResponseFacts(
        request.scheme, client_host(inbound), endpoint.scheme, endpoint.host, endpoint.port, host.decode("latin-1")
    )
    block = undo.apply(head.block, facts)
    return head if block is head.block else head.with_block(block)
