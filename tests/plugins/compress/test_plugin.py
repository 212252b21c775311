"""What clients and upstreams get, from a real gateway."""

from __future__ import annotations

import gzip
import http.client
import queue
import socket
import threading
import zlib
from collections.abc import Callable
from typing import Any

import brotli
import jwt
import pytest
from gateway_plugin_auth import Auth
from gateway_plugin_compress import Compress
from gateway_plugin_compress.zstandard import ZstdCompressor, ZstdDecompressor
from gateway_plugin_logger import Logger
from gateway_plugin_ratelimit import RateLimit
from gateway_plugin_sdk import Response
from gateway_plugin_sdk.testing import PluginHarness, one_route

TEXT = b"The quick brown fox jumps over the lazy dog.\n" * 200
HTML = {"Content-Type": "text/html; charset=utf-8"}
BROWSER = {"Accept-Encoding": "gzip, deflate, br, zstd"}
DECODE: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.decompress, "br": brotli.decompress, "zstd": lambda data: ZstdDecompressor().decompress(data),
}  # fmt: skip
ENCODE: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "br": lambda data: brotli.compress(data, quality=4),
    "zstd": lambda data: ZstdCompressor().compress(data, ZstdCompressor.FLUSH_FRAME),
}
SECRET = "a secret of more than thirty-two characters"


def compress(**config: Any) -> dict[str, Any]:
    return {"name": "compress", "config": config}


@pytest.fixture
def running(gateway: Any, upstream: Any) -> Any:
    upstream.answer_with(200, TEXT, headers={**HTML, "ETag": '"v1"', "Accept-Ranges": "bytes"})
    return gateway(one_route(upstream.url, compress()), plugins=[Compress])


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd"])
def test_a_client_gets_the_coding_that_it_accepts(running: Any, coding: str) -> None:
    response = running.get("/", headers={"Accept-Encoding": coding})

    assert response.headers["content-encoding"] == coding
    assert response.headers["vary"] == "Accept-Encoding"
    assert response.headers["etag"] == 'W/"v1"'
    assert "accept-ranges" not in response.headers
    assert len(response.body) < len(TEXT) / 10
    assert DECODE[coding](response.body) == TEXT


@pytest.mark.parametrize("accepted", [None, "identity", "deflate", "gzip;q=0"])
def test_a_client_that_accepts_none_gets_it_plain_and_caches_are_shown(running: Any, accepted: str | None) -> None:
    response = running.get("/", headers={} if accepted is None else {"Accept-Encoding": accepted})

    assert response.body == TEXT
    assert "content-encoding" not in response.headers
    assert (response.headers["vary"], response.headers["etag"]) == ("Accept-Encoding", '"v1"')


@pytest.mark.parametrize(
    ("status", "fields", "body"),
    [
        (200, {"Content-Type": "image/png"}, TEXT),
        (200, {}, TEXT),
        (200, HTML, b"short"),
        (200, {**HTML, "Content-Encoding": "gzip"}, gzip.compress(TEXT)),
        (200, {**HTML, "Cache-Control": "public, No-Transform"}, TEXT),
        (206, {**HTML, "Content-Range": f"bytes 0-{len(TEXT) - 1}/{len(TEXT)}"}, TEXT),
    ],
)
def test_what_would_be_wrong_or_worthless_passes_as_it_is(
    running: Any, upstream: Any, status: int, fields: dict[str, str], body: bytes
) -> None:
    upstream.answer_with(status, body, headers=fields)

    response = running.get("/", headers=BROWSER)

    assert (response.status, response.body) == (status, body)
    assert response.headers.get("content-encoding") == fields.get("Content-Encoding")


def test_a_head_request_gets_the_head_of_the_compressed_response(running: Any) -> None:
    head = running.request("HEAD", "/", headers=BROWSER).headers

    assert head["content-encoding"] == "zstd"
    assert head["etag"] == 'W/"v1"'
    assert "content-length" not in head


def test_a_304_speaks_of_the_response_that_the_client_has(running: Any, upstream: Any) -> None:
    upstream.answer_with(304, headers={**HTML, "ETag": '"v1"'})

    response = running.get("/", headers={**BROWSER, "If-None-Match": 'W/"v1"'})

    assert (response.status, response.body) == (304, b"")
    assert response.headers["etag"] == 'W/"v1"'
    assert response.headers["vary"] == "Accept-Encoding"


def test_vary_is_not_said_twice(running: Any, upstream: Any) -> None:
    upstream.answer_with(200, TEXT, headers={**HTML, "Vary": "Origin, accept-encoding"})

    assert running.get("/", headers=BROWSER).headers.get_all("vary") == ["Origin, accept-encoding"]


class EventServer:
    """Sends an event of a stream each time it is asked to."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._go: queue.Queue[bytes] = queue.Queue()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def send(self, event: bytes) -> None:
        self._go.put(event)

    def _serve(self) -> None:
        connection, _ = self._socket.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(
                b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
            )
            while event := self._go.get():
                connection.sendall(b"%x\r\n%b\r\n" % (len(event), event))
            connection.sendall(b"0\r\n\r\n")

    def close(self) -> None:
        self._go.put(b"")
        self._thread.join(10)
        self._socket.close()


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd"])
def test_an_event_stream_stays_live(gateway: Any, coding: str) -> None:
    server = EventServer()
    running = gateway(one_route(server.url, compress()), plugins=[Compress])
    read: Callable[[bytes], bytes] = {
        "gzip": zlib.decompressobj(31).decompress,
        "br": brotli.Decompressor().process,
        "zstd": ZstdDecompressor().decompress,
    }[coding]
    connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=30)
    connection.request("GET", "/", headers={"Accept-Encoding": coding})
    server.send(b"data: 0\n\n")
    response = connection.getresponse()

    for number in range(3):
        text = b""
        while not text.endswith(b"\n\n"):
            text += read(response.read1(65536))
        assert text == b"data: %d\n\n" % number
        server.send(b"data: %d\n\n" % (number + 1))
    server.close()
    connection.close()


def test_secrets_are_not_compressed_beside_credentials(gateway: Any, upstream: Any) -> None:
    upstream.answer_with(200, TEXT, headers=HTML)
    running = gateway(one_route(upstream.url, compress(secrets=True)), plugins=[Compress])

    found = [
        running.get("/", headers={**BROWSER, **more}).headers.get("content-encoding")
        for more in ({}, {"Cookie": "sid=1"}, {"Authorization": "Bearer x"})
    ]

    assert found == ["zstd", None, None]


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd"])
def test_a_request_is_decompressed_for_the_upstream(gateway: Any, upstream: Any, coding: str) -> None:
    running = gateway(one_route(upstream.url, compress(requests={"max_size": "1MiB"})), plugins=[Compress])

    response = running.post("/", body=ENCODE[coding](TEXT), headers={**HTML, "Content-Encoding": coding})

    assert response.status == 200
    assert upstream.last.body == TEXT
    assert "content-encoding" not in {name.lower() for name in upstream.last.headers}


def test_several_codings_are_undone_in_their_order(gateway: Any, upstream: Any) -> None:
    running = gateway(one_route(upstream.url, compress(requests={"max_size": "1MiB"})), plugins=[Compress])

    running.post("/", body=brotli.compress(gzip.compress(TEXT)), headers={"Content-Encoding": "x-gzip, identity, BR"})

    assert upstream.last.body == TEXT


@pytest.mark.parametrize(
    ("coding", "body", "status"),
    [
        ("deflate", b"x", 415),
        ("gzip, gzip, gzip", b"x", 415),
        ("zstd", ENCODE["zstd"](TEXT), 415),
        ("gzip", b"no gzip at all", 400),
        ("gzip", gzip.compress(TEXT)[:-4], 400),
        ("br", ENCODE["br"](bytes(50 << 20)), 413),
        ("gzip", gzip.compress(bytes(50 << 20)), 413),
    ],
)
def test_what_cannot_be_decompressed_is_the_clients_fault_each_time(
    gateway: Any, upstream: Any, coding: str, body: bytes, status: int
) -> None:
    options = {"max_size": "1MiB", "codings": ["gzip", "br"]}
    binding = compress(requests=options) | {"quarantine": {"failures": 2, "window": "60s", "open_for": "60s"}}
    running = gateway(one_route(upstream.url, binding), plugins=[Compress])

    found = [running.post("/", body=body, headers={"Content-Encoding": coding}).status for _ in range(4)]

    assert found == [status] * 4
    assert running.post("/", body=gzip.compress(TEXT), headers={"Content-Encoding": "gzip"}).status == 200


def test_it_goes_together_with_the_other_plugins(gateway: Any, upstream: Any, tmp_path: Any) -> None:
    upstream.answer_with(200, TEXT, headers=HTML)
    chain = [
        compress(),
        {"name": "auth", "config": {"secret": SECRET}},
        {"name": "ratelimit", "config": {"quota": 1, "window": "1h", "key": "identity"}},
        {"name": "logger", "config": {"path": str(tmp_path / "access.log")}},
    ]
    running = gateway(one_route(upstream.url, *chain), plugins=[Compress, Auth, RateLimit, Logger])
    token = {"Authorization": f"Bearer {jwt.encode({'sub': 'alice'}, SECRET, 'HS256')}"}

    statuses = [running.get("/", headers={**BROWSER, **more}) for more in ({}, token, token)]

    assert [response.status for response in statuses] == [401, 200, 429]
    assert DECODE["zstd"](statuses[1].body) == TEXT


def test_what_a_client_makes_long_is_not_remembered() -> None:
    with PluginHarness(Compress, {}) as harness:
        for sent in ("gzip, " + "a" * 1000, "gzip, a"):
            harness.request(
                "GET", "/", headers={"Accept-Encoding": sent}, upstream_response=Response(200, TEXT, headers=HTML)
            )

        assert len(harness.plugin._chosen) == 1  # the short one: bounded by number, and each by its length
