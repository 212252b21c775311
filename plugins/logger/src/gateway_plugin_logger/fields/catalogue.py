"""Every field that has a name of its own; the README's table is made from this one."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from gateway_plugin_logger.fields import readers
from gateway_plugin_logger.fields.times import clf, rfc3339
from gateway_plugin_logger.fields.value import Kind, Value


@dataclass(frozen=True, slots=True)
class Field:
    """A field of the catalogue."""

    name: str
    value: Value
    otel: str
    """Its name as an OpenTelemetry attribute; semantic conventions 1.36 where they have one."""
    description: str


READERS: Final[dict[str, Any]] = {
    "address": readers.address,
    "clf": clf,
    "gateway_time": readers.gateway_time,
    "texts": readers.Texts(),
    "level": readers.level,
    "path": readers.path,
    "plain": readers.plain,
    "refusal": readers.refusal,
    "times": rfc3339,
    "server_address": readers.server_address,
    "server_port": readers.server_port,
    "origin": readers.origin,
    "plugin_times": readers.plugin_times,
    "tls_issuer": readers.tls_issuer,
    "tls_serial": readers.tls_serial,
    "tls_subject": readers.tls_subject,
    "span_id": readers.span_id,
    "trace_id": readers.trace_id,
    "attempt_details": readers.attempt_details,
    "upstream_status": readers.upstream_status,
    "upstream_url": readers.upstream_url,
    "wire_text": readers.wire_text,
    "hostname": socket.gethostname(),
    "pid": os.getpid(),
}


def _field(name: str, source: str, kind: Kind, otel: str, description: str, *, optional: bool = False) -> Field:
    return Field(name, Value(source, kind, optional, READERS), otel, description)


_FIELDS: Final = (
    _field("time", "times[int(record.started_at * 1000 + 0.001)]", Kind.CLEAN, "time", "start, UTC, by RFC 3339 in ms"),
    _field("time_unix", "record.started_at", Kind.NUMBER, "time_unix", "start, seconds since 1970"),
    _field("time_clf", "clf(record.started_at)", Kind.CLEAN, "time_clf", "start as combined logs write it"),
    _field("level", "level(response)", Kind.CLEAN, "level", "`info`, `warning` for 4xx, `error` for 5xx"),
    _field("request_id", "request.request_id", Kind.WIRE, "request.id", "id of the request, as sent upstream"),
    _field(
        "trace_id",
        "trace_id(first('traceparent')) if request.trace is None else request.trace.trace_id",
        Kind.CLEAN,
        "trace_id",
        "the trace: the gateway's with `tracing`, else that of a valid `traceparent`",
        optional=True,
    ),
    _field(
        "span_id",
        "span_id(first('traceparent')) if request.trace is None else request.trace.span_id",
        Kind.CLEAN,
        "span_id",
        "the gateway's span with `tracing`, else the caller's of a valid `traceparent`",
        optional=True,
    ),
    _field("client_ip", "request.client_ip", Kind.WORD, "client.address", "the client, as trusted proxies tell it"),
    _field(
        "peer_ip",
        "request.peer_ip or None",
        Kind.WORD,
        "network.peer.address",
        "where the connection came from",
        optional=True,
    ),
    _field(
        "peer_port",
        "request.peer_port or None",
        Kind.INTEGER,
        "network.peer.port",
        "the port that it came from",
        optional=True,
    ),
    _field(
        "local_port",
        "request.local_port or None",
        Kind.INTEGER,
        "network.local.port",
        "the port that it came in at",
        optional=True,
    ),
    _field("method", "request.method", Kind.WORD, "http.request.method", "method"),
    _field("scheme", "request.scheme", Kind.WORD, "url.scheme", "`http` or `https`"),
    _field("http_version", "request.version", Kind.WORD, "network.protocol.version", "`1.0` or `1.1`"),
    _field("host", "request.host", Kind.WORD, "http.request.header.host", "authority that was asked for"),
    _field(
        "server_address",
        "server_address(request.host)",
        Kind.WORD,
        "server.address",
        "its name or address, without port and brackets",
        optional=True,
    ),
    _field(
        "server_port",
        "server_port(request.host, request.scheme)",
        Kind.INTEGER,
        "server.port",
        "its port, or that of the scheme",
        optional=True,
    ),
    _field("target", "origin(target)", Kind.WIRE, "url.target", "path and query as the client sent them"),
    _field(
        "path",
        "client_path if (client_path := request.path)[:1] == '/' else path(request.received.target)",
        Kind.WIRE,
        "url.path",
        "path as routes match it: decoded, without `;` and `//`",
    ),
    _field(
        "raw_path",
        "path(target)",
        Kind.WIRE,
        "url.path.original",
        "path as the client sent it",
    ),
    _field(
        "query",
        "target.partition('?')[2] or None",
        Kind.WIRE,
        "url.query",
        "query as the client sent it, without `?`",
        optional=True,
    ),
    _field("upstream_path", "request.sent_path", Kind.WIRE, "gateway.upstream.path", "path that goes upstream"),
    _field(
        "query_params",
        "dict(request.query) or None",
        Kind.OBJECT,
        "url.query",
        "query, decoded",
        optional=True,
    ),
    _field(
        "params",
        "dict(request.path_params) or None",
        Kind.OBJECT,
        "http.route.params",
        "parameters of the route's path",
        optional=True,
    ),
    _field("status", "response.status", Kind.CODE, "http.response.status_code", "status sent; 499: client left"),
    _field(
        "upstream_status",
        "upstream_status(record)",
        Kind.CODE,
        "gateway.upstream.status_code",
        "status of the last attempt",
        optional=True,
    ),
    _field("grpc_status", "record.grpc_status", Kind.CODE, "rpc.grpc.status_code", "code of a call", optional=True),
    _field(
        "bytes_received", "record.bytes_received", Kind.INTEGER, "http.request.body.size", "bytes of the request's body"
    ),
    _field("bytes_sent", "record.bytes_sent", Kind.INTEGER, "http.response.body.size", "bytes of the response's body"),
    _field(
        "duration_ms", "record.duration", Kind.MILLISECONDS, "gateway.duration_ms", "head received to last byte sent"
    ),
    _field(
        "upstream_duration_ms",
        "record.upstream_duration",
        Kind.MILLISECONDS,
        "gateway.upstream.duration_ms",
        "first attempt to the response's head",
        optional=True,
    ),
    _field(
        "gateway_duration_ms",
        "gateway_time(record)",
        Kind.MILLISECONDS,
        "gateway.own_duration_ms",
        "the rest: gateway and bodies",
    ),
    _field(
        "route",
        "None if request.route is None else request.route.id",
        Kind.WORD,
        "gateway.route",
        "id of the route",
        optional=True,
    ),
    _field(
        "route_pattern",
        "None if request.route is None else request.route.pattern",
        Kind.WORD,
        "http.route",
        "the route's path as configured",
        optional=True,
    ),
    _field("upstream", "record.upstream or None", Kind.WORD, "gateway.upstream", "name of the upstream", optional=True),
    _field(
        "endpoint", "record.endpoint", Kind.WORD, "gateway.endpoint", "id of the last attempt's endpoint", optional=True
    ),
    _field(
        "endpoint_address", "address(record)", Kind.WORD, "gateway.endpoint.address", "its host and port", optional=True
    ),
    _field(
        "upstream_url",
        "upstream_url(request, record)",
        Kind.TEXT,
        "gateway.upstream.url",
        "URL that was asked for last",
        optional=True,
    ),
    _field(
        "attempts", "record.attempt_count", Kind.INTEGER, "gateway.attempts", "requests to endpoints, retries included"
    ),
    _field(
        "retries",
        "record.attempt_count - 1 or None if record.failed else None",
        Kind.INTEGER,
        "http.request.resend_count",
        "attempts after the first, if any",
        optional=True,
    ),
    _field(
        "attempt_details",
        "attempt_details(record)",
        Kind.OBJECT,
        "gateway.attempt_details",
        "each attempt: endpoint, address, outcome, status, duration_ms",
        optional=True,
    ),
    _field(
        "produced_by", "record.produced_by", Kind.WORD, "gateway.produced_by", "`upstream`, `gateway` or a binding's id"
    ),
    _field("aborted", "record.aborted", Kind.WORD, "gateway.aborted", "who ended the response early", optional=True),
    _field(
        "reason",
        "record.reason",
        Kind.WORD,
        "error.type",
        "code of why there is no whole response of an upstream, such as `upstream.timeout`",
        optional=True,
    ),
    _field("error", "record.error", Kind.TEXT, "error.message", "why the gateway responded for itself", optional=True),
    _field(
        "refusal",
        "None if response.status < 400 else refusal(request)",
        Kind.TEXT,
        "gateway.refusal",
        "why a plugin refused: the reason of auth, the limits of ratelimit",
        optional=True,
    ),
    _field(
        "identity",
        "None if request.identity is None else request.identity.subject",
        Kind.WORD,
        "enduser.id",
        "who the caller is",
        optional=True,
    ),
    _field(
        "auth_scheme",
        "None if request.identity is None else request.identity.scheme or None",
        Kind.WORD,
        "gateway.auth_scheme",
        "how that is known: `jwt`, `basic`, ...",
        optional=True,
    ),
    _field(
        "user_agent",
        "None if (agent := first('User-Agent')) is None else texts[agent]",
        Kind.WORD,
        "user_agent.original",
        "`User-Agent`",
        optional=True,
    ),
    _field(
        "referer",
        "None if (referer := first('Referer')) is None else referer.decode('utf-8', 'backslashreplace')",
        Kind.WIRE,
        "http.request.header.referer",
        "`Referer`",
        optional=True,
    ),
    _field(
        "content_type",
        "None if (type_ := response.headers.get_bytes('content-type')) is None else texts[type_]",
        Kind.WORD,
        "http.response.header.content-type",
        "the response's `Content-Type`",
        optional=True,
    ),
    _field(
        "tls_subject",
        "tls_subject(request)",
        Kind.TEXT,
        "tls.client.subject",
        "subject of the client certificate",
        optional=True,
    ),
    _field("tls_serial", "tls_serial(request)", Kind.TEXT, "tls.client.serial", "its serial number", optional=True),
    _field("tls_issuer", "tls_issuer(request)", Kind.TEXT, "tls.client.issuer", "who issued it", optional=True),
    _field(
        "tls_version",
        "None if request.tls is None else request.tls.version",
        Kind.WORD,
        "tls.protocol.version",
        "`TLSv1.2` or `TLSv1.3`",
        optional=True,
    ),
    _field(
        "tls_cipher",
        "None if request.tls is None else request.tls.cipher",
        Kind.WORD,
        "tls.cipher",
        "cipher suite of the connection",
        optional=True,
    ),
    _field(
        "headers",
        "{n.lower(): wire_text(v) for n, v in request.headers.items()}",
        Kind.OBJECT,
        "http.request.headers",
        "the request's head as an object",
    ),
    _field(
        "response_headers",
        "{n.lower(): wire_text(v) for n, v in response.headers.items()}",
        Kind.OBJECT,
        "http.response.headers",
        "the response's head as an object",
    ),
    _field(
        "claims",
        "None if request.identity is None else plain(request.identity.claims) or None",
        Kind.OBJECT,
        "enduser.claims",
        "verified claims of the caller",
        optional=True,
    ),
    _field(
        "request_body",
        "request.state.get('logger.request_body')",
        Kind.TEXT,
        "http.request.body.content",
        "beginning of the request's body, see below",
        optional=True,
    ),
    _field(
        "response_body",
        "request.state.get('logger.response_body')",
        Kind.TEXT,
        "http.response.body.content",
        "beginning of the response's body, see below",
        optional=True,
    ),
    _field(
        "plugin_times",
        "plugin_times(request)",
        Kind.OBJECT,
        "gateway.plugin_times",
        "milliseconds of each hook, such as `auth.pre_proxy`",
        optional=True,
    ),
    _field(
        "config_version",
        "request.config_version or None",
        Kind.WORD,
        "gateway.config.version",
        "version of the configuration, as status pages show it",
        optional=True,
    ),
    _field("hostname", "hostname", Kind.WORD, "host.name", "name of this machine"),
    _field("pid", "pid", Kind.INTEGER, "process.pid", "process that served the request"),
)

FIELDS: Final = MappingProxyType({field.name: field for field in _FIELDS})

DEFAULT_FIELDS: Final = (
    "time", "request_id", "trace_id", "client_ip", "method", "host", "path", "query", "status", "duration_ms",
    "upstream_duration_ms", "bytes_received", "bytes_sent", "route", "upstream", "endpoint", "retries", "identity",
    "user_agent", "produced_by", "aborted", "reason", "error", "refusal",
)  # fmt: skip
"""What a JSON or logfmt line says if nobody chooses."""
