"""Traces over every protocol: what a collector sees of calls that pass through two gateways, or stay open."""

from __future__ import annotations

import queue
import socket
import threading
from collections.abc import Iterator
from concurrent import futures
from typing import Any, TypeVar

import grpc
import h2.connection
import h2.events
import httpx
import pytest
from gateway_core.testing import RunningGateway, ScriptedUpstream

from tests.collector import Collector, SeenSpan
from tests.protocols.fixtures import SpokenTo
from tests.protocols.running import spoken_to_in_turn

E = TypeVar("E", bound=h2.events.Event)
TRUSTING = "trusted_proxies: [127.0.0.0/8]"


def traced(collector: Collector, target: str, *, name: str = "edge", protocol: str = "http1", more: str = "") -> str:
    return f"""
tracing: {{otlp: {{url: "{collector.url}"}}, queue: {{delay: 10ms}}, service_name: {name}}}
{TRUSTING}
upstreams: [{{name: up, protocol: {protocol}, endpoints: [{{url: "{target}"}}]}}]
routes: [{{id: all, path_prefix: /, target: up{more}}}]
"""


def test_two_gateways_in_a_row_are_one_trace_over_http2(collector: Collector) -> None:
    with ScriptedUpstream() as upstream, RunningGateway(traced(collector, upstream.url, name="inner")) as inner:
        config = traced(collector, inner.url, name="outer", protocol="http2")
        with RunningGateway(config) as outer, httpx.Client(http1=False, http2=True) as client:
            for number in range(3):
                assert client.get(f"{outer.url}/{number}").http_version == "HTTP/2"
            spans = collector.wait_for(12)
        sent = [each.headers.get_all("traceparent") for each in upstream.requests]

    by_id = {each.span_id: each for each in spans}
    for span in [each for each in spans if each.resource["service.name"] == "inner" and each.kind == "client"]:
        ways = [span]
        while ways[-1].parent_id:
            ways.append(by_id[ways[-1].parent_id])
        assert [(each.resource["service.name"], each.kind) for each in ways] == [
            ("inner", "client"), ("inner", "server"), ("outer", "client"), ("outer", "server"),
        ]  # fmt: skip
        assert len({each.trace_id for each in ways}) == 1
        assert [each.attributes["network.protocol.version"] for each in ways] == ["1.1", "2", "2", "2"]
        assert [f"00-{span.trace_id}-{span.span_id}-01"] in sent
    assert len({each.trace_id for each in spans}) == 3


class Service(grpc.GenericRpcHandler):
    """Echoes, streams and fails."""

    def service(self, details: Any) -> Any:
        def fails(data: bytes, context: Any) -> bytes:
            context.abort(grpc.StatusCode.UNAVAILABLE, "away")
            return b""

        def leaves(parts: Iterator[bytes], context: Any) -> Iterator[bytes]:
            yield next(parts)
            context.abort(grpc.StatusCode.INTERNAL, "failed between two messages")

        return {
            "/shop.Orders/Get": grpc.unary_unary_rpc_method_handler(lambda data, context: data),
            "/shop.Orders/Watch": grpc.unary_stream_rpc_method_handler(lambda data, context: iter([data] * 3)),
            "/shop.Orders/Import": grpc.stream_unary_rpc_method_handler(lambda parts, context: b"".join(parts)),
            "/shop.Orders/Talk": grpc.stream_stream_rpc_method_handler(lambda parts, context: parts),
            "/shop.Orders/Leave": grpc.stream_stream_rpc_method_handler(leaves),
            "/shop.Orders/Fail": grpc.unary_unary_rpc_method_handler(fails),
        }.get(details.method)


@pytest.fixture
def service() -> Iterator[str]:
    server = grpc.server(futures.ThreadPoolExecutor(2))
    server.add_generic_rpc_handlers((Service(),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"http://127.0.0.1:{port}"
    server.stop(None).wait()


def test_calls_of_grpc_have_the_names_of_their_methods_and_their_statuses(collector: Collector, service: str) -> None:
    with (
        RunningGateway(traced(collector, service, protocol="http2")) as gateway,
        grpc.insecure_channel(f"127.0.0.1:{gateway.port}") as opened,
    ):
        channel: Any = opened
        assert channel.unary_unary("/shop.Orders/Get")(b"1") == b"1"
        assert list(channel.unary_stream("/shop.Orders/Watch")(b"2")) == [b"2"] * 3
        for method in ("Fail", "Unknown"):
            with pytest.raises(grpc.RpcError):
                channel.unary_unary(f"/shop.Orders/{method}")(b"3")
        spans = collector.wait_for(8)

    found = {(each.name, each.kind): each for each in spans}
    for method, status in (("Get", "OK"), ("Watch", "OK"), ("Fail", "UNAVAILABLE")):
        for kind in ("server", "client"):
            span = found[f"shop.Orders/{method}", kind]
            assert span.attributes["rpc.response.status_code"] == status
            assert span.attributes["rpc.method"] == f"shop.Orders/{method}"
            assert span.attributes.get("error.type") == (None if status == "OK" else status)
            assert span.is_error == (status != "OK")
    assert not any("Unknown" in each.name for each in spans if each.kind == "server")


class Spoken:
    """The messages of a client that sends each one when it is asked to, and ends when there are no more."""

    def __init__(self) -> None:
        self._waiting: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self.put = self._waiting.put

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._waiting.get, None)


def test_a_call_that_streams_from_its_client_is_one_span_until_its_status(collector: Collector, service: str) -> None:
    with (
        RunningGateway(traced(collector, service, protocol="http2")) as gateway,
        grpc.insecure_channel(f"127.0.0.1:{gateway.port}") as opened,
    ):
        channel: Any = opened
        assert channel.stream_unary("/shop.Orders/Import")(iter([b"1", b"22", b"333"])) == b"122333"
        server, attempt = pair(collector.wait_for(2))

    assert {server.name, attempt.name} == {"shop.Orders/Import"}
    assert (server.attributes["rpc.response.status_code"], server.is_error) == ("OK", False)
    # Each message has five bytes before it (the gRPC protocol over HTTP/2, "Length-Prefixed-Message").
    assert server.attributes["http.request.body.size"] == 6 + 3 * 5
    assert server.attributes["http.response.body.size"] == 6 + 5
    assert attempt.parent_id == server.span_id


@pytest.mark.parametrize(("method", "status"), [("Talk", "OK"), ("Leave", "INTERNAL")])
def test_a_call_that_streams_both_ways_is_one_span_until_its_status(
    collector: Collector, service: str, method: str, status: str
) -> None:
    spoken = Spoken()
    with (
        RunningGateway(traced(collector, service, protocol="http2")) as gateway,
        grpc.insecure_channel(f"127.0.0.1:{gateway.port}") as opened,
    ):
        channel: Any = opened
        call = channel.stream_stream(f"/shop.Orders/{method}")(iter(spoken))
        spoken.put(b"1")
        assert next(call) == b"1"
        assert collector.spans == []
        if status == "OK":
            spoken.put(b"2")
            assert next(call) == b"2"
        spoken.put(None)
        assert call.code().name == status
        server, attempt = pair(collector.wait_for(2))

    for span in (server, attempt):
        assert (span.name, span.attributes["rpc.response.status_code"]) == (f"shop.Orders/{method}", status)
        assert (span.is_error, span.attributes.get("error.type")) == (
            (False, None) if status == "OK" else (True, status)
        )
    assert (server.attributes["http.response.status_code"], attempt.parent_id) == (200, server.span_id)


def test_a_websocket_is_one_span_until_it_is_closed_and_is_never_slow(collector: Collector) -> None:
    listening = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=_echo, args=(listening,), daemon=True).start()
    config = traced(collector, f"http://127.0.0.1:{listening.getsockname()[1]}")
    head = b"GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    with RunningGateway(config) as gateway, socket.create_connection(("127.0.0.1", gateway.port)) as client:
        client.sendall(head)
        reader = client.makefile("rb")
        while reader.readline() != b"\r\n":
            pass
        client.sendall(b"hello")
        assert reader.read(5) == b"hello"
        assert collector.spans == []
        reader.close()
        client.close()
        server, attempt = sorted(collector.wait_for(2), key=lambda each: each.kind, reverse=True)
    listening.close()

    assert (server.kind, server.name, server.is_error) == ("server", "GET /", False)
    assert server.attributes["http.response.status_code"] == attempt.attributes["http.response.status_code"] == 101
    assert server.attributes["http.request.body.size"] == server.attributes["http.response.body.size"] == 5
    assert attempt.parent_id == server.span_id


def test_a_websocket_in_a_stream_of_http2_is_one_span_until_the_stream_ends(collector: Collector) -> None:
    listening = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=_echo, args=(listening,), daemon=True).start()
    config = traced(collector, f"http://127.0.0.1:{listening.getsockname()[1]}")
    with RunningGateway(config) as gateway, socket.create_connection(("127.0.0.1", gateway.port)) as client:
        stream = Http2Stream(client)
        stream.connection.send_headers(stream.id, [
            (":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "http"), (":path", "/chat"),
            (":authority", "a"), ("sec-websocket-version", "13"),
        ])  # fmt: skip
        head = stream.until(h2.events.ResponseReceived)
        assert dict(head.headers)[b":status"] == b"200"
        stream.connection.send_data(stream.id, b"hello")
        assert stream.until(h2.events.DataReceived).data == b"hello"
        assert collector.spans == []
        stream.connection.end_stream(stream.id)
        stream.until(h2.events.StreamEnded)
        server, attempt = pair(collector.wait_for(2))
    listening.close()

    assert (server.name, server.is_error, attempt.is_error) == ("GET /", False, False)
    assert [each.attributes["network.protocol.version"] for each in (server, attempt)] == ["2", "1.1"]
    assert server.attributes["http.request.body.size"] == server.attributes["http.response.body.size"] == 5
    assert attempt.parent_id == server.span_id


class Http2Stream:
    """One stream of a client's connection."""

    def __init__(self, client: socket.socket) -> None:
        self._client = client
        self.connection = h2.connection.H2Connection()
        self.connection.initiate_connection()
        self.id = self.connection.get_next_available_stream_id()
        self._seen: list[h2.events.Event] = []

    def until(self, kind: type[E]) -> E:
        """Send what is to be sent, and return the next event of a kind."""
        while True:
            while self._seen:
                event = self._seen.pop(0)
                if isinstance(event, kind):
                    return event
            self._client.sendall(self.connection.data_to_send())
            data = self._client.recv(65536)
            assert data, "the connection was closed"
            self._seen += self.connection.receive_data(data)


def _echo(listening: socket.socket) -> None:
    connection, _ = listening.accept()
    with connection, connection.makefile("rb") as reader:
        while reader.readline() != b"\r\n":
            pass
        connection.sendall(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n")
        while data := connection.recv(1000):
            connection.sendall(data)


HOSTILE = 64 * 1024 - 200


@pytest.mark.parametrize("name", ["traceparent", "tracestate", "baggage", "b3", "X-B3-TraceId"])
@pytest.mark.parametrize("text", ["0", "00-" + "a" * 32 + "-", "k=v,", "=,", "%"])
@pytest.mark.parametrize("is_trusted", [True, False])
def test_fields_of_64_kibibytes_are_dropped_and_the_request_goes_on(
    collector: Collector, name: str, text: str, is_trusted: bool
) -> None:
    value = (text * (HOSTILE // len(text)))[:HOSTILE]
    with ScriptedUpstream() as upstream:
        config = traced(collector, upstream.url) + "limits: {max_head_bytes: 131072}\n"
        config = config if is_trusted else config.replace(TRUSTING, "")
        config = config.replace("tracing: {", "tracing: {propagate: [w3c, b3, b3multi], ")
        with RunningGateway(config) as running, spoken_to_in_turn(running) as gateway:
            for count in (2, 4):
                answer = gateway.get("/", headers=[(name, value), ("X-Kept", "1")])
                server, attempt = pair(collector.wait_for(count)[-2:])

                sent = upstream.last
                assert (answer.status, sent.headers["X-Kept"]) == (200, "1")
                assert (server.parent_id, server.state, server.links) == ("", "", ())
                assert sent.headers.get_all("traceparent") == [f"00-{attempt.trace_id}-{attempt.span_id}-01"]
                assert sum(len(each) for _, each in sent.headers.items()) < 2000


def pair(spans: list[SeenSpan]) -> tuple[SeenSpan, SeenSpan]:
    server, client = sorted(spans, key=lambda each: each.kind, reverse=True)
    return server, client


@pytest.mark.parametrize("protocol", ["http1", "http2"])
def test_an_attempt_names_the_address_that_its_name_led_to(collector: Collector, protocol: str) -> None:
    with (
        ScriptedUpstream() as upstream,
        RunningGateway(traced(collector, upstream.url, name="inner")) as inner,
        RunningGateway(traced(collector, f"http://localhost:{inner.port}", name="outer", protocol=protocol)) as outer,
    ):
        outer.get("/")
        spans = collector.wait_for(4)

    (attempt,) = [each for each in spans if each.kind == "client" and each.resource["service.name"] == "outer"]
    assert attempt.attributes["server.address"] == "localhost"
    assert attempt.attributes["network.peer.address"] == "127.0.0.1"
    assert attempt.attributes["network.peer.port"] == inner.port


@pytest.mark.http1_upstream
@pytest.mark.parametrize("option", ["", ", rewrite: {prefix: /b}"])
def test_of_a_long_target_only_its_beginning_is_kept_and_no_secret_of_it(
    collector: Collector, spoken_to: SpokenTo, option: str
) -> None:
    query = "a=1&token=hunter2&" + "&".join(f"k{number}=v" for number in range(6000)) + "&password=hunter2"
    with ScriptedUpstream() as upstream:
        config = traced(collector, upstream.url, more=option) + "limits: {max_head_bytes: 131072}\n"
        with spoken_to(RunningGateway(config)) as gateway:
            assert gateway.get(f"/x?{query}").status == 200
            server, attempt = pair(collector.wait_for(2))

    url = str(attempt.attributes["url.full"])
    assert url.startswith(f"{upstream.url}{'/b' if option else '/x'}")
    assert "?a=1&token=REDACTED&k0=v&" in url
    assert len(url) == len(str(server.attributes["url.query"])) == 1024
    assert "hunter2" not in str(server.attributes) + str(attempt.attributes)
