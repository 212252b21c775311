"""Requests at an address that listeners share: their Host decides."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import pytest
from gateway_core.testing import RunningGateway

from tests.core.process.certificates import make
from tests.core.proxy.kit import RunningProxy, StartProxy, StartUpstream, field

SHARED = """
listen:
  - {{name: web, address: "127.0.0.1:0", hosts: [web.test, "*.web.test"], trusted_proxies: [127.0.0.1]}}
  - {{name: api, address: "127.0.0.1:0", hosts: [api.web.test]}}
routes:
  - {{id: api, path_prefix: /, target: "{api}", listeners: [api]}}
  - {{id: web, path_prefix: /, target: "{web}"}}
"""


def get(host: bytes, more: bytes = b"") -> bytes:
    return b"GET / HTTP/1.1\r\nHost: %b\r\n%b\r\n" % (host, more)


async def statuses(gateway: RunningProxy, *requests: bytes) -> list[int]:
    """Send requests over one connection."""
    client = await gateway.connect()
    found = []
    for request in requests:
        await client.send(request)
        found.append((await client.response())[0])
    return found


async def test_the_host_of_each_request_decides_over_routes_and_trust(
    start_proxy: StartProxy, start_upstream: StartUpstream
) -> None:
    web, api = await start_upstream(), await start_upstream()
    gateway = await start_proxy(SHARED.format(web=web.url, api=api.url))
    forwarded = b"X-Forwarded-For: 192.0.2.1\r\n"

    found = await statuses(
        gateway,
        *[get(b"a.web.test", forwarded)] * 3,
        *[get(b"API.web.test:80", forwarded)] * 3,
        get(b"a.web.test", forwarded),
    )

    assert found == [200] * 7
    assert [field(head, b"x-forwarded-for") for head in web.heads] == [b"192.0.2.1, 127.0.0.1"] * 4
    assert [field(head, b"x-forwarded-for") for head in api.heads] == [b"127.0.0.1"] * 3


async def test_a_host_of_no_listener_gets_404_and_the_connection_goes_on(
    start_proxy: StartProxy, start_upstream: StartUpstream
) -> None:
    web, api = await start_upstream(), await start_upstream()
    gateway = await start_proxy(SHARED.format(web=web.url, api=api.url))

    found = await statuses(gateway, *[get(b"other.test")] * 3, get(b"web.test"))

    assert found == [404, 404, 404, 200]
    assert (len(web.heads), len(api.heads)) == (1, 0)


async def test_the_same_fields_with_another_target_are_as_unwelcome_as_before(
    start_proxy: StartProxy, start_upstream: StartUpstream
) -> None:
    web, api = await start_upstream(), await start_upstream()
    gateway = await start_proxy(SHARED.format(web=web.url, api=api.url))

    found = await statuses(gateway, *(get(b"other.test").replace(b" / ", b" /%d " % number) for number in (1, 2, 3, 3)))

    assert found == [404] * 4
    assert (len(web.heads), len(api.heads)) == (0, 0)


async def test_a_reload_changes_what_the_next_request_of_a_connection_gets(
    start_proxy: StartProxy, start_upstream: StartUpstream
) -> None:
    web, api = await start_upstream(), await start_upstream()
    text = SHARED.format(web=web.url, api=api.url)
    gateway = await start_proxy(text)
    client = await gateway.connect()

    found = []
    for config in (text, text.replace("hosts: [api.web.test]", "hosts: [other.test]")):
        await gateway.reload(config)
        for _ in range(3):
            await client.send(get(b"other.test"))
            found.append((await client.response())[0])

    assert found == [404] * 3 + [200] * 3
    assert len(api.heads) == 3


@pytest.fixture
def files(tmp_path: Path) -> Path:
    for name in ("web", "partners", "client"):
        make(tmp_path, name, f"{name}.test")
    return tmp_path


async def status(port: int, folder: Path, sni: str, host: str, *, shows_certificate: bool) -> int:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if shows_certificate:
        context.load_cert_chain(folder / "client.crt", folder / "client.key")
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname=sni)
    writer.write(b"GET / HTTP/1.1\r\nHost: %b\r\nConnection: close\r\n\r\n" % host.encode())
    head = await reader.readline()
    writer.close()
    return int(head[9:12])


@pytest.mark.parametrize(
    ("sni", "host", "shows_certificate", "expected"),
    [
        ("partners.test", "partners.test", True, 200),
        ("web.test", "web.test", False, 200),
        ("web.test", "partners.test", False, 421),
        ("web.test", "partners.test", True, 421),
        ("partners.test", "web.test", True, 421),
    ],
)
async def test_a_client_that_was_authenticated_for_another_listener_gets_421(
    files: Path, start_upstream: StartUpstream, sni: str, host: str, *, shows_certificate: bool, expected: int
) -> None:
    upstream = await start_upstream()
    certificates = {name: f'cert: "{files}/{name}.crt", key: "{files}/{name}.key"' for name in ("web", "partners")}
    config = f"""
listen:
  - {{name: web, address: "127.0.0.1:0", tls: {{{certificates["web"]}}}}}
  - name: partners
    address: "127.0.0.1:0"
    hosts: [partners.test]
    tls: {{{certificates["partners"]}, client_ca: "{files}/client.crt"}}
routes: [{{id: r, path_prefix: /, target: "{upstream.url}"}}]
"""
    with RunningGateway(config) as gateway:
        assert await status(gateway.port, files, sni, host, shows_certificate=shows_certificate) == expected

    assert len(upstream.heads) == (expected == 200)
