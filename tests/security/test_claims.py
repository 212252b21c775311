"""What a client claims must not reach an application as the gateway's word: read as a WSGI application reads it.

An attack is one more row. Every row is sent over plain and TLS connections, with and without a body, on
a new connection and behind an innocent request on the same one.
"""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

import pytest
from gateway_core.hooks import Plugin
from gateway_core.hookspecs import hookimpl
from gateway_core.messages import Request

from tests.core.process.certificates import make
from tests.core.proxy.kit import Peer, RunningProxy, run_proxy

ATTACKS: dict[str, bytes] = {
    "address": b"X-Forwarded-For: evil",
    "address twice": b"X-Forwarded-For: evil\r\nX-Forwarded-For: evil",
    "address, odd case and white space": b"x-FORWARDED-for:\t evil \t",
    "address, underscores": b"X_Forwarded_For: evil",
    "address, one underscore": b"X-Forwarded_For: evil",
    "address, the other underscore": b"X_Forwarded-For: evil",
    "address, dots": b"X.Forwarded.For: evil",
    "address, a mix": b"X~Forwarded_For: evil",
    "address, both": b"X-Forwarded-For: evil\r\nX_Forwarded_For: evil",
    "address, nginx": b"X-Real-IP: evil",
    "address, nginx, underscores": b"X_Real_IP: evil",
    "address, mixed underscores": b"X-Real_Ip: evil",
    "address, others": b"X-Client-IP: evil\r\nClient-IP: evil\r\nTrue-Client-IP: evil\r\nX-Cluster-Client-IP: evil",
    "address, networks": b"CF-Connecting-IP: evil\r\nFastly-Client-IP: evil\r\nX-Azure-ClientIP: evil",
    "address, standard": b"Forwarded: for=evil;proto=https;host=evil",
    "address, WebLogic": b"WL-Proxy-Client-IP: evil\r\nProxy-Client-IP: evil\r\nX-ProxyUser-Ip: evil",
    "scheme": b"X-Forwarded-Proto: evil\r\nX-Forwarded-Scheme: evil\r\nX-Forwarded-Ssl: evil\r\nFront-End-Https: evil",
    "scheme, underscores": b"X_Forwarded_Proto: evil\r\nX_FORWARDED_SSL: evil\r\nFront_End_Https: evil",
    "host": b"X-Forwarded-Host: evil\r\nX-Forwarded-Server: evil\r\nX-Forwarded-Port: 1\r\nX-Host: evil",
    "host, IIS": b"X-Original-Host: evil",
    "prefix": b"X-Forwarded-Prefix: /evil\r\nX-Script-Name: /evil\r\nSCRIPT_NAME: /evil\r\nPATH_INFO: /evil",
    "path": b"X-Original-URL: /evil\r\nX-Rewrite-URL: /evil\r\nX-Forwarded-Uri: /evil\r\nX-Original-Uri: /evil",
    "path, underscores": b"X_Original_URL: /evil\r\nX_REWRITE_URL: /evil",
    "proxy of the environment": b"Proxy: http://evil",
    "user": b"X-Forwarded-User: evil\r\nRemote-User: evil\r\nX-Remote-User: evil\r\nX-Auth-Request-User: evil",
    "certificate": b"X-Forwarded-Client-Cert: evil\r\nSSL-Client-Verify: evil\r\nX-SSL-Client-CN: evil",
    "control of Envoy": b"X-Envoy-Internal: evil\r\nX-Envoy-Upstream-Rq-Timeout-Ms: evil",
    "files of the application": b"X-Accel-Mapping: evil\r\nX-Sendfile-Type: evil",
    "request id": b"X-Request-Id: evil\r\nX_Request_Id: evil\r\nX-Request_Id: evil",
    "length": b"Content_Length: 7777\r\nTransfer_Encoding: evil\r\nContent.Length: 7777",
    "a plugin's field": b"X-User-Id: evil",
    "a plugin's field, underscores": b"X_User_Id: evil",
    "a plugin's field, a mix": b"X-User_Id: evil\r\nX_User-Id: evil\r\nX.User.Id: evil",
    "a plugin's field as the plugin writes it": b"X_User_Id: evil\r\nX-User-Id: alice",
    "a plugin's field, listed": b"Connection: X-User-Id, X_User_Id, X-Seen\r\nX_User_Id: evil",
    "the gateway's fields, listed": b"Connection: X-Forwarded-For, X-Request-Id, Forwarded, Via, Host",
    "listed and disguised": b"Connection: x_forwarded_for\r\nX_Forwarded_For: evil\r\nX-Forwarded-For: evil",
    "stripped": b"X-Tenant: evil\r\nX_Tenant: evil\r\nx.tenant: evil",
    "stripped and listed": b"Connection: X-Tenant\r\nX-Tenant: evil",
    "the field of client_address": b"My-Client: evil\r\nMy_Client: evil",
}  # fmt: skip


class Identifies(Plugin[Any]):
    """Tells the application who the user is, and what an early hook saw."""

    name = "identifies"

    @hookimpl
    def gateway_request(self, request: Request) -> None:
        suspicious = [name for name, value in request.headers.items() if "evil" in value and "user" not in name.lower()]
        request.headers["X-Seen"] = f"{request.client_ip} {request.scheme} {suspicious}"

    @hookimpl
    def gateway_pre_proxy(self, request: Request) -> None:
        request.headers["X-User-Id"] = "alice"


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the standard library's name
        pass


@pytest.fixture(scope="module")
def application() -> Iterator[int]:
    """Run a WSGI application that shows its environment."""

    def show(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        body = json.dumps({name: value for name, value in environ.items() if isinstance(value, str)}).encode()
        start_response("200 OK", [("Content-Length", str(len(body)))])
        return [body]

    with make_server("127.0.0.1", 0, show, handler_class=_Quiet) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


@pytest.fixture(params=["plain", "tls"])
def certificate(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[ssl.SSLContext | None, ssl.SSLContext | None]:
    """Return a server's and a client's context, None without TLS."""
    if request.param == "plain":
        return None, None
    pair = make(tmp_path, "localhost")
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(pair.cert, pair.key)
    return server, ssl.create_default_context(cafile=str(pair.cert))


@pytest.fixture
async def gateway(
    tmp_path: Path,
    application: int,
    certificate: tuple[ssl.SSLContext | None, ssl.SSLContext | None],
) -> AsyncIterator[RunningProxy]:
    config = f"""
strip_headers: [x-tenant]
trusted_proxies: [192.0.2.1]
client_address: {{header: my-client}}
plugins: [{{name: identifies}}]
routes: [{{id: all, path_prefix: /, target: "http://127.0.0.1:{application}", preserve_host: true}}]
"""
    async with run_proxy(config, tmp_path, [Identifies], certificate[0]) as running:
        yield running


async def environ_of(peer: Peer, lines: bytes, body: bytes = b"") -> dict[str, str]:
    framing = b"Content-Length: %d\r\n" % len(body) if body else b""
    method = b"POST" if body else b"GET"
    await peer.send(b"%b / HTTP/1.1\r\nHost: good.example\r\n%b%b\r\n%b" % (method, lines, framing, body))
    status, _, told = await peer.response()
    assert status == 200
    found: dict[str, str] = json.loads(told)
    return found


def assert_is_the_gateways(environ: dict[str, str], scheme: str) -> None:
    assert [name for name, value in environ.items() if "evil" in value or value == "7777"] == []
    assert environ["HTTP_X_FORWARDED_FOR"] == "127.0.0.1"
    assert environ["HTTP_X_FORWARDED_PROTO"] == scheme
    assert environ["HTTP_X_FORWARDED_HOST"] == environ["HTTP_HOST"] == "good.example"
    assert environ["HTTP_X_FORWARDED_PORT"] not in {"", "1"}
    assert environ["HTTP_FORWARDED"] == f'for=127.0.0.1;proto={scheme};host="good.example"'
    assert environ["HTTP_VIA"] == "1.1 gateway"
    assert len(environ["HTTP_X_REQUEST_ID"]) == 32
    assert environ["HTTP_X_USER_ID"] == "alice"
    assert environ["HTTP_X_SEEN"] == f"127.0.0.1 {scheme} []"
    assert "HTTP_X_TENANT" not in environ
    assert (environ.get("SCRIPT_NAME", ""), environ["PATH_INFO"]) == ("", "/")


async def test_no_claim_of_a_client_passes_for_the_gateways_word(
    gateway: RunningProxy, certificate: tuple[ssl.SSLContext | None, ssl.SSLContext | None]
) -> None:
    scheme = "http" if certificate[0] is None else "https"
    context = certificate[1]
    failed = {}

    for name, lines in ATTACKS.items():
        for body in (b"", b"hello"):
            peer = await gateway.connect() if context is None else await gateway.connect_tls(context)
            try:
                for sent in (lines + b"\r\n", b"A: b\r\n", lines + b"\r\n", b"A: b\r\n" + lines + b"\r\nZ: y\r\n"):
                    assert_is_the_gateways(await environ_of(peer, sent, body), scheme)
            except AssertionError as error:
                failed[name] = str(error)
            finally:
                peer.close()

    assert failed == {}
