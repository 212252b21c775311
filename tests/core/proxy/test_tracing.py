"""What a collector sees of requests through a real gateway, in whatever way they end."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from gateway_core.testing import RunningGateway, ScriptedUpstream, eventually
from gateway_plugin_sdk.testing import StartGateway

from tests.collector import Collector, SeenSpan
from tests.protocols.choice import Protocols

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PARENT = f"00-{TRACE}-{SPAN}-01"
TRUSTED = "trusted_proxies: [127.0.0.0/8]"


class Traced:
    """A gateway, its upstream and its collector."""

    def __init__(self, start: StartGateway, upstream: ScriptedUpstream) -> None:
        self._start, self.upstream, self.collector = start, upstream, Collector()
        self.collector.start()
        self.gateway: RunningGateway = None  # type: ignore[assignment]

    def config(self, tracing: str = "", routes: str = "", more: str = "") -> str:
        return f"""
tracing: {{otlp: {{url: "{self.collector.url}"}}, queue: {{delay: 10ms}}{tracing and ", " + tracing}}}
admin: {{listen: "127.0.0.1:0"}}
{more}
routes:
  - {{id: users, path: "/users/:id", target: "{self.upstream.url}"{routes and ", " + routes}}}
  - {{id: down, path: /down, target: "http://127.0.0.1:1"}}
"""

    def start(self, tracing: str = "", routes: str = "", more: str = "", **options: Any) -> RunningGateway:
        self.gateway = self._start(self.config(tracing, routes, more), **options)
        return self.gateway

    def spans(self, count: int) -> list[SeenSpan]:
        """Return so many spans, those of servers first."""
        found = self.collector.wait_for(count)
        return sorted(found, key=lambda each: each.kind != "server")

    def sent(self) -> Any:
        return self.upstream.requests[-1].headers

    def close(self) -> None:
        if self.gateway is not None:
            self.gateway.close()  # before what it sends to
        self.collector.close()


@pytest.fixture
def traced(gateway: StartGateway, upstream: ScriptedUpstream) -> Iterator[Traced]:
    found = Traced(gateway, upstream)
    yield found
    found.close()


def test_a_request_has_a_server_span_and_a_client_span_below_it(traced: Traced, protocols: Protocols) -> None:
    traced.start()

    traced.gateway.get("/users/7?page=2&token=hunter2", headers=[("User-Agent", "curl/8")])
    server, client = traced.spans(2)

    assert (server.name, server.kind, server.parent_id, server.is_error) == ("GET /users/:id", "server", "", False)
    assert (
        server.attributes.items()
        >= {
            "http.request.method": "GET",
            "http.route": "/users/:id",
            "url.path": "/users/7",
            "url.query": "page=2&token=REDACTED",
            "url.scheme": "http",
            "http.response.status_code": 200,
            "server.address": "127.0.0.1",
            "server.port": traced.gateway.port,
            "client.address": "127.0.0.1",
            "network.protocol.version": protocols.version,
            "user_agent.original": "curl/8",
            "gateway.route": "users",
        }.items()
    )
    assert (client.name, client.kind, client.parent_id) == ("GET", "client", server.span_id)
    assert client.attributes["url.full"] == f"{traced.upstream.url}/users/7?page=2&token=REDACTED"
    assert client.trace_id == server.trace_id
    assert traced.sent()["traceparent"] == f"00-{server.trace_id}-{client.span_id}-01"
    assert server.started <= client.started


def test_names_of_attributes_are_those_of_the_conventions(traced: Traced) -> None:
    from opentelemetry.semconv import attributes as stable

    names = _names(stable) | {"rpc.system.name", "rpc.method", "rpc.response.status_code"}
    names |= {"http.request.body.size", "http.response.body.size"}  # in development, as the package has it
    traced.start()
    traced.gateway.get("/users/7?a=b", headers=[("User-Agent", "a")])
    traced.gateway.request("BREW", "/users/7")
    traced.gateway.get("/down")

    for span in traced.spans(6):
        assert {name for name in span.attributes if not name.startswith("gateway.")} <= names


def _names(package: Any) -> set[str]:
    import importlib
    import pkgutil

    modules = [
        importlib.import_module(f"{package.__name__}.{each.name}") for each in pkgutil.iter_modules(package.__path__)
    ]
    return {value for each in modules for value in vars(each).values() if isinstance(value, str)}


def test_a_trusted_callers_trace_goes_on(traced: Traced) -> None:
    traced.start(more=TRUSTED)

    traced.gateway.get("/users/7", headers=[("traceparent", PARENT), ("tracestate", "a=1"), ("baggage", "k=v")])
    server, client = traced.spans(2)

    assert (server.trace_id, server.parent_id, server.state, server.links) == (TRACE, SPAN, "a=1", ())
    assert server.flags & 0x300 == 0x300
    sent = traced.sent()
    assert sent.get_all("traceparent") == [f"00-{TRACE}-{client.span_id}-01"]
    assert (sent["tracestate"], sent["baggage"]) == ("a=1", "k=v")


def test_an_untrusted_callers_trace_is_linked_and_decides_nothing(traced: Traced) -> None:
    traced.start("sample: 0")
    given = [("traceparent", PARENT), ("tracestate", "a=1"), ("baggage", "k=v"), ("b3", f"{TRACE}-{SPAN}-d")]

    traced.gateway.get("/users/7", headers=given)

    sent = traced.sent()
    version, trace_id, _, flags = sent["traceparent"].split("-")
    assert (version, flags) == ("00", "00")
    assert trace_id != TRACE
    assert not {"tracestate", "baggage", "b3"} & {name.lower() for name, _ in sent.items()}


def test_an_untrusted_callers_span_is_a_link_of_ours(traced: Traced) -> None:
    traced.start()

    traced.gateway.get("/users/7", headers=[("traceparent", PARENT)])
    server, _ = traced.spans(2)

    assert (server.links, server.parent_id) == (((TRACE, SPAN),), "")
    assert server.trace_id != TRACE


LOOKS_ALIKE = ("X-traceparent", PARENT)


@pytest.mark.parametrize(
    "given",
    [
        [("X-A", "1"), ("traceparent", PARENT)],
        [("traceparent", PARENT), ("X-A", "1")],
        [("traceparent", PARENT), LOOKS_ALIKE],
        [LOOKS_ALIKE, ("traceparent", PARENT)],
        [("traceparent", PARENT), ("X-Forwarded-For", "192.0.2.1")],
    ],
)
def test_a_callers_traceparent_is_replaced_wherever_it_stands(traced: Traced, given: list[tuple[str, str]]) -> None:
    traced.start()

    traced.gateway.get("/users/7", headers=given)
    _, client = traced.spans(2)

    sent = traced.sent()
    assert sent.get_all("traceparent") == [f"00-{client.trace_id}-{client.span_id}-01"]
    kept = [(name, value) for name, value in given if name.lower().startswith("x-") and name != "X-Forwarded-For"]
    assert [(name, sent[name]) for name, _ in kept] == kept
    assert sent["X-Forwarded-For"] == "127.0.0.1"


@pytest.mark.parametrize(
    ("propagate", "names"),
    [
        ("[b3]", {"b3"}),
        ("[b3multi]", {"x-b3-traceid", "x-b3-spanid", "x-b3-sampled"}),
        ("[w3c, b3]", {"traceparent", "b3"}),
    ],
)
def test_upstreams_are_sent_the_formats_that_are_configured(traced: Traced, propagate: str, names: set[str]) -> None:
    traced.start(f"propagate: {propagate}", more=TRUSTED)

    traced.gateway.get("/users/7", headers=[("X-B3-TraceId", TRACE), ("X-B3-SpanId", SPAN), ("X-B3-Sampled", "1")])

    sent = {name.lower() for name, _ in traced.sent().items()}
    assert {name for name in sent if name.startswith(("trace", "b3", "x-b3"))} == names


def test_every_attempt_has_a_span_of_its_own(traced: Traced) -> None:
    traced.start(routes="retries: {attempts: 3, on: [503], backoff_base: 1ms}")
    traced.upstream.answer_next(status=503)
    traced.upstream.answer_next(status=503)

    traced.gateway.get("/users/7")
    server, *clients = traced.spans(4)

    clients.sort(key=lambda each: each.started)
    assert [each.attributes["http.response.status_code"] for each in clients] == [503, 503, 200]
    assert [each.attributes.get("http.request.resend_count") for each in clients] == [None, 1, 2]
    assert [each.attributes.get("error.type") for each in clients] == ["503", "503", None]
    assert {each.parent_id for each in clients} == {server.span_id}
    sent = [each.headers["traceparent"].split("-")[2] for each in traced.upstream.requests]
    assert sorted(sent) == sorted(each.span_id for each in clients)


def test_the_log_names_the_request_and_the_trace_of_a_failure_of_an_upstream(traced: Traced) -> None:
    traced.start(routes='mirror: {target: "http://127.0.0.1:2"}')

    down, mirrored = traced.gateway.get("/down"), traced.gateway.get("/users/7")

    def ids() -> list[tuple[str, str]]:
        fields = [vars(each).get("fields", {}) for each in traced.gateway.logs]
        return [(each["request_id"], each["trace_id"]) for each in fields if "endpoint" in each]

    eventually(lambda: len(ids()) == 2)
    copied = traced.sent()["traceparent"].split("-")[1]
    wanted = [(down.headers["x-request-id"], json.loads(down.body)["trace_id"])]
    assert ids() == [*wanted, (mirrored.headers["x-request-id"], copied)]


def test_a_failure_is_an_error_of_both_spans_and_its_problem_names_the_trace(traced: Traced) -> None:
    traced.start()

    answer = traced.gateway.get("/down")
    server, client = traced.spans(2)

    assert json.loads(answer.body)["trace_id"] == server.trace_id
    for span in (server, client):
        assert span.is_error
        assert span.attributes["error.type"] == "upstream.connect-failure"
    assert "network.protocol.version" not in client.attributes  # no connection has spoken any


@pytest.mark.parametrize(("path", "name"), [("/none/of/it", "GET"), ("/users/7", "HTTP /users/:id")])
def test_clients_do_not_choose_names_of_spans(traced: Traced, path: str, name: str) -> None:
    traced.start()

    traced.gateway.request("BREW" if "HTTP" in name else "GET", path)
    eventually(traced.collector.servers)

    (server,) = traced.collector.servers()
    assert server.name == name
    if "HTTP" in name:
        assert server.attributes["http.request.method"] == "_OTHER"
        assert server.attributes["http.request.method_original"] == "BREW"


def test_methods_of_the_variable_are_known(traced: Traced, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS", "GET,BREW")
    traced.start()

    traced.gateway.request("BREW", "/users/7")

    assert [each.name for each in traced.spans(2)] == ["BREW /users/:id", "BREW"]


def test_a_route_samples_as_it_says(traced: Traced) -> None:
    traced.start("sample: 0", routes="tracing: {sample: 1.0}")

    traced.gateway.get("/down")
    traced.gateway.get("/users/7")
    spans = traced.spans(2)

    assert {each.name for each in spans} == {"GET /users/:id", "GET"}
    assert traced.sent()["traceparent"].endswith("-01")


def test_errors_and_slow_requests_are_exported_whatever_the_sampling(traced: Traced) -> None:
    traced.start("sample: 0, errors: true, slower_than: 50ms")
    traced.gateway.get("/down")
    traced.upstream.answer_next(delay=0.1)

    traced.gateway.get("/users/2")
    found = traced.spans(4)

    assert {each.attributes.get("url.path") for each in found if each.kind == "server"} == {"/down", "/users/2"}
    assert all(each.parent_id for each in found if each.kind == "client")


def test_of_requests_that_are_not_sampled_those_that_are_neither_errors_nor_slow_are_not_exported(
    traced: Traced,
) -> None:
    traced.start("sample: 0, errors: true, slower_than: 1h")
    traced.gateway.get("/users/1")

    traced.gateway.get("/down")
    found = traced.spans(2)

    assert {each.attributes.get("url.path") for each in found if each.kind == "server"} == {"/down"}


def test_a_mirror_has_a_client_span(traced: Traced) -> None:
    shadow = ScriptedUpstream()
    try:
        traced.start(routes=f'mirror: {{target: "{shadow.url}"}}')
        traced.gateway.get("/users/7")
        server, *clients = traced.spans(3)

        eventually(lambda: shadow.requests)
        assert {each.parent_id for each in clients} == {server.span_id}
        assert {each.attributes.get("gateway.purpose") for each in clients} == {None, "mirror"}
        copied = shadow.requests[0].headers["traceparent"].split("-")
        assert copied[1] == server.trace_id
        assert copied[2] in {each.span_id for each in clients}
    finally:
        shadow.close()


@pytest.mark.parametrize("size", [9000, 60000])
def test_baggage_beyond_its_limits_is_dropped_and_counted_and_the_request_goes_on(traced: Traced, size: int) -> None:
    traced.start(more=TRUSTED)

    answer = traced.gateway.get("/users/7", headers=[("baggage", "k=" + "v" * size)])

    assert answer.status == 200
    assert "baggage" not in traced.sent()


@pytest.mark.parametrize(
    "value", ["", "00", PARENT + "-more", "ff" + PARENT[2:], PARENT.upper(), "00-" + "0" * 32 + PARENT[35:], "x" * 8000]
)
def test_a_hostile_traceparent_begins_a_trace_and_never_goes_on(traced: Traced, value: str) -> None:
    traced.start(more=TRUSTED)

    traced.gateway.get("/users/7", headers=[("traceparent", value)])
    server, client = traced.spans(2)

    assert (server.parent_id, server.links) == ("", ())
    assert traced.sent().get_all("traceparent") == [f"00-{server.trace_id}-{client.span_id}-01"]


def test_a_gateway_without_tracing_passes_on_what_came(traced: Traced) -> None:
    traced.gateway = RunningGateway(f'routes: [{{path_prefix: /, target: "{traced.upstream.url}"}}]')

    traced.gateway.get("/", headers=[("traceparent", PARENT), ("baggage", "k=v")])

    assert (traced.sent()["traceparent"], traced.sent()["baggage"]) == (PARENT, "k=v")
    assert "trace_id" not in json.loads(RunningGateway.get(traced.gateway, "/%00").body)


def test_spans_that_wait_when_the_configuration_changes_reach_the_collector_before(traced: Traced) -> None:
    other = Collector()
    other.start()
    try:
        traced.start("sample: 1.0, service_name: old")
        for number in range(20):
            traced.gateway.get(f"/users/{number}")
        new = traced.config("service_name: new").replace(traced.collector.url, other.url)
        traced.gateway.reload(new)
        traced.gateway.get("/users/new")

        assert len(traced.collector.wait_for(40)) == 40
        assert {each.resource["service.name"] for each in other.wait_for(2)} == {"new"}
    finally:
        other.close()


def test_requests_are_untouched_by_a_collector_that_dies_between_them(traced: Traced) -> None:
    traced.start()
    statuses = [traced.gateway.get(f"/users/{number}").status for number in range(50)]
    traced.collector.stop()
    statuses += [traced.gateway.get(f"/users/{number}").status for number in range(50)]

    assert set(statuses) == {200}


def test_an_exemplar_names_a_trace_that_was_exported(traced: Traced) -> None:
    from gateway_core.metrics.render import OPENMETRICS, PROMETHEUS, render

    traced.start()
    traced.gateway.get("/users/7")
    server, _ = traced.spans(2)
    samples = traced.gateway._engine.metrics.collect()

    line = next(each for each in render(samples, OPENMETRICS).decode().splitlines() if " # {" in each)
    assert line.startswith("gateway_request_duration_seconds_bucket{")
    assert f'trace_id="{server.trace_id}"' in line
    assert b" # {" not in render(samples, PROMETHEUS)


def test_without_an_exporter_ids_go_upstream_and_no_exemplar_names_them(
    traced: Traced, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gateway_core.metrics.render import OPENMETRICS, render

    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "none")
    traced.start()
    traced.gateway.get("/users/7")

    assert traced.sent()["traceparent"].endswith("-01")
    assert b" # {" not in render(traced.gateway._engine.metrics.collect(), OPENMETRICS)
