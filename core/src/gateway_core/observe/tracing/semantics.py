"""What spans show: OpenTelemetry's semantic conventions for HTTP (stable), RPC and errors, as data.

    https://opentelemetry.io/docs/specs/semconv/http/http-spans/
    https://opentelemetry.io/docs/specs/semconv/rpc/grpc/

Names of spans have few values: the method and the pattern of the route, never a path. Nothing of a request is copied
but what the conventions name; values of parameters that are mostly credentials are hidden, and texts are cut. What the
conventions have no name for begins with ``gateway.``.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from ipaddress import ip_address
from typing import Final, NamedTuple

from gateway_core.messages.field_search import first_value
from gateway_core.messages.grpc_status import GrpcCode
from gateway_core.messages.secret_queries import SECRET_PARAMETERS, make_query_mask
from gateway_core.observe.tracing.propagation import Remote, read_remote
from gateway_core.observe.tracing.spans import AttemptSpan, HookFacts, RawSpan, ServerFacts, SpanBatch, WaitFacts

Value = str | int | bool | Sequence[str]

INTERNAL, SERVER, CLIENT = 1, 2, 3
"""Kinds of spans, as OTLP numbers them."""
OTHER: Final = "_OTHER"
"""What methods are called that are not known."""
KNOWN_METHODS: Final = frozenset(
    {"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE"}
)
"""RFC 9110, RFC 5789 and the QUERY method: those that are known unless a variable names others."""
_LONGEST: Final = 1024
"""Characters of a text that is a client's."""
_SERVER_ERRORS: Final = frozenset({
    GrpcCode.UNKNOWN, GrpcCode.DEADLINE_EXCEEDED, GrpcCode.UNIMPLEMENTED, GrpcCode.INTERNAL, GrpcCode.UNAVAILABLE,
    GrpcCode.DATA_LOSS,
})  # fmt: skip
"""Codes of gRPC that are errors of a server."""
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_mask_query: Final = make_query_mask(SECRET_PARAMETERS)


class Span(NamedTuple):
    """A span as it is exported."""

    trace_id: str
    span_id: str
    parent_id: str
    state: str
    flags: int
    name: str
    kind: int
    started: int
    ended: int
    """Nanoseconds since the Unix epoch."""
    attributes: Sequence[tuple[str, Value]]
    error: str | None
    """What failed; None if nothing did. Empty says only that something did."""
    link: Remote | None = None
    events: Sequence[tuple[str, int]] = ()
    """What happened in between: names, and nanoseconds since the Unix epoch."""


def spans_of(
    batch: SpanBatch, offset: float, known_methods: Container[str] = KNOWN_METHODS, longest: int | None = None
) -> list[Span]:
    """Return the spans of a batch.

    :param offset: what makes monotonic seconds seconds since the Unix epoch.
    :param known_methods: all others are `OTHER`, which keeps names of spans few.
    :param longest: characters of a text; None for `_LONGEST` where a client chose it.
    """
    made, trace_id = [], batch.trace_id.decode()
    first = batch.spans[0]
    is_grpc = isinstance(first, RawSpan) and isinstance(first.facts, ServerFacts) and first.facts.is_grpc
    for index, raw in enumerate(batch.spans):
        name, kind, attributes, error = _described(raw, known_methods, is_grpc=is_grpc)
        link = read_remote(batch.caller, batch.formats) if index == 0 else None
        if index == 0 and batch.lost:
            attributes.append(("gateway.spans_dropped", batch.lost))
        if longest is not None:
            attributes = [(key, value[:longest] if isinstance(value, str) else value) for key, value in attributes]
        # Bits 8 and 9: it is known whether the parent is remote, and it is (OTLP's SpanFlags).
        is_remote = index == 0 and batch.is_remote
        flags = batch.flags | 0x100 | (0x200 if is_remote else 0)
        started, ended = _nanoseconds(offset + raw.started), _nanoseconds(offset + raw.ended)
        moments = _moments(raw) if isinstance(raw, AttemptSpan) else [("gateway.request_body", batch.received_at)]
        events = [(word, max(started, _nanoseconds(offset + at))) for word, at in moments if at and at <= raw.ended]
        made.append(
            Span(
                trace_id, raw.span_id.decode(), raw.parent_id.decode(), batch.state, flags, name, kind, started,
                max(started, ended), attributes, error, link, events if index == 0 or kind == CLIENT else (),
            )
        )  # fmt: skip
    return made


def _moments(facts: AttemptSpan) -> list[tuple[str, float]]:
    """Return what parts the time of an attempt: making the connection, waiting for the response, receiving it."""
    return [("gateway.connected", facts.connected_at), ("gateway.response_head", facts.responded_at)]


def _nanoseconds(seconds: float) -> int:
    return int(seconds * 1_000_000) * 1000


Described = tuple[str, int, list[tuple[str, Value]], str | None]


def _described(raw: RawSpan | AttemptSpan, known_methods: Container[str], *, is_grpc: bool) -> Described:
    if isinstance(raw, AttemptSpan):
        return _client(raw, known_methods, is_grpc=is_grpc if raw.is_grpc is None else raw.is_grpc)
    if isinstance(raw.facts, ServerFacts):
        return _server(raw.facts, known_methods)
    return _hook(raw.facts) if isinstance(raw.facts, HookFacts) else _wait(raw.facts)


def failed(status: int, aborted: str | None, grpc_status: int | None, *, is_grpc: bool) -> bool:
    """Return whether a request of a client counts as failed: a status of the server's, or no complete response.

    :param aborted: who ended it before its end; that a client has left is no failure.
    """
    if is_grpc and grpc_status is not None:
        return grpc_status in _SERVER_ERRORS
    return status >= 500 or aborted in {"gateway", "upstream"}


def _server(facts: ServerFacts, known_methods: Container[str]) -> Described:
    route = facts.route
    pattern = route.pattern or None if route is not None else None
    word, attributes = _method(facts.method, known_methods)
    attributes += [("url.scheme", facts.scheme), ("url.path", cut(facts.path))]
    if facts.query:
        attributes.append(("url.query", cut(_mask_query(facts.query))))
    if pattern is not None:
        attributes.append(("http.route", pattern))
    if facts.status:
        attributes.append(("http.response.status_code", facts.status))
    attributes += _address(facts.host, facts.scheme)
    attributes.append(("client.address", facts.client_ip or "unknown"))
    if facts.peer_ip:
        attributes.append(("network.peer.address", facts.peer_ip))
    attributes += [("network.protocol.name", "http"), ("network.protocol.version", facts.version)]
    if (agent := first_value(facts.block, "User-Agent")) is not None:
        attributes.append(("user_agent.original", cut(agent.decode("latin-1"))))
    attributes += [("http.request.body.size", facts.received), ("http.response.body.size", facts.sent)]
    request_id = facts.id_line.strip().partition(b": ")[2].decode("latin-1")
    attributes.append(("gateway.request_id", request_id))
    if route is not None:
        attributes.append(("gateway.route", route.id))
    attributes.append(("gateway.produced_by", facts.produced_by))
    if facts.reason is not None:
        attributes.append(("gateway.reason", facts.reason))
    name = word if pattern is None else f"{word} {pattern}"
    is_error = failed(facts.status, facts.aborted, facts.grpc_status, is_grpc=facts.is_grpc)
    if facts.is_grpc:
        # A method is known only if something has responded to it: otherwise a client chooses the names of spans.
        is_known = pattern is not None and facts.grpc_status not in {None, GrpcCode.UNIMPLEMENTED}
        name = _call(facts.path, facts.grpc_status, attributes, is_known=is_known) or name
    if not is_error:
        return name, SERVER, attributes, None
    code = _code_name(facts.grpc_status) if facts.is_grpc else None
    attributes.append(("error.type", code or facts.reason or str(facts.status)))
    return name, SERVER, attributes, facts.reason or ""


def _client(facts: AttemptSpan, known_methods: Container[str], *, is_grpc: bool) -> Described:
    endpoint = facts.endpoint
    sent_method, _, rest = facts.line.decode("latin-1").partition(" ")
    target = rest.partition(" ")[0]
    path, mark, query = target.partition("?")
    name, attributes = _method(sent_method, known_methods)
    url = f"{endpoint.scheme}://{endpoint.authority.decode()}{path}{mark}{_mask_query(query)}"
    attributes.append(("url.full", cut(url)))
    attributes += _endpoint_attributes(facts)
    if facts.version:
        attributes += [("network.protocol.name", "http"), ("network.protocol.version", facts.version)]
    attributes.append(("gateway.upstream", facts.upstream))
    if facts.purpose:
        attributes.append(("gateway.purpose", facts.purpose))
    if facts.status:
        attributes.append(("http.response.status_code", facts.status))
    if facts.resend:
        attributes.append(("http.request.resend_count", facts.resend))
    error, kind = None, None
    if facts.reason is not None:
        kind = error = facts.reason
    elif facts.status >= 400:
        kind, error = str(facts.status), ""
    if is_grpc:
        name = _call(path, facts.grpc_status, attributes, is_known=facts.grpc_status is not None) or name
        if kind is None and facts.grpc_status:
            kind, error = _code_name(facts.grpc_status), ""
    if kind is not None:
        attributes.append(("error.type", kind))
    return name, CLIENT, attributes, error


def _endpoint_attributes(facts: AttemptSpan) -> list[tuple[str, Value]]:
    """Return where an attempt went, and the address that responded."""
    endpoint, peer = facts.endpoint, facts.peer
    if endpoint.path:
        return [("server.address", endpoint.path), ("network.transport", "unix")]
    found: list[tuple[str, Value]] = [("server.address", endpoint.host), ("server.port", endpoint.port)]
    if isinstance(peer, tuple):
        found += [("network.peer.address", peer[0]), ("network.peer.port", peer[1])]
    elif _is_address(endpoint.host):
        found += [("network.peer.address", endpoint.host), ("network.peer.port", endpoint.port)]
    return found


def _method(method: str, known_methods: Container[str]) -> tuple[str, list[tuple[str, Value]]]:
    """Return what names of spans begin with, and the attributes of a method."""
    if method in known_methods:
        return method, [("http.request.method", method)]
    return "HTTP", [("http.request.method", OTHER), ("http.request.method_original", cut(method))]


def _hook(facts: HookFacts) -> Described:
    attributes: list[tuple[str, Value]] = [
        ("gateway.plugin", facts.plugin), ("gateway.binding", facts.binding), ("gateway.phase", facts.phase),
    ]  # fmt: skip
    if facts.error is not None:
        attributes.append(("error.type", facts.error))
    name = f"{facts.binding} {facts.phase.removeprefix('gateway_')}"
    return name, INTERNAL, attributes, facts.error


def _wait(facts: WaitFacts) -> Described:
    return f"queue {facts.upstream}", INTERNAL, [("gateway.upstream", facts.upstream)], None


def _call(path: str, code: int | None, attributes: list[tuple[str, Value]], *, is_known: bool) -> str:
    """Add what is known of a call of gRPC; return its name, empty if that is not known."""
    method = path.lstrip("/")
    attributes.append(("rpc.system.name", "grpc"))
    attributes.append(("rpc.method", cut(method) if is_known else OTHER))
    if not is_known:
        attributes.append(("rpc.method_original", cut(method)))
    if (name := _code_name(code)) is not None:
        attributes.append(("rpc.response.status_code", name))
    return cut(method) if is_known else ""


def _code_name(code: int | None) -> str | None:
    if code is None:
        return None
    try:
        return GrpcCode(code).name
    except ValueError:
        return str(code)


def _address(host: str, scheme: str) -> list[tuple[str, Value]]:
    """Return host and port of the server as the client asked for it."""
    name, port = host, ""
    if host.startswith("["):
        name, _, rest = host[1:].partition("]")
        port = rest.removeprefix(":")
    elif ":" in host:
        name, _, port = host.rpartition(":")
    if not name:
        return []
    number = int(port) if port.isascii() and port.isdigit() and len(port) < 6 else _DEFAULT_PORTS.get(scheme, 80)
    return [("server.address", cut(name)), ("server.port", number)]


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def cut(text: str) -> str:
    """Return a text that a client chose in a length that every backend takes."""
    return text if len(text) <= _LONGEST else text[:_LONGEST]
