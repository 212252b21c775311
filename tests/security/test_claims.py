"""What a client claims must not reach an application as the gateway's word: read as a WSGI application reads it.

An attack is one more row of `claims`. Every row is sent over plain and TLS connections, with and without a body, on
a new connection and behind an innocent request on the same one; `test_http2_attacks.py` sends it over HTTP/2.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.core.process.certificates import make
from tests.core.proxy.kit import Peer, RunningProxy, run_proxy
from tests.security.claims import ATTACKS, CONFIG, Identifies, assert_is_the_gateways


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
    async with run_proxy(CONFIG.format(port=application), tmp_path, [Identifies], certificate[0]) as running:
        yield running


async def environ_of(peer: Peer, lines: bytes, body: bytes = b"") -> dict[str, str]:
    framing = b"Content-Length: %d\r\n" % len(body) if body else b""
    method = b"POST" if body else b"GET"
    await peer.send(b"%b / HTTP/1.1\r\nHost: good.example\r\n%b%b\r\n%b" % (method, lines, framing, body))
    status, _, told = await peer.response()
    assert status == 200
    found: dict[str, str] = json.loads(told)
    return found


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
