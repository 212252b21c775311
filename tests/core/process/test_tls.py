from __future__ import annotations

import asyncio
import re
import ssl
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import pytest
from gateway_core.process.certificates import server_names
from gateway_core.process.tls import AddressTls
from gateway_core.testing import RunningGateway, ScriptedUpstream

from tests.core.process.certificates import Authority, Pair, address_tls, listener, make, serving, trusting_all, use
from tests.programs import program

Ask = Callable[..., Awaitable[tuple[str, Any]]]


@pytest.fixture
def a(tmp_path: Path) -> Pair:
    return make(tmp_path, "a", "a.test")


@pytest.fixture
def b(tmp_path: Path) -> Pair:
    return make(tmp_path, "b", "b.test", "*.b.test")


@pytest.fixture
async def tls(a: Pair, b: Pair) -> AddressTls:
    return address_tls(listener(a, certificates=[b.config()]))


@pytest.fixture
async def ask(tls: AddressTls, tmp_path: Path) -> AsyncIterator[Ask]:
    """Ask a server for a name; returns whose certificate it showed and whose it saw."""
    seen: list[Any] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(writer.get_extra_info("peercert"))
        writer.write(b"hello")
        writer.close()

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

    async with serving(tls, serve) as port:
        yield connect


@pytest.mark.parametrize("newest", [True, False])
@pytest.mark.parametrize(
    ("name", "shown"),
    [("a.test", "a.test"), ("b.test", "b.test"), ("X.B.test", "b.test"), ("x.y.b.test", "a.test"), ("", "a.test")],
)
async def test_the_server_name_selects_the_certificate(ask: Ask, name: str, shown: str, newest: bool) -> None:
    assert (await ask(name, newest=newest))[0] == shown


async def test_new_certificates_serve_the_next_handshake(ask: Ask, tls: AddressTls, b: Pair) -> None:
    assert (await ask("other"))[0] == "a.test"

    use(tls, listener(b))

    assert (await ask("other"))[0] == "b.test"


async def test_a_client_certificate_is_asked_for_and_verified(
    ask: Ask, tls: AddressTls, a: Pair, tmp_path: Path
) -> None:
    known, stranger = make(tmp_path, "known"), make(tmp_path, "stranger")
    assert (await ask("a.test", known))[1] in (None, {})

    use(tls, listener(a, client_ca=str(known.cert)))

    _, seen = await ask("a.test", known)
    assert dict(part[0] for part in seen["subject"])["commonName"] == "known"
    for client in (None, stranger):
        with pytest.raises((OSError, ssl.SSLError, AssertionError)):
            await ask("a.test", client)


async def test_an_optional_client_certificate_may_be_missing(
    ask: Ask, tls: AddressTls, a: Pair, tmp_path: Path
) -> None:
    known = make(tmp_path, "known")
    use(tls, listener(a, client_ca=str(known.cert), client_auth="optional"))

    assert (await ask("a.test"))[1] in (None, {})
    assert (await ask("a.test", known))[1]


async def test_ciphers_are_those_that_are_configured(ask: Ask, tls: AddressTls, a: Pair) -> None:
    use(tls, listener(a, ciphers="ECDHE-ECDSA-AES256-GCM-SHA384"))
    assert (await ask("a.test", newest=False, ciphers="ECDHE-ECDSA-AES256-GCM-SHA384"))[0] == "a.test"
    with pytest.raises(OSError):  # noqa: PT011 - asyncio closes before the alert is sent
        await ask("a.test", newest=False, ciphers="ECDHE-ECDSA-AES128-GCM-SHA256")

    assert (await ask("a.test"))[0] == "a.test"


@pytest.mark.parametrize("name", ["", "unknown.test", "x.y.b.test"])
async def test_strict_sni_refuses_names_that_no_certificate_covers(
    ask: Ask, tls: AddressTls, a: Pair, b: Pair, name: str
) -> None:
    use(tls, listener(a, certificates=[b.config()], strict_sni=True))

    assert (await ask("x.b.test"))[0] == "b.test"
    with pytest.raises(OSError):  # noqa: PT011 - asyncio closes before the alert is sent
        await ask(name)


@pytest.mark.parametrize("newest", [True, False])
async def test_a_revoked_client_certificate_is_refused(
    ask: Ask, tls: AddressTls, a: Pair, tmp_path: Path, newest: bool
) -> None:
    authority = Authority(tmp_path / "authority")
    good, bad = authority.issue("good"), authority.issue("bad")
    keys = {"client_ca": str(authority.ca.cert), "client_crl": str(authority.crl)}
    authority.publish()
    use(tls, listener(a, **keys))
    assert (await ask("a.test", bad, newest))[1]

    authority.revoke(bad)
    authority.publish()
    use(tls, listener(a, **keys))

    assert (await ask("a.test", good, newest))[1]
    with pytest.raises((OSError, AssertionError)):
        await ask("a.test", bad, newest)


@pytest.mark.parametrize("newest", [True, False])
async def test_an_expired_revocation_list_refuses_every_client(
    ask: Ask, tls: AddressTls, a: Pair, tmp_path: Path, newest: bool
) -> None:
    authority = Authority(tmp_path / "authority")
    client = authority.issue("client")
    authority.publish("20200102030405Z")
    use(tls, listener(a, client_ca=str(authority.ca.cert), client_crl=str(authority.crl)))

    with pytest.raises((OSError, AssertionError)):
        await ask("a.test", client, newest)


@pytest.mark.parametrize("newest", [True, False])
async def test_certificates_with_other_kinds_of_keys_serve_one_name(
    tls: AddressTls, a: Pair, tmp_path: Path, newest: bool
) -> None:
    rsa, other = make(tmp_path, "rsa", "a.test", "rsa.test", key="rsa"), make(tmp_path, "other", "other.test")
    use(tls, listener(a, certificates=[other.config(), rsa.config()]))

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with serving(tls, serve) as port:
        for name in ("a.test", ""):
            assert await shown_to(port, name, "ECDSA+SHA256", newest) == ["a.test"]
            assert await shown_to(port, name, "RSA-PSS+SHA256", newest) == ["a.test", "rsa.test"]


async def shown_to(port: int, name: str, algorithms: str, newest: bool) -> list[str]:
    """Return the names of the certificate that a client with these signature algorithms gets."""
    arguments = ["-connect", f"127.0.0.1:{port}", "-sigalgs", algorithms, "-tls1_3" if newest else "-tls1_2"]
    arguments += ["-servername", name] if name else ["-noservername"]
    client = await asyncio.create_subprocess_exec(
        "openssl", "s_client", *arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    out, _ = await client.communicate()
    with NamedTemporaryFile() as file:
        file.write(re.search(rb"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----\n", out, re.DOTALL)[0])  # type: ignore[index]
        file.flush()
        return server_names(file.name)


def chosen_hosts(tls: AddressTls, name: str) -> tuple[str, ...]:
    chosen = tls.choose(name)
    assert chosen is not None
    return chosen.listener.hosts


def test_the_most_specific_host_chooses_the_listener(a: Pair) -> None:
    tls = address_tls(listener(a, "*.test"), listener(a, "*.b.test", "c.test"), listener(a, "x.b.test"), listener(a))

    assert chosen_hosts(tls, "x.b.test") == ("x.b.test",)
    assert chosen_hosts(tls, "y.b.test") == chosen_hosts(tls, "z.y.b.test") == ("*.b.test", "c.test")
    assert chosen_hosts(tls, "c.test") == ("*.b.test", "c.test")
    assert chosen_hosts(tls, "b.test") == ("*.test",)
    assert chosen_hosts(tls, "test") == chosen_hosts(tls, "") == chosen_hosts(tls, "other") == ()


def test_without_a_listener_for_all_names_the_first_without_client_certificates_is_chosen(a: Pair) -> None:
    ca = {"client_ca": str(a.cert)}
    asking, plain, last = listener(a, "a.test", **ca), listener(a, "b.test"), listener(a, "c.test")

    for name in ("", "other.test"):
        assert chosen_hosts(address_tls(asking, plain, last), name) == ("b.test",)
        # Where all of them ask, a client without a certificate gets nowhere.
        assert chosen_hosts(address_tls(asking, listener(a, "b.test", **ca)), name) == ("a.test",)


def test_a_listener_keeps_its_sessions_while_others_join_and_leave(a: Pair, b: Pair) -> None:
    first, second = listener(a, "a.test"), listener(b, "b.test")
    tls = address_tls(first)

    def context() -> ssl.SSLContext:
        chosen = tls.choose("a.test")
        assert chosen is not None
        return chosen.context

    before = context()
    use(tls, second, first)
    assert context() is before
    use(tls, first)
    assert context() is before
    use(tls, listener(a, "a.test", min_version="1.3"))
    assert context() is not before


def test_a_host_is_covered_by_the_name_that_was_asked_for_and_its_certificate(tmp_path: Path) -> None:
    first = make(tmp_path, "first", "a.test", "*.a.test", "b.test")
    other = make(tmp_path, "other", "c.test")
    tls = address_tls(listener(first, certificates=[other.config()]))

    def covered(server_name: str) -> list[str]:
        chosen = tls.choose(server_name)
        assert chosen is not None
        hosts = ("a.test", "A.test.:8443", "x.a.test", "y.x.a.test", "b.test:443", "c.test", "d.test", "[::1]:443", "")
        return [host for host in hosts if chosen.covers(host)]

    assert covered("a.test") == covered("X.a.test") == ["a.test", "A.test.:8443", "x.a.test", "b.test:443"]
    assert covered("c.test") == ["c.test"]
    assert covered("d.test") == ["a.test", "A.test.:8443", "x.a.test", "b.test:443", "d.test"]


@pytest.mark.parametrize(("host", "statuses"), [("b.test", (200, 200)), ("c.test", (421, 200)), ("d.test", (421, 200))])
def test_over_http2_a_host_that_is_not_covered_gets_421(tmp_path: Path, host: str, statuses: tuple[int, int]) -> None:
    first, other = make(tmp_path, "first", "a.test", "b.test"), make(tmp_path, "other", "c.test")
    with (
        ScriptedUpstream() as upstream,
        RunningGateway(
            f"listen: {{address: '127.0.0.1:0', tls: {{cert: {first.cert}, key: {first.key}, "
            f"certificates: [{{cert: {other.cert}, key: {other.key}}}]}}}}\n"
            f"routes: [{{id: all, path_prefix: /, target: '{upstream.url}'}}]\n"
        ) as gateway,
    ):
        url = f"https://a.test:{gateway.port}/"
        command = [
            program("curl", "curl"),
            "-sk",
            "-w",
            "%{http_code} ",
            "--resolve",
            f"a.test:{gateway.port}:127.0.0.1",
        ]
        for version, status in zip(("--http2", "--http1.1"), statuses, strict=True):
            # Twice over one connection: the second head may come from what is remembered of the first.
            run = subprocess.run(
                [*command, version, "-o", "/dev/null", "-o", "/dev/null", "-H", f"Host: {host}", url, url],
                capture_output=True,
                check=True,
                text=True,
            )
            assert run.stdout.split() == [str(status)] * 2
