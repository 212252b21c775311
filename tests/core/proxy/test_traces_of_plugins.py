"""Plugins within the trace of a request: spans of their hooks, their own spans, and what they send."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from gateway_core.hooks import Plugin
from gateway_core.hookspecs import hookimpl
from gateway_core.messages import Request, Response
from gateway_core.testing import RunningGateway, ScriptedUpstream
from gateway_plugin_sdk.testing import StartGateway
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult

from tests.collector import Collector, SeenSpan


class Kept(SpanExporter):
    """Keeps the spans of an SDK."""

    def __init__(self) -> None:
        self.spans: list[ReadableSpan] = []

    def export(self, spans: Any) -> SpanExportResult:
        self.spans += spans
        return SpanExportResult.SUCCESS


KEPT = Kept()
PROVIDER = TracerProvider()
PROVIDER.add_span_processor(SimpleSpanProcessor(KEPT))


class Asking(Plugin[Any]):
    """Asks another service within a span of its own."""

    name = "asking"

    @hookimpl
    async def gateway_pre_proxy(self, request: Request) -> None:
        with PROVIDER.get_tracer("asking").start_as_current_span("ask"):
            async with self.upstreams.fetch("other", path="/asked") as response:
                await response.read(100)


class Gathering(Plugin[Any]):
    """Asks another service twice at a time, without a span of its own."""

    name = "gathering"

    @hookimpl
    async def gateway_pre_proxy(self, request: Request) -> None:
        await asyncio.gather(self._ask(), self._ask())

    async def _ask(self) -> None:
        async with self.upstreams.fetch("other", path="/asked") as response:
            await response.read(100)


class Forwarding(Plugin[Any]):
    """Forwards each request itself."""

    name = "forwarding"

    @hookimpl
    async def gateway_pre_proxy(self, request: Request) -> Response:
        return await request.forward()


class Failing(Plugin[Any]):
    """Raises."""

    name = "failing"

    @hookimpl
    def gateway_pre_proxy(self, request: Request) -> None:
        raise ValueError("of this plugin")


class Writing(Plugin[Any]):
    """Changes fields of requests as the query says, the trace's among them."""

    name = "writing"

    @hookimpl
    def gateway_pre_proxy(self, request: Request) -> None:
        for name in ("traceparent", "baggage", "b3", "x-own"):
            if name in request.query_string:
                request.headers[name] = f"00-{'a' * 32}-{'b' * 16}-01" if name == "traceparent" else "k=1"
        if "replace" in request.query_string:
            request.headers["User-Agent"] = "changed"


class Kit:
    def __init__(self, start: StartGateway, upstream: ScriptedUpstream) -> None:
        self._start, self.upstream = start, upstream
        self.collector, self.other = Collector(), ScriptedUpstream()
        self.collector.start()
        self.gateway: RunningGateway | None = None
        KEPT.spans.clear()

    def start(
        self, plugin: type[Plugin[Any]], tracing: str = "sample: 1.0", binding: str = "", route: str = ""
    ) -> RunningGateway:
        self.gateway = self._start(
            f"""
tracing: {{otlp: {{url: "{self.collector.url}"}}, queue: {{delay: 10ms}}, {tracing}}}
upstreams: [{{name: other, endpoints: [{{url: "{self.other.url}"}}]}}]
routes:
  - {{id: all, path_prefix: /, target: "{self.upstream.url}", plugins: [{{name: {plugin.name}{binding}}}]{route}}}
""",
            plugins=[plugin],
        )
        return self.gateway

    def by_kind(self, count: int, kind: str) -> list[SeenSpan]:
        return [each for each in self.collector.wait_for(count) if each.kind == kind]

    def close(self) -> None:
        if self.gateway is not None:
            self.gateway.close()  # before what it sends to
        for each in (self.other, self.collector):
            each.close()


@pytest.fixture
def kit(gateway: StartGateway, upstream: ScriptedUpstream) -> Iterator[Kit]:
    found = Kit(gateway, upstream)
    yield found
    found.close()


def test_a_span_of_a_plugin_is_a_child_and_the_parent_of_what_it_fetches(kit: Kit) -> None:
    kit.start(Asking).get("/")
    (server,) = kit.by_kind(3, "server")
    clients = kit.by_kind(3, "client")

    (own,) = KEPT.spans
    assert own.parent is not None
    assert (f"{own.parent.trace_id:032x}", f"{own.parent.span_id:016x}") == (server.trace_id, server.span_id)
    fetch = next(each for each in clients if "/asked" in each.attributes["url.full"])
    own_id = f"{own.get_span_context().span_id:016x}"  # type: ignore[union-attr]  # the SDK's own spans have one
    assert fetch.parent_id == own_id
    assert fetch.attributes["gateway.purpose"] == "fetch"
    assert kit.other.requests[0].headers["traceparent"] == f"00-{server.trace_id}-{fetch.span_id}-01"
    assert next(each for each in clients if each is not fetch).parent_id == server.span_id


def test_a_span_of_a_plugin_is_not_sampled_where_the_request_is_not(kit: Kit) -> None:
    kit.start(Asking, "sample: 0").get("/")

    assert KEPT.spans == []
    assert kit.other.requests[0].headers["traceparent"].endswith("-00")
    assert not trace.get_current_span().get_span_context().is_valid


def test_a_request_that_a_plugin_forwards_has_its_client_span(kit: Kit) -> None:
    kit.start(Forwarding).get("/")
    (server,), (client,) = kit.by_kind(2, "server"), kit.by_kind(2, "client")

    assert client.parent_id == server.span_id
    assert kit.upstream.requests[0].headers["traceparent"] == f"00-{server.trace_id}-{client.span_id}-01"


def test_each_hook_has_a_span_at_the_detail_of_hooks(kit: Kit) -> None:
    kit.start(Failing, "detail: hooks", ", on_error: continue").get("/")
    (server,), (hook,) = kit.by_kind(3, "server"), kit.by_kind(3, "internal")

    assert (hook.name, hook.parent_id, hook.is_error) == ("failing pre_proxy", server.span_id, True)
    assert hook.attributes == {
        "gateway.plugin": "failing",
        "gateway.binding": "failing",
        "gateway.phase": "gateway_pre_proxy",
        "error.type": "ValueError",
    }


def test_what_a_hook_fetches_is_below_its_span_where_it_has_one(kit: Kit) -> None:
    kit.start(Gathering, "detail: hooks").get("/")
    (server,), (hook,) = kit.by_kind(5, "server"), kit.by_kind(5, "internal")

    parents = {each.attributes.get("gateway.purpose", ""): each.parent_id for each in kit.by_kind(5, "client")}
    assert parents == {"fetch": hook.span_id, "": server.span_id}


def test_what_a_hook_fetches_is_below_the_request_where_hooks_have_no_spans(kit: Kit) -> None:
    kit.start(Gathering).get("/")
    (server,) = kit.by_kind(4, "server")

    assert {each.parent_id for each in kit.by_kind(4, "client")} == {server.span_id}


def test_the_log_of_the_gateway_names_the_trace_of_a_failure(kit: Kit) -> None:
    gateway = kit.start(Failing)

    gateway.get("/")
    (server,) = kit.by_kind(1, "server")

    fields = [
        getattr(record, "fields", {}) for record in gateway.logs if getattr(record, "event", "") == "plugin.failed"
    ]
    assert [each["trace_id"] for each in fields] == [server.trace_id]


@pytest.mark.parametrize(
    "query", ["", "x-own", "traceparent", "traceparent+b3+x-own", "replace", "replace+traceparent"]
)
@pytest.mark.parametrize("option", ["", ", rewrite: {prefix: /b}", ", preserve_host: true"])
@pytest.mark.parametrize("came", [[], ["traceparent"], ["Traceparent", "tracestate", "b3", "baggage"]])
@pytest.mark.parametrize("sample", [0, 1])
def test_exactly_the_fields_of_its_own_trace_go_upstream_whatever_hooks_and_clients_wrote(
    kit: Kit, query: str, option: str, came: list[str], sample: int
) -> None:
    gateway = kit.start(Writing, f"sample: {sample}, propagate: [w3c, b3]", route=option)
    fields = [(name, f"00-{'c' * 32}-{'d' * 16}-01" if "parent" in name else "v=2") for name in came]

    for _ in range(3):  # the third time the head is known
        assert gateway.get(f"/a?{query}", headers=[("User-Agent", "own"), *fields]).status == 200

    for sent in kit.upstream.requests:
        (parent,), (b3,) = sent.headers.get_all("traceparent"), sent.headers.get_all("b3")
        version, trace_id, span_id, flags = parent.split("-")
        assert (version, flags) == ("00", f"0{sample}")
        assert trace_id not in {"a" * 32, "c" * 32}
        assert b3 == f"{trace_id}-{span_id}-{sample}"
        assert "tracestate" not in sent.headers
        assert "baggage" not in sent.headers
        assert ("x-own" in sent.headers) == ("x-own" in query)
        assert sent.headers["User-Agent"] == ("changed" if "replace" in query else "own")
    assert len({sent.headers["traceparent"].split("-")[1] for sent in kit.upstream.requests}) == 3


@pytest.mark.parametrize("came", [True, False])
def test_baggage_that_a_hook_writes_goes_on_where_its_client_sent_none(kit: Kit, came: bool) -> None:
    kit.start(Writing).get("/?baggage", headers=[("baggage", "v=2")] if came else [])

    assert kit.upstream.requests[0].headers.get_all("baggage") == ([] if came else ["k=1"])
