from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from gateway_core.config import ListenTlsConfig
from gateway_core.server.tls import CertificateError, ListenerTls, files_of, load_certificates, server_names

from tests.core.server.certificates import Authority, Pair, make, trusting_all

Ask = Callable[..., Awaitable[tuple[str, Any]]]


@pytest.fixture
def a(tmp_path: Path) -> Pair:
    return make(tmp_path, "a", "a.test")


@pytest.fixture
def b(tmp_path: Path) -> Pair:
    return make(tmp_path, "b", "b.test", "*.b.test")


def config(**keys: Any) -> ListenTlsConfig:
    return ListenTlsConfig.model_validate(keys)


@pytest.fixture
async def tls(a: Pair, b: Pair) -> ListenerTls:
    return ListenerTls(load_certificates(config(**a.config(), certificates=[b.config()])))


@pytest.fixture
async def ask(tls: ListenerTls, tmp_path: Path) -> AsyncIterator[Ask]:
    """Ask a server for a name; returns whose certificate it showed and whose it saw."""
    seen: list[Any] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(writer.get_extra_info("peercert"))
        writer.write(b"hello")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls.context)
    port = server.sockets[0].getsockname()[1]

    async def connect(name: str, client: Pair | None = None, newest: bool = True, ciphers: str = "") -> tuple[str, Any]:
        context = trusting_all(client)
        if ciphers:
            context.set_ciphers(ciphers)
        if not newest:
            context.maximum_version = ssl.TLSVersion.TLSv1_2
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname=name)
        try:
            shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
            path = tmp_path / "shown.pem"
            path.write_text(ssl.DER_cert_to_PEM_cert(shown))
            assert await reader.read() == b"hello"
        finally:
            writer.transport.abort()
        return server_names(str(path))[0], seen[-1]

    yield connect
    server.close()
    await server.wait_closed()


@pytest.mark.parametrize("newest", [True, False])
@pytest.mark.parametrize(
    ("name", "shown"),
    [("a.test", "a.test"), ("b.test", "b.test"), ("X.B.test", "b.test"), ("x.y.b.test", "a.test"), ("", "a.test")],
)
async def test_the_server_name_selects_the_certificate(ask: Ask, name: str, shown: str, newest: bool) -> None:
    assert (await ask(name, newest=newest))[0] == shown


async def test_new_certificates_serve_the_next_handshake(ask: Ask, tls: ListenerTls, b: Pair) -> None:
    assert (await ask("other"))[0] == "a.test"

    tls.replace(load_certificates(config(**b.config())))

    assert (await ask("other"))[0] == "b.test"


async def test_a_client_certificate_is_asked_for_and_verified(
    ask: Ask, tls: ListenerTls, a: Pair, tmp_path: Path
) -> None:
    known, stranger = make(tmp_path, "known"), make(tmp_path, "stranger")
    assert (await ask("a.test", known))[1] in (None, {})

    tls.replace(load_certificates(config(**a.config(), client_ca=str(known.cert))))

    _, seen = await ask("a.test", known)
    assert dict(part[0] for part in seen["subject"])["commonName"] == "known"
    for client in (None, stranger):
        with pytest.raises((OSError, ssl.SSLError, AssertionError)):
            await ask("a.test", client)


async def test_an_optional_client_certificate_may_be_missing(
    ask: Ask, tls: ListenerTls, a: Pair, tmp_path: Path
) -> None:
    known = make(tmp_path, "known")
    tls.replace(load_certificates(config(**a.config(), client_ca=str(known.cert), client_auth="optional")))

    assert (await ask("a.test"))[1] in (None, {})
    assert (await ask("a.test", known))[1]


def test_a_missing_file_is_named(tmp_path: Path, a: Pair) -> None:
    with pytest.raises(CertificateError, match=r"cannot read '.*nowhere.pem': no such file"):
        load_certificates(config(cert=str(a.cert), key=str(tmp_path / "nowhere.pem")))


def test_a_key_of_another_certificate_is_refused(a: Pair, b: Pair) -> None:
    with pytest.raises(CertificateError, match="key values mismatch"):
        load_certificates(config(cert=str(a.cert), key=str(b.key)))


def test_a_file_that_is_no_certificate_is_refused(tmp_path: Path, a: Pair) -> None:
    nonsense = tmp_path / "nonsense"
    nonsense.write_text("nonsense")

    with pytest.raises(CertificateError, match="nonsense"):
        load_certificates(config(cert=str(nonsense), key=str(a.key)))
    with pytest.raises(CertificateError, match="client_ca"):
        load_certificates(config(**a.config(), client_ca=str(nonsense)))


def test_the_digest_follows_the_contents(a: Pair, b: Pair) -> None:
    first = load_certificates(config(**a.config()))
    again = load_certificates(config(**a.config()))
    a.cert.write_bytes(b.cert.read_bytes())
    a.key.write_bytes(b.key.read_bytes())

    assert first.digest == again.digest
    assert load_certificates(config(**a.config())).digest != first.digest


def test_names_every_file(a: Pair, b: Pair) -> None:
    named = files_of(config(**a.config(), certificates=[b.config()], client_ca=str(b.cert), client_crl="crl.pem"))

    assert set(named) == {a.cert, a.key, b.cert, b.key, Path("crl.pem")}


def test_the_digest_follows_the_settings(a: Pair, b: Pair) -> None:
    optional = config(**a.config(), client_ca=str(b.cert), client_auth="optional")
    required = config(**a.config(), client_ca=str(b.cert))

    assert load_certificates(optional).digest != load_certificates(required).digest


async def test_ciphers_are_those_that_are_configured(ask: Ask, tls: ListenerTls, a: Pair) -> None:
    tls.replace(load_certificates(config(**a.config(), ciphers="ECDHE-ECDSA-AES256-GCM-SHA384")))
    assert (await ask("a.test", newest=False, ciphers="ECDHE-ECDSA-AES256-GCM-SHA384"))[0] == "a.test"
    with pytest.raises(OSError):  # noqa: PT011 - asyncio closes before the alert is sent
        await ask("a.test", newest=False, ciphers="ECDHE-ECDSA-AES128-GCM-SHA256")

    assert (await ask("a.test"))[0] == "a.test"


@pytest.mark.parametrize("name", ["", "unknown.test", "x.y.b.test"])
async def test_strict_sni_refuses_names_that_no_certificate_covers(
    ask: Ask, tls: ListenerTls, a: Pair, b: Pair, name: str
) -> None:
    tls.replace(load_certificates(config(**a.config(), certificates=[b.config()], strict_sni=True)))

    assert (await ask("x.b.test"))[0] == "b.test"
    with pytest.raises(OSError):  # noqa: PT011 - asyncio closes before the alert is sent
        await ask(name)


@pytest.mark.parametrize("newest", [True, False])
async def test_a_revoked_client_certificate_is_refused(
    ask: Ask, tls: ListenerTls, a: Pair, tmp_path: Path, newest: bool
) -> None:
    authority = Authority(tmp_path / "authority")
    good, bad = authority.issue("good"), authority.issue("bad")
    keys = {"client_ca": str(authority.ca.cert), "client_crl": str(authority.crl)}
    authority.publish()
    tls.replace(load_certificates(config(**a.config(), **keys)))
    assert (await ask("a.test", bad, newest))[1]

    authority.revoke(bad)
    authority.publish()
    tls.replace(load_certificates(config(**a.config(), **keys)))

    assert (await ask("a.test", good, newest))[1]
    with pytest.raises((OSError, AssertionError)):
        await ask("a.test", bad, newest)


@pytest.mark.parametrize("newest", [True, False])
async def test_an_expired_revocation_list_refuses_every_client(
    ask: Ask, tls: ListenerTls, a: Pair, tmp_path: Path, newest: bool
) -> None:
    authority = Authority(tmp_path / "authority")
    client = authority.issue("client")
    authority.publish("20200102030405Z")
    tls.replace(
        load_certificates(config(**a.config(), client_ca=str(authority.ca.cert), client_crl=str(authority.crl)))
    )

    with pytest.raises((OSError, AssertionError)):
        await ask("a.test", client, newest)


def test_a_revocation_list_that_is_none_is_refused(a: Pair, tmp_path: Path) -> None:
    keys = {**a.config(), "client_ca": str(a.cert)}

    with pytest.raises(CertificateError, match=r"client_crl '.*a.crt' is not a PEM file of revocation lists"):
        load_certificates(config(**keys, client_crl=str(a.cert)))
    with pytest.raises(CertificateError, match=r"cannot read '.*nowhere'"):
        load_certificates(config(**keys, client_crl=str(tmp_path / "nowhere")))
