"""Reads what a request, a response and a record do not say in one attribute."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Set
from typing import Any, Final

from gateway_plugin_sdk import MISSING, Headers, Record, Request, Response, claim_path

_REFUSAL: Final = ".refusal"
"""End of the key under which a plugin leaves why it refused: its name, and this."""
_METHODS: Final = frozenset({"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"})
"""RFC 9110 and RFC 5789."""
_MOST_TEXTS: Final = 512
_LONGEST_TEXT: Final = 256
_TRACEPARENT_LENGTH: Final = 55
_DASH: Final = ord("-")
_TRACEPARENT: Final = re.compile(rb"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})")
_USUAL_TRACEPARENT: Final = re.compile(
    rb"00-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}"
).fullmatch  # of the version that is in use; takes half the time


def wire_text(value: str) -> str:
    """Return a field value as text: header values hold one character a byte, and those bytes are mostly UTF-8."""
    return value if value.isascii() else value.encode("latin-1", "replace").decode("utf-8", "backslashreplace")


class Texts(dict[bytes, str]):
    """Values of a field as texts, of which there are few; forgotten when they turn out not to be few."""

    def __missing__(self, raw: bytes) -> str:
        text = raw.decode("utf-8", "backslashreplace")
        if len(raw) <= _LONGEST_TEXT:
            if len(self) >= _MOST_TEXTS:
                self.clear()
            self[raw] = text
        return text


def header_list(headers: Headers, name: str) -> str | None:
    """Return every value of a field as one text."""
    value = headers.joined(name)
    return None if value is None else wire_text(value)


def make_header_list_reader(name: str) -> Callable[[Headers], str | None]:
    """Return a function that reads every value of a field as one text."""
    return lambda headers: header_list(headers, name)


def origin(target: str) -> str:
    """Return a request-target without its scheme and authority (RFC 9112 section 3.2.2)."""
    if target.startswith("/"):
        return target
    scheme, mark, rest = target.partition("://")
    if not mark or "/" in scheme or "?" in scheme:
        return target
    slash, question = rest.find("/"), rest.find("?")
    if question >= 0 and (slash < 0 or question < slash):
        return "/" + rest[question:]
    return "/" if slash < 0 else rest[slash:]


def path(target: str) -> str:
    """Return the path that the client asked for, still percent-encoded."""
    end = target.find("?")
    if end >= 0:
        target = target[:end]
    return target if target.startswith("/") else origin(target)


def trace_id(value: bytes | None) -> str | None:
    """Return the trace of a ``traceparent`` if it is valid (W3C Trace Context section 3.2)."""
    if value is None:
        return None
    found = _USUAL_TRACEPARENT(value)
    return _trace_part(value, 1) if found is None else found[1].decode("ascii")


def span_id(value: bytes | None) -> str | None:
    """Return the parent span of a ``traceparent`` if that is valid."""
    return None if value is None else _trace_part(value, 2)


def trace_flags(value: bytes | None) -> int | None:
    """Return the flags of a valid ``traceparent`` as a number; None if there is none."""
    flags = None if value is None else _trace_part(value, 3)
    return None if flags is None else int(flags, 16)


def _trace_part(value: bytes, part: int) -> str | None:
    found = _TRACEPARENT.match(value)
    if found is None:
        return None
    if len(value) > _TRACEPARENT_LENGTH and (value.startswith(b"00") or value[_TRACEPARENT_LENGTH] != _DASH):
        return None  # only later versions may have more
    return found[part].decode("ascii")


def gateway_time(record: Record) -> float:
    """Return the seconds that were not spent waiting for an upstream's head."""
    upstream = record.upstream_duration
    return record.duration if upstream is None else max(0.0, record.duration - upstream)


def attempt_details(record: Record) -> list[dict[str, Any]] | None:
    """Return each attempt; None if there was none."""
    return [
        {
            "endpoint": attempt.endpoint,
            **({"address": attempt.url.partition("://")[2]} if attempt.url else {}),
            "outcome": attempt.outcome,
            **({"status": attempt.status} if attempt.status else {}),
            **({} if attempt.grpc_status is None else {"grpc_status": attempt.grpc_status}),
            "duration_ms": round(attempt.duration * 1000, 3),
        }
        for attempt in record.attempts
    ] or None


def upstream_status(record: Record) -> int | None:
    """Return the status that the last endpoint's response; None if there was none."""
    return (record.attempts[-1].status or None) if record.attempts else None


def level(response: Response) -> str:
    """Return how bad a response is: ``info``, ``warning`` (4xx) or ``error`` (5xx)."""
    status = response.status
    return "info" if status < 400 else "warning" if status < 500 else "error"


def server_address(host: str) -> str | None:
    """Return the name or address of an authority, without its port and brackets (OpenTelemetry ``server.address``)."""
    if host.startswith("["):
        return host[1:].partition("]")[0] or None
    name, colon, port = host.rpartition(":")
    # More than one colon without brackets is no port, but an IPv6 address without brackets.
    return (name if colon and ":" not in name and (port.isdigit() or not port) else host) or None


def server_port(host: str, scheme: str) -> int | None:
    """Return the port of an authority, or that of its scheme (OpenTelemetry ``server.port``)."""
    name, colon, port = host.rpartition(":")
    if colon and (name.endswith("]") or ":" not in name) and port.isascii() and port.isdigit() and len(port) <= 5:
        number = int(port)
        return number if 0 < number < 65536 else None
    return {"http": 80, "https": 443}.get(scheme)


def otel_method(method: str) -> str:
    """Return a method as OpenTelemetry names it: ``_OTHER`` for all but the defined ones, which clients make up."""
    return method if method in _METHODS else "_OTHER"


def address(record: Record) -> str | None:
    """Return host and port of the last attempt; None if there was none."""
    return (record.attempts[-1].url.partition("://")[2] or None) if record.attempts else None


def upstream_url(request: Request, record: Record) -> str | None:
    """Return the URL of the last attempt; None if there was none."""
    url = record.attempts[-1].url if record.attempts else ""
    if not url:
        return None
    query = request.sent_query
    return f"{url}{request.sent_path}?{query}" if query else url + request.sent_path


def plugin_times(request: Request) -> dict[str, float] | None:
    """Return the milliseconds of each hook, by binding and phase; None if there was none."""
    times: dict[str, float] = {}
    for binding, phase, seconds in request.plugin_times:
        name = f"{binding}.{phase.removeprefix('gateway_')}"
        times[name] = round(times.get(name, 0.0) + seconds * 1000, 3)
    return times or None


def tls_subject(request: Request) -> str | None:
    """Return the subject of the verified client certificate, as ``commonName=a,organizationName=b``."""
    return _name(request, "subject")


def tls_issuer(request: Request) -> str | None:
    """Return the issuer of the verified client certificate, in the same form."""
    return _name(request, "issuer")


def _name(request: Request, part: str) -> str | None:
    peer = None if request.tls is None else request.tls.peer
    if not peer:
        return None
    return ",".join(f"{name}={value}" for pairs in peer.get(part, ()) for name, value in pairs) or None


def tls_serial(request: Request) -> str | None:
    """Return the serial number of the verified client certificate."""
    peer = None if request.tls is None else request.tls.peer
    serial = peer.get("serialNumber") if peer else None
    return str(serial) if serial else None


def query_value(request: Request, name: str) -> str | None:
    """Return the first value of a query parameter, decoded."""
    return next((value for key, value in request.query if key == name), None)


def make_claim_reader(path: str) -> Callable[[Request], Any]:
    """Return a function that reads a verified claim by its path, as access rules and limits do."""
    read = claim_path(path)

    def claim(request: Request) -> Any:
        found = MISSING if request.identity is None else read(request.identity.claims)
        return None if found is MISSING else plain(found)

    return claim


def plain(value: Any) -> Any:
    """Return a value with dicts for other mappings and lists for other collections, as JSON knows them."""
    if isinstance(value, Mapping):
        return {str(name): plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple | Set):
        return [plain(item) for item in value]
    return value


def refusal(request: Request) -> str | None:
    """Return what plugins left as the reason of a refusal, which clients do not see."""
    reasons = [reason for key, reason in request.state.items() if key.endswith(_REFUSAL)]
    return ", ".join(str(reason) for reason in reasons if reason) or None


def state(request: Request, key: str) -> Any:
    """Return what a plugin left in the request's state."""
    return plain(request.state.get(key))
