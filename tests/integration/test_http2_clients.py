"""Clients of HTTP/2 that people use, before a running gateway: curl, nghttp, h2load, httpx and Chromium."""

from __future__ import annotations

import hashlib
import re
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Final

import httpx
import pytest
from gateway_core.testing import RunningGateway

from tests.core.process.certificates import make
from tests.programs import program

IMAGES: Final = 40
BIG: Final = bytes(range(256)) * 8192
PAGE: Final = (
    "<!doctype html><title>page</title><body>"
    + "".join(f'<img src="/image/{number}.svg">' for number in range(IMAGES))
    + """<p id=seen></p><script>
addEventListener("load", () => {
  const entries = [...performance.getEntriesByType("resource"), ...performance.getEntriesByType("navigation")];
  const images = [...document.images].filter(image => image.complete && image.naturalWidth > 0).length;
  document.getElementById("seen").textContent =
    `images=${images} protocols=${[...new Set(entries.map(entry => entry.nextHopProtocol))].join("+")}`;
});
</script>"""
).encode()
IMAGE: Final = b'<svg xmlns="http://www.w3.org/2000/svg" width="10" height="10"><rect width="10" height="10"/></svg>'


class Application(BaseHTTPRequestHandler):
    """An upstream of HTTP/1.1."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path == "/":
            self._respond(PAGE, "text/html")
        elif self.path.startswith("/image/"):
            self._respond(IMAGE, "image/svg+xml")
        elif self.path == "/big":
            self._respond(BIG, "application/octet-stream")
        else:
            self._respond(self.path.encode(), "text/plain")

    do_HEAD = do_GET  # noqa: N815 - the base class names it

    def do_POST(self) -> None:
        digest = hashlib.sha256()
        if (length := self.headers["Content-Length"]) is not None:
            digest.update(self.rfile.read(int(length)))
        else:
            while size := int(self.rfile.readline(), 16):
                digest.update(self.rfile.read(size + 2)[:size])
            self.rfile.readline()
        self._respond(digest.hexdigest().encode(), "text/plain")

    def _respond(self, body: bytes, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the base class
        """Say nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256


@pytest.fixture(scope="module")
def gateways(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """URLs of a gateway, plain and with TLS."""
    pair = make(tmp_path_factory.mktemp("tls"), "localhost")
    with _Server(("127.0.0.1", 0), Application) as server, ExitStack() as stack:
        Thread(target=server.serve_forever, daemon=True).start()
        stack.callback(server.shutdown)
        routes = [{"id": "r", "path_prefix": "/", "target": f"http://127.0.0.1:{server.server_address[1]}"}]
        plain = stack.enter_context(RunningGateway({"routes": routes}))
        listen = [{"address": "127.0.0.1:0", "tls": {"cert": str(pair.cert), "key": str(pair.key)}}]
        tls = stack.enter_context(RunningGateway({"listen": listen, "routes": routes}))
        yield plain.url, tls.url.replace("127.0.0.1", "localhost")


@pytest.fixture(params=["plain", "tls"])
def url(request: pytest.FixtureRequest, gateways: tuple[str, str]) -> str:
    return gateways[request.param == "tls"]


def run(*arguments: str | Path, seconds: float = 60) -> str:
    done = subprocess.run(arguments, capture_output=True, timeout=seconds, check=False)
    assert done.returncode == 0, done.stderr.decode(errors="replace")[-2000:]
    return done.stdout.decode(errors="replace")


# -- curl


def curl(url: str, *arguments: str | Path) -> str:
    how = "--http2" if url.startswith("https") else "--http2-prior-knowledge"
    written = "\n%{http_version} %{response_code}"
    return run(program("curl", "curl"), "--silent", "--insecure", how, "--write-out", written, *arguments)


def test_curl_gets_a_page(url: str) -> None:
    assert curl(url, f"{url}/x?y=1") == "/x?y=1\n2 200"


def test_curl_asks_for_a_head_only(url: str) -> None:
    got = curl(url, "--head", f"{url}/big")
    assert got.endswith("2 200")
    assert f"content-length: {len(BIG)}" in got


def test_curl_gets_what_is_large(url: str, tmp_path: Path) -> None:
    curl(url, "--output", tmp_path / "big", f"{url}/big")
    assert (tmp_path / "big").read_bytes() == BIG


@pytest.mark.parametrize("extra", [(), ("--header", "Content-Length:"), ("--header", "Expect: 100-continue")])
def test_curl_uploads_a_file(url: str, tmp_path: Path, extra: tuple[str, ...]) -> None:
    (tmp_path / "big").write_bytes(BIG)
    got = curl(url, "--data-binary", f"@{tmp_path / 'big'}", *extra, f"{url}/upload")
    assert got == f"{hashlib.sha256(BIG).hexdigest()}\n2 200"


def test_curl_asks_for_many_at_once(gateways: tuple[str, str]) -> None:
    _, tls = gateways  # with prior knowledge curl 7.88 breaks off before any server
    got = curl(tls, "--parallel", f"{tls}/[1-50]")
    assert got.count("2 200") == 50


def test_curl_that_offers_an_upgrade_over_plain_http_gets_http_1(gateways: tuple[str, str]) -> None:
    plain, _ = gateways
    got = run(program("curl", "curl"), "--silent", "--http2", "--write-out", "\n%{http_version}", f"{plain}/x")
    assert got == "/x\n1.1"


# -- nghttp and h2load


def test_nghttp_gets_several_pages_over_one_connection(url: str) -> None:
    got = run(program("nghttp", "nghttp2-client"), "--verbose", "--null-out", *[f"{url}/{each}" for each in range(5)])
    assert got.count(":status: 200") == 5
    assert "GOAWAY" not in got.split("send GOAWAY")[0]


def test_nghttp_uploads_with_trailers(url: str, tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(BIG)
    got = run(program("nghttp", "nghttp2-client"), "--data", tmp_path / "big", "--trailer", "x-sum: 1", f"{url}/upload")
    assert hashlib.sha256(BIG).hexdigest() in got


def test_nghttp_with_a_window_of_one_kibibyte_gets_what_is_large(url: str) -> None:
    got = run(
        program("nghttp", "nghttp2-client"), "--window-bits=10", "--connection-window-bits=16", "--stat", "--null-out",
        f"{url}/big",
    )  # fmt: skip
    assert "200" in got


@pytest.mark.parametrize("path", ["/x", "/big"])
def test_h2load_loses_no_request(url: str, path: str) -> None:
    count = 400 if path == "/x" else 20
    got = run(program("h2load", "nghttp2-client"), "-n", str(count), "-c", "4", "-m", "20", f"{url}{path}")
    assert f"{count} succeeded, 0 failed, 0 errored, 0 timeout" in got


# -- httpx


def test_httpx_speaks_http_2(url: str) -> None:
    with httpx.Client(http2=True, http1=url.startswith("https"), verify=False, timeout=60) as client:
        got = client.get(f"{url}/x")
        assert (got.http_version, got.status_code, got.text) == ("HTTP/2", 200, "/x")
        assert client.get(f"{url}/big").content == BIG
        assert client.post(f"{url}/upload", content=BIG).text == hashlib.sha256(BIG).hexdigest()
        pieces = (BIG[at : at + 5000] for at in range(0, len(BIG), 5000))
        assert client.post(f"{url}/upload", content=pieces).text == hashlib.sha256(BIG).hexdigest()
        assert client.head(f"{url}/big").headers["content-length"] == str(len(BIG))


# -- a browser


def test_chromium_shows_a_page_with_its_images(gateways: tuple[str, str], tmp_path: Path) -> None:
    _, tls = gateways
    got = run(
        program("chromium", "chromium"), "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
        "--ignore-certificate-errors", f"--user-data-dir={tmp_path}", "--virtual-time-budget=20000", "--dump-dom",
        f"{tls}/", seconds=150,
    )  # fmt: skip
    seen = re.search(r"images=(\d+) protocols=([^<]*)", got)
    assert seen is not None, got[-500:]
    assert seen.groups() == (str(IMAGES), "h2")
