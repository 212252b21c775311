"""What clients send that is odd, on a running gateway: one verdict however the request is framed, in plain words."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from gateway_core.testing import RunningGateway, ScriptedUpstream

from tests.core.process.certificates import Authority, Pair, make, trusting_all
from tests.integration.wire import Wire

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0"
FRAMINGS = {
    "no body": b"\r\n",
    "a length": b"Content-Length: 3\r\n\r\nabc",
    "chunks": b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
}
framings = pytest.mark.parametrize("framing", FRAMINGS.values(), ids=FRAMINGS)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return make(tmp_path_factory.mktemp("tls"), "localhost", "localhost", "partners.test", "other.test")


@pytest.fixture
def upstream() -> Iterator[ScriptedUpstream]:
    with ScriptedUpstream() as running:
        running.answer_with(200, b"ok")
        yield running


@pytest.fixture
def gateway(upstream: ScriptedUpstream) -> Iterator[RunningGateway]:
    with RunningGateway({"routes": [{"id": "r", "path_prefix": "/", "target": upstream.url}]}) as running:
        yield running


Shared = tuple[RunningGateway, Authority, dict[str, Any]]


def post(fields: bytes, framing: bytes, target: bytes = b"/") -> bytes:
    return b"POST " + target + b" HTTP/1.1\r\nHost: a.test\r\n" + fields + framing


@framings
@pytest.mark.parametrize(
    ("fields", "status"),
    [
        (b"User-Agent: a\r\nUser-Agent: b\r\n", 200),
        (b"Accept: a\r\naccept: b\r\n", 200),
        (b"Content-Type: a\r\nContent-Type: b\r\n", 200),
        (b"If-Match: a\r\nIf-Match: b\r\n", 200),
        (b"Referer: a\r\nReferer: b\r\n", 200),
        (b"Origin: http://a\r\nOrigin: http://b\r\n", 200),
        (b"Authorization: a\r\nAuthorization: b\r\n", 200),
        (b"X-Empty:\r\nX-Empty:\r\n", 200),
        (b"Host: b.test\r\n", 400),
        (b"Host: a.test\r\n", 400),
    ],
)
def test_fields_that_come_twice_get_one_verdict_whatever_the_framing(
    upstream: ScriptedUpstream, gateway: RunningGateway, fields: bytes, status: int, framing: bytes
) -> None:
    with Wire.to(gateway) as wire:
        assert wire.ask(post(fields, framing)).status == status

    if status == 200:
        name, _, value = fields.partition(b"\r\n")[0].partition(b":")
        assert upstream.last.headers.get_all(name.decode())[0] == value.strip().decode()
        assert len(upstream.last.headers.get_all(name.decode())) == 2
    else:
        assert upstream.requests == []


@framings
@pytest.mark.parametrize(
    "host", [b"a%zz", b"a%", b"a%4", b"a b", b"a/b", b"a@b", b"a\tb", b"[::1", b"a:99999x", b"a,b"]
)
def test_a_host_that_is_none_is_400_whatever_the_framing(
    upstream: ScriptedUpstream, gateway: RunningGateway, host: bytes, framing: bytes
) -> None:
    with Wire.to(gateway) as wire:
        assert wire.ask(post(b"", framing).replace(b"a.test", host)).status == 400

    assert upstream.requests == []


@framings
@pytest.mark.parametrize("policy", ["reject", "keep"])
@pytest.mark.parametrize("path", [b"/a%5Cb", b"/a%5cb", b"/a%5C..%5Cb", b"/%5C"])
def test_an_escaped_backslash_is_400_unless_it_is_kept(
    upstream: ScriptedUpstream, policy: str, path: bytes, framing: bytes
) -> None:
    config = {
        "path_policy": {"encoded_backslash": policy},
        "routes": [{"id": "r", "path_prefix": "/", "target": upstream.url}],
    }
    with RunningGateway(config) as gateway, Wire.to(gateway) as wire:
        status = wire.ask(post(b"", framing, path)).status

    if policy == "keep" and b".." not in path:
        assert (status, upstream.last.target) == (200, path.decode())
    else:
        assert (status, upstream.requests) == (400, [])


# -- protocols that are not spoken here


@pytest.mark.parametrize("data", [b"PRI * HTTP/2.1\r\n\r\n", b"\x16\x03\x01\x02\x00\x01", b"\0" * 40])
def test_another_protocol_is_refused_in_plain_words(
    upstream: ScriptedUpstream, gateway: RunningGateway, data: bytes
) -> None:
    with Wire.to(gateway) as wire:
        wire.send(data)
        found = wire.message()

    assert found.status in {400, 505}
    assert b"detail" in found.body
    assert upstream.requests == []


@pytest.fixture
def tls(upstream: ScriptedUpstream, pair: Pair) -> Iterator[RunningGateway]:
    config = {
        "listen": [{"name": "tls", "address": "127.0.0.1:0", "tls": pair.config()}],
        "routes": [{"id": "r", "path_prefix": "/", "target": upstream.url}],
    }
    with RunningGateway(config) as running:
        yield running


@pytest.mark.parametrize(
    "data", [b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"POST /x HTTP/1.0\r\n\r\n", PREFACE, b"get / http/1.1\r\n\r\n"]
)
def test_a_port_with_tls_says_so_to_clients_without(tls: RunningGateway, data: bytes) -> None:
    with Wire(tls.port) as wire:
        wire.send(data)
        found = wire.message()

    assert found.status in {400, 505}
    assert b"TLS" in found.body


@pytest.mark.parametrize(("offered", "chosen"), [(["h2", "http/1.1"], "h2"), (["http/1.1"], "http/1.1"), ([], None)])
def test_a_client_chooses_http2_by_what_it_offers(tls: RunningGateway, offered: list[str], chosen: str | None) -> None:
    context = trusting_all()
    if offered:
        context.set_alpn_protocols(offered)
    with Wire(tls.port) as plain:
        plain.socket = context.wrap_socket(plain.socket, server_hostname="localhost")
        assert plain.socket.selected_alpn_protocol() == chosen
        plain.send(PREFACE)
        if chosen == "h2":
            assert plain.socket.recv(9)[3] == 4  # SETTINGS
        else:
            # Behind TLS nobody begins with HTTP/2 who has not chosen it (RFC 9113 section 3.2).
            assert plain.message().status in {400, 505}


# -- much of everything


def test_pipelined_requests_with_odd_lines_hold_no_more_than_a_buffer(
    upstream: ScriptedUpstream, gateway: RunningGateway
) -> None:
    first = b"ODD /x HTTP/1.1\r\nHost: a\r\n\r\n"
    count = 60_000  # more than the buffers of the system take on both sides together
    with Wire.to(gateway) as wire, Wire.to(gateway) as other:
        wire.socket.settimeout(0.2)
        sent = 0
        request = b"GET /nothing HTTP/1.1\r\nHost: a\r\nX-Pad: " + b"x" * 400 + b"\r\n\r\n"
        data = first + request * count
        try:
            while sent < len(data):
                sent += wire.socket.send(data[sent : sent + 1_000_000])
        except TimeoutError:
            pass  # it is not read any further: no one reads the responses

        assert sent < len(data)
        assert other.ask(first).status == 200


# -- listeners that share an address


def ask(port: int, context: ssl.SSLContext, name: str | None, host: str) -> int:
    with Wire(port) as wire:
        context.check_hostname = False
        wire.socket = context.wrap_socket(wire.socket, server_hostname=name)
        return wire.ask(f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()).status


@pytest.fixture
def shared(upstream: ScriptedUpstream, pair: Pair, tmp_path: Path) -> Iterator[Shared]:
    authority = Authority(tmp_path / "ca")
    authority.publish()
    with ExitStack() as stack:
        free = stack.enter_context(ScriptedUpstream()).port  # a port that is free in a moment
        stack.close()
        partners = {**pair.config(), "client_ca": str(authority.ca.cert), "client_crl": str(authority.crl)}
        config: dict[str, Any] = {
            "listen": [
                {"name": "web", "address": f"127.0.0.1:{free}", "hosts": ["localhost"], "tls": pair.config()},
                {"name": "partners", "address": f"127.0.0.1:{free}", "hosts": ["partners.test"], "tls": partners},
            ],
            "routes": [
                {"id": "p", "path_prefix": "/", "target": upstream.url, "listeners": ["partners"]},
                {"id": "w", "path_prefix": "/", "target": upstream.url, "listeners": ["web"]},
            ],
        }
        with RunningGateway(config) as gateway:
            yield gateway, authority, config


def test_client_certificates_are_asked_for_on_one_host_of_an_address(shared: Shared) -> None:
    gateway, authority, _ = shared
    client = authority.issue("client")

    assert ask(gateway.port, trusting_all(), "localhost", "localhost") == 200
    assert ask(gateway.port, trusting_all(client), "partners.test", "partners.test") == 200
    with pytest.raises((ssl.SSLError, ConnectionError, EOFError)):
        ask(gateway.port, trusting_all(), "partners.test", "partners.test")
    # Without a certificate by the one name, and with the Host of the other.
    assert ask(gateway.port, trusting_all(), "localhost", "partners.test") == 421
    assert ask(gateway.port, trusting_all(), None, "partners.test") == 421
    assert ask(gateway.port, trusting_all(), "localhost", "PARTNERS.test:443") == 421
    assert ask(gateway.port, trusting_all(), "localhost", "other.test") == 404


def test_a_client_that_is_revoked_gets_in_no_more(shared: Shared) -> None:
    gateway, authority, config = shared
    client, other = authority.issue("client"), authority.issue("other")
    assert ask(gateway.port, trusting_all(client), "partners.test", "partners.test") == 200

    authority.revoke(client)
    authority.publish()
    gateway.reload(config)

    with pytest.raises((ssl.SSLError, ConnectionError, EOFError)):
        ask(gateway.port, trusting_all(client), "partners.test", "partners.test")
    assert ask(gateway.port, trusting_all(other), "partners.test", "partners.test") == 200


@pytest.mark.parametrize("name", [None, "unknown.test", "LOCALHOST", "localhost."])
def test_strict_sni_refuses_names_of_no_certificate(upstream: ScriptedUpstream, pair: Pair, name: str | None) -> None:
    config = {
        "listen": [{"name": "tls", "address": "127.0.0.1:0", "tls": {**pair.config(), "strict_sni": True}}],
        "routes": [{"id": "r", "path_prefix": "/", "target": upstream.url}],
    }
    with RunningGateway(config) as gateway:
        if name is not None and name.lower().startswith("localhost"):
            assert ask(gateway.port, trusting_all(), name.rstrip("."), "localhost") == 200
        else:
            with pytest.raises((ssl.SSLError, ConnectionError)):
                ask(gateway.port, trusting_all(), name, "localhost")
