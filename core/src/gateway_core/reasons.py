"""Why a response is not an upstream's, or did not reach its end: one vocabulary of stable codes.

`Record.reason`, `Response.failure` and `UpstreamError.reason` use it. Codes are for programs, such as filters of logs
and metrics; ``record.error`` is the text for people. docs/reasons.md is made from this table. A plugin may bring codes
of its own by ``request.abort(reason)``; they look like these (`REASON`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

REASON: Final = re.compile(r"[a-z][a-z0-9_.-]+")
"""What a code looks like, as a whole."""

_table: dict[str, tuple[str, str]] = {}


def _reason(code: str, status: str, text: str) -> str:
    _table[code] = (status, text)
    return code


NO_ROUTE: Final = _reason("no-route", "404", "no route matches the request")
METHOD_NOT_ALLOWED: Final = _reason("method-not-allowed", "405", "routes match the request, but for its method")
MISDIRECTED: Final = _reason("misdirected", "421", "the host belongs to a listener with other client authentication")
PATH_REFUSED: Final = _reason("path-refused", "400", "`path_policy` or a plugin does not allow the path")
BAD_REQUEST: Final = _reason("bad-request", "400", "the request's head is not HTTP that has one meaning")
VERSION_UNSUPPORTED: Final = _reason("version-unsupported", "505", "a version of HTTP that the listener does not speak")
METHOD_UNSUPPORTED: Final = _reason("method-unsupported", "501", "a method, transfer coding or protocol not forwarded")
PROTOCOL_NOT_CHANGED: Final = _reason(
    "protocol-not-changed", "501", "a client of HTTP/2 asks for another protocol, and a plugin or `respond` has a 2xx"
)
EXPECTATION_FAILED: Final = _reason("expectation-failed", "417", "an expectation other than `100-continue`")
HEAD_TOO_LARGE: Final = _reason("head-too-large", "431", "the head is over `max_head_bytes` or `max_headers`")
TARGET_TOO_LONG: Final = _reason("target-too-long", "414", "the path is longer than a pattern may be matched with")
TEXT_TOO_LONG: Final = _reason(
    "text-too-long", "400, 431, 502", "a query parameter or field is longer than a pattern may be matched with"
)
HEAD_TIMEOUT: Final = _reason("head-timeout", "408", "the head was not complete within `header_timeout`")
BODY_TOO_LARGE: Final = _reason("body-too-large", "413", "the request's body is over its limit")
BODY_TOO_SLOW: Final = _reason("body-too-slow", "408", "the request's body stalled, or came below `limits.min_rate`")
BAD_BODY: Final = _reason(
    "bad-body", "400, 415, 422", "the request's body is not what its head says: its framing, its compression"
)
CLIENT_LEFT: Final = _reason("client-left", "499", "the client closed the connection or stream before the end")
CLIENT_TOO_SLOW: Final = _reason(
    "client-too-slow", "", "the client did not take the response within `write_timeout`, or below `min_rate`"
)
REQUEST_TIMEOUT: Final = _reason("request-timeout", "504", "the request took longer than `timeouts.total`")
LOOP_DETECTED: Final = _reason("loop-detected", "508", "the request has passed this gateway before")
SHUTTING_DOWN: Final = _reason("shutting-down", "503", "the gateway is being stopped and has waited long enough")
LIMIT_REQUESTS: Final = _reason("limits.max-requests", "503", "`limits.max_requests` is reached")
LIMIT_CONNECTIONS: Final = _reason("limits.max-connections", "503", "`limits.max_connections` is reached")
LIMIT_STREAMS: Final = _reason("limits.max-streams", "", "a client of HTTP/2 has begun more than `limits.max_streams`")
HTTP2_MISUSE: Final = _reason("http2-misuse", "", "a connection of HTTP/2 ended: too many resets, or idle frames")
INTERNAL: Final = _reason("internal", "500", "the gateway itself failed; its log has the traceback")

CONNECT_FAILURE: Final = _reason("upstream.connect-failure", "502", "no connection: refused, unreachable, TLS")
CONNECT_TIMEOUT: Final = _reason("upstream.connect-timeout", "504", "no connection within `timeouts.connect`")
RESET: Final = _reason("upstream.reset", "502", "the connection ended before the response began")
TIMEOUT: Final = _reason("upstream.timeout", "504", "no response, or no more of it, within `timeouts.response`")
BAD_RESPONSE: Final = _reason("upstream.bad-response", "502", "the response is not HTTP that has one meaning")
TRUNCATED: Final = _reason("upstream.truncated", "502", "the connection ended within the response")
UNAVAILABLE: Final = _reason("upstream.unavailable", "503", "every endpoint is unhealthy, ejected or draining")
OVERLOADED: Final = _reason("upstream.overloaded", "503", "no connection became free in time, or the queue is full")
UNKNOWN_UPSTREAM: Final = _reason("upstream.unknown", "500, 503", "a plugin named an upstream that is not configured")
NO_CREDENTIALS: Final = _reason("upstream.no-credentials", "503", "a plugin has no credentials for the upstream now")
LOCAL_ERROR: Final = _reason("upstream.local-error", "503", "this process has no descriptor, port or memory left")

PLUGIN_FAILED: Final = _reason("plugin.failed", "500", "a hook or a body filter raised, or returned what it may not")
PLUGIN_TIMEOUT: Final = _reason("plugin.timeout", "500", "a hook took longer than its binding's `timeout`")
PLUGIN_QUARANTINED: Final = _reason("plugin.quarantined", "500", "the binding of a hook is in quarantine")
PLUGIN_ABORTED: Final = _reason("plugin.aborted", "", "a plugin ended the request without a reason of its own")
PLUGIN_RESPONSE: Final = _reason("plugin.response", "", "a plugin responded in place of the upstream")

REASONS: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(_table)
"""By code: the status of the gateway's response (empty if there is none or any), and what happened."""
