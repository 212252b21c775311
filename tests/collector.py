"""A collector on a real socket: reads what arrives with the classes that OpenTelemetry generates."""

from __future__ import annotations

import base64
import gzip
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from gateway_core.testing import eventually
from gateway_core.testing.loop_thread import LoopThread
from google.protobuf.json_format import Parse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

Reply = Callable[[], web.Response]


def read_request(content_type: str, body: bytes) -> ExportTraceServiceRequest:
    """Read a request; unknown fields and values of a wrong type are errors."""
    if content_type == "application/x-protobuf":
        found = ExportTraceServiceRequest.FromString(body)
        kept = found.SerializeToString(deterministic=True)
        found.DiscardUnknownFields()
        assert found.SerializeToString(deterministic=True) == kept
        return found
    assert content_type == "application/json"
    document = json.loads(body)
    for resource in document["resourceSpans"]:
        for scope in resource["scopeSpans"]:
            for span in scope["spans"]:
                _to_base64(span)
                for link in span.get("links", ()):
                    _to_base64(link)
    return Parse(json.dumps(document), ExportTraceServiceRequest())


def _to_base64(item: dict[str, Any]) -> None:
    # OTLP's JSON has ids in hexadecimal (specification, "JSON Protobuf Encoding"); the library expects base64 there.
    for name in ("traceId", "spanId", "parentSpanId"):
        if name in item:
            item[name] = base64.b64encode(bytes.fromhex(item[name])).decode()


def plain(value: AnyValue) -> Any:
    """Return what a value holds."""
    kind = value.WhichOneof("value")
    return [plain(item) for item in value.array_value.values] if kind == "array_value" else getattr(value, str(kind))


@dataclass(frozen=True)
class SeenSpan:
    """One span as the collector has it."""

    name: str
    kind: str
    trace_id: str
    span_id: str
    parent_id: str
    state: str
    flags: int
    started: int
    ended: int
    attributes: Mapping[str, Any]
    is_error: bool
    message: str
    links: tuple[tuple[str, str], ...]
    events: Mapping[str, int]
    """Moments by name."""
    resource: Mapping[str, Any]


def spans_in(request: ExportTraceServiceRequest) -> Iterator[SeenSpan]:
    """Yield the spans of a request."""
    for part in request.resource_spans:
        resource = {each.key: plain(each.value) for each in part.resource.attributes}
        for scope in part.scope_spans:
            for span in scope.spans:
                yield SeenSpan(
                    span.name,
                    Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_").lower(),
                    span.trace_id.hex(),
                    span.span_id.hex(),
                    span.parent_span_id.hex(),
                    span.trace_state,
                    span.flags,
                    span.start_time_unix_nano,
                    span.end_time_unix_nano,
                    {each.key: plain(each.value) for each in span.attributes},
                    span.status.code == Status.STATUS_CODE_ERROR,
                    span.status.message,
                    tuple((link.trace_id.hex(), link.span_id.hex()) for link in span.links),
                    {each.name: each.time_unix_nano for each in span.events},
                    resource,
                )


@dataclass
class Collector:
    """Takes spans at ``/v1/traces``, or responds as a test has set."""

    replies: list[Reply] = field(default_factory=list)
    """What the next requests get, in order; the spans of such a request do not count as taken. Then 200."""
    requests: list[tuple[Mapping[str, str], bytes]] = field(default_factory=list)
    """Fields and body of each request, those that got another reply included."""
    port: int = 0
    _spans: list[SeenSpan] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _thread: LoopThread | None = None
    _runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Listen, at the same port as before if there was one."""
        self._thread = self._thread or LoopThread("collector")
        self._thread.run(self._listen())

    async def _listen(self) -> None:
        app = web.Application(client_max_size=64 << 20)
        app.router.add_post("/v1/traces", self._take)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True).start()
        self.port = self._runner.addresses[0][1]

    async def _take(self, request: web.Request) -> web.Response:
        # aiohttp's server decompresses bodies by itself.
        body = await request.read()
        with self._lock:
            self.requests.append((dict(request.headers), body))
            reply = self.replies.pop(0) if self.replies else None
        if reply is not None:
            return reply()
        found = list(spans_in(read_request(request.content_type, body)))
        with self._lock:
            self._spans += found
        return web.Response(content_type=request.content_type)

    def stop(self) -> None:
        """Close the socket and every connection."""
        if self._thread is not None and self._runner is not None:
            self._thread.run(self._runner.cleanup())
            self._runner = None

    def close(self) -> None:
        self.stop()
        if self._thread is not None:
            self._thread.close()

    @property
    def spans(self) -> list[SeenSpan]:
        """What was taken."""
        with self._lock:
            return list(self._spans)

    def clear(self) -> None:
        with self._lock:
            self._spans.clear()

    def wait_for(self, count: int) -> list[SeenSpan]:
        """Return the spans once there are so many."""
        eventually(lambda: len(self.spans) >= count)
        return self.spans

    def servers(self) -> list[SeenSpan]:
        return [each for each in self.spans if each.kind == "server"]


def unpacked(body: bytes) -> bytes:
    """Return a body, decompressed if it is compressed."""
    return gzip.decompress(body) if body.startswith(b"\x1f\x8b") else body
