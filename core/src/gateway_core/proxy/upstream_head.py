"""The head of a request as it goes upstream.

    <method> <path>?<query> HTTP/1.1
    Host: <the endpoint's authority, or the client's with preserve_host>
    <the fields that go on> <the forwarding fields> <what frames the body, Upgrade, TE, Trailer>
    X-Request-Id: ...

Most requests repeat an earlier one of their connection, and nothing of this depends on the request but the id: then the
connection has prepared the parts (`prepare_head`), and only authority and id are filled in. Otherwise all is put
together here. What a plugin wrote is looked at before it goes on: what would end a line, a path or the head is refused.
"""

from __future__ import annotations

from gateway_core.messages import Request
from gateway_core.messages.fields import TOKEN_BYTES
from gateway_core.messages.headers import block_of, written_lines
from gateway_core.messages.request import request_block
from gateway_core.proxy.inbound_head import InboundHead, PreparedHead, flags_for
from gateway_core.proxy.upstream.connection import BINDS
from gateway_core.proxy.wire.bound import credentials_bind
from gateway_core.proxy.wire.outgoing import outgoing_fields
from gateway_core.proxy.wire.request_fields import TARGET_BYTES, RequestFacts, has_special_fields
from gateway_core.routing import Match, UnsafePathError
from gateway_core.snapshot import CompiledRoute
from gateway_core.upstreams.endpoint import Endpoint


class UnsendableHeadError(Exception):
    """A plugin left fields that cannot be sent."""


def prepare_head(head: InboundHead, match: Match[CompiledRoute]) -> PreparedHead | None:
    """Return the parts of a head for a route that was found from the head alone; None if they cannot be prepared."""
    route, facts = match.payload, head.facts
    if facts.expect:
        return None  # whether it is sent depends on what happened meanwhile
    path = head.raw_path
    try:
        if route.rewrite is not None:
            path = route.rewrite(match.params, path)
        line = head.line if route.rewrite is None and not head.path_flags else b""
        line = line or _line(head.method, _sent_path(path, head.path_flags, route), head.query_string, head.target)
    except UnsafePathError:
        return None
    host = facts.host.encode("latin-1") if route.preserve_host else b""
    return PreparedHead(line + b"\r\nHost: ", host, head.tail + framing_fields(facts))


def framing_fields(facts: RequestFacts, *, expects: bool = False, copy_length: int | None = None) -> bytes:
    """Return the fields that are between the gateway and the upstream, as a block.

    :param expects: whether the client's Expect goes on.
    :param copy_length: bytes of the body of a copy that is sent whole; None for the request itself.
    """
    if copy_length is not None:
        return b"\r\nContent-Length: %d" % copy_length
    block = b""
    if facts.chunked:
        block = b"\r\nTransfer-Encoding: chunked"
        if facts.trailer:
            block += b"\r\nTrailer: " + facts.trailer
    elif facts.content_length >= 0:
        block = b"\r\nContent-Length: %d" % facts.content_length
    if facts.upgrade is not None:
        block += b"\r\nConnection: Upgrade\r\nUpgrade: " + facts.upgrade
    elif facts.takes_trailers:
        block += b"\r\nConnection: TE\r\nTE: trailers"
    if expects:
        block += b"\r\nExpect: 100-continue"
    return block


def upstream_head(
    request: Request,
    head: InboundHead,
    route: CompiledRoute | None,
    endpoint: Endpoint,
    framing: bytes,
    id_line: bytes,
) -> tuple[bytes, int]:
    """Return the head for an endpoint, and what the connection has to know of it.

    :param framing: what `framing_fields` gave.
    :param id_line: X-Request-Id as a line and the empty line that ends the head.
    :raises UnsendableHeadError: a plugin left fields that are not valid.
    :raises UnsafePathError: the path or the query would not arrive as what it is.
    """
    facts, tail, end, flags = head.facts, head.tail, id_line, head.flags
    host = own_host = facts.host
    # The endpoint of a unix socket has no name that an upstream could know.
    keeps_host = bool(host) and (bool(endpoint.path) or (route is not None and route.preserve_host))
    block = request_block(request)
    if request.method is not head.method:
        flags = flags_for(request.method, facts)
    if block is not facts.block:
        added = block[len(facts.block) :] if block.startswith(facts.block + b"\r\n") else b""
        if added and not facts.has_odd_names and not has_special_fields(added):
            binds = credentials_bind(added.lower())
            tail = facts.kept + added + head.origin.tail
        else:
            own_host = request.headers.get("host", "")
            outgoing = outgoing_fields(facts, head.origin, _fields_of(request), written_lines(request.headers))
            if outgoing is None:
                raise UnsendableHeadError("a plugin left header fields that cannot be sent")
            binds, tail = outgoing.binds, outgoing.fields
            if outgoing.has_request_id:
                end = b"\r\n\r\n"
        if binds:
            flags |= BINDS
    if own_host and own_host != host:
        authority = own_host.encode("latin-1")
    else:
        authority = host.encode("latin-1") if keeps_host else endpoint.authority
    line = _request_line(request, head, route)
    return b"".join((line, b"\r\nHost: ", authority, tail, framing, end)), flags


def _fields_of(request: Request) -> bytes:
    """Return the fields as the plugins left them, without those that the gateway writes itself."""
    headers = request.headers.copy()
    # Connection as well: what a client lists there must not take away what a plugin wrote.
    for name in ("connection", "content-length", "transfer-encoding", "expect"):
        headers.remove(name)
    return block_of(headers)


def _request_line(request: Request, head: InboundHead, route: CompiledRoute | None) -> bytes:
    path = request.raw_path
    is_changed = request.method is not head.method or request.query_string is not head.query_string
    if is_changed:
        _check(request.method, request.query_string)
    if route is not None and route.rewrite is not None:
        path = route.rewrite(request.path_params, path)
    elif not is_changed and not request.path_flags and not request.path_was_set:
        return head.line or f"{request.method} {head.target} HTTP/1.1".encode("latin-1")
    return _line(request.method, _sent_path(path, request.path_flags, route), request.query_string, head.target)


def _sent_path(path: str, flags: int, route: CompiledRoute | None) -> str:
    if route is not None and (flags or "//" in path):  # a rewrite may have brought some
        return route.path_policy.sent(path)
    return path


def _line(method: str, path: str, query: str, target: str) -> bytes:
    if query or target.endswith("?"):
        path = f"{path}?{query}"
    return f"{method} {path} HTTP/1.1".encode("latin-1", "replace")


def _check(method: str, query: str) -> None:
    """Refuse what a plugin set, often from a client's text, and what would end the request line or a part of it."""
    if not method.isascii() or not method or method.encode().translate(None, TOKEN_BYTES):
        raise UnsafePathError(f"a plugin set the method {method[:80]!r}, which is not a token")
    if not query.isascii() or query.encode().translate(None, TARGET_BYTES):
        raise UnsafePathError(f"a plugin set the query {query[:80]!r}, which must be percent-encoded")
