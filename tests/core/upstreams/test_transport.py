from __future__ import annotations

import asyncio
import datetime
import ssl
from collections.abc import AsyncIterator
from ipaddress import ip_address
from pathlib import Path
from random import Random
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from gateway_core.clock import SystemClock
from gateway_core.config import HealthCheckConfig, UpstreamConfig, UpstreamTlsConfig
from gateway_core.upstreams import Endpoint, EndpointSpec
from gateway_core.upstreams.checker import Checker
from gateway_core.upstreams.resolver import Resolver
from gateway_core.upstreams.transport import TlsSettings, TransportSettings, has_name, make_tls_context, with_digest


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[str, str]:
    """A certificate for users.test and 127.0.0.1 that signs itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "users.test")])
    start = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    names: list[x509.GeneralName] = [x509.DNSName("users.test"), x509.IPAddress(ip_address("127.0.0.1"))]
    built = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + datetime.timedelta(days=36500))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate, private = tmp_path / "cert.pem", tmp_path / "key.pem"
    certificate.write_bytes(built.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return str(certificate), str(private)


@pytest.fixture
async def endpoint(certificate: tuple[str, str]) -> AsyncIterator[Endpoint]:
    async def response(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        writer.close()

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    server = await asyncio.start_server(response, "127.0.0.1", 0, ssl=context)
    yield Endpoint(EndpointSpec("https", "127.0.0.1", server.sockets[0].getsockname()[1]))
    server.close()
    await server.wait_closed()


def tls(**config: Any) -> TlsSettings:
    return TlsSettings(UpstreamTlsConfig.model_construct(**config))


async def check(endpoint: Endpoint, settings: TlsSettings) -> str:
    checker = Checker(
        EndpointSpec("https", endpoint.host, endpoint.port),
        HealthCheckConfig.model_construct(timeout=10.0),
        resolver=Resolver(),
        clock=SystemClock(),
        rng=Random(1),
        tls=make_tls_context(settings),
        server_name=settings.server_name,
    )
    await checker.check()
    return checker.health.last_check_error


async def test_an_endpoint_is_verified_against_the_given_authority(
    endpoint: Endpoint, certificate: tuple[str, str]
) -> None:
    assert await check(endpoint, tls(ca=certificate[0])) == ""
    assert await check(endpoint, tls(ca=certificate[0], server_name="users.test")) == ""
    assert "other.test" in await check(endpoint, tls(ca=certificate[0], server_name="other.test"))


async def test_an_endpoint_that_nobody_vouches_for_fails_unless_told_otherwise(endpoint: Endpoint) -> None:
    assert "is not trusted: self-signed certificate" in await check(endpoint, TlsSettings())
    assert await check(endpoint, tls(verify=False)) == ""


def test_a_client_certificate_is_read(certificate: tuple[str, str], tmp_path: Path) -> None:
    make_tls_context(tls(cert=certificate[0], key=certificate[1]))

    with pytest.raises(FileNotFoundError):
        make_tls_context(tls(cert=str(tmp_path / "none.pem"), key=certificate[1]))
    with pytest.raises(ssl.SSLError):
        make_tls_context(tls(cert=certificate[1], key=certificate[1]))


async def test_sans_replace_the_name_that_is_asked_for(endpoint: Endpoint, certificate: tuple[str, str]) -> None:
    for sans in (("users.test",), ("none.test", "127.0.0.1")):
        assert await check(endpoint, tls(ca=certificate[0], server_name="other.test", sans=sans)) == ""
    for sans in (("none.test",), ("other.test", "127.0.0.2")):
        error = await check(endpoint, tls(ca=certificate[0], server_name="users.test", sans=sans))
        assert f"none of the names {', '.join(sans)}" in error


async def test_sans_do_not_vouch_for_a_certificate_of_an_unknown_authority(endpoint: Endpoint) -> None:
    assert "is not trusted: self-signed certificate" in await check(endpoint, tls(sans=("users.test",)))


@pytest.mark.parametrize(
    ("found", "name", "is_same"),
    [
        (("DNS", "users.test"), "Users.Test.", True),
        (("DNS", "*.test.example"), "users.test.example", True),
        (("DNS", "*.test.example"), "a.users.test.example", False),
        (("DNS", "*.test.example"), "test.example", False),
        (("DNS", "*.example"), "users.example", False),
        (("DNS", "u*.test.example"), "users.test.example", False),
        (("DNS", "users.test"), "spiffe://users.test", False),
        (("DNS", "127.0.0.1"), "::1", False),
        (("URI", "spiffe://example.com/users"), "spiffe://example.com/users", True),
        (("URI", "spiffe://example.com/users"), "spiffe://example.com/Users", False),
        (("IP Address", "2001:DB8:0:0:0:0:0:1"), "2001:db8::1", True),
        (("IP Address", "127.0.0.1"), "users.test", False),
        (("email", "users.test"), "users.test", False),
    ],
)
def test_how_names_of_a_certificate_match(found: tuple[str, str], name: str, is_same: bool) -> None:
    assert has_name({"subjectAltName": (("DNS", "x.test"), found)}, ["y.test", name]) is is_same


def test_settings_are_equal_only_if_their_files_are(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    digests = []
    for text in ("a", "b"):
        file.write_text(text)
        digests.append(with_digest(tls(ca=str(file))))

    assert digests[0] != digests[1]
    assert hash(digests[0]) != hash(digests[1])


def test_connections_depend_on_all_that_is_configured_of_them() -> None:
    config = UpstreamConfig.model_validate({"name": "u", "endpoints": [{"url": "http://a"}]})
    other = {
        "http1": {"tolerant": True},
        "keepalive": {"max_age": "5s"},
        "send_proxy_protocol": "v2",
        "tls": {"sans": ["a"]},
    }

    for key, value in other.items():
        changed = UpstreamConfig.model_validate({"name": "u", "endpoints": [{"url": "http://a"}], key: value})
        assert TransportSettings.of(changed) != TransportSettings.of(config)
