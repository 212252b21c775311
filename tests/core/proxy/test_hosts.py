"""Which Host values are served, in both forms of a request-target."""

from __future__ import annotations

import pytest

from tests.core.proxy.kit import StartProxy, StartUpstream, field

pytestmark = pytest.mark.one_protocol(reason="heads over HTTP/1 that are refused")

CONFIG = """
routes:
  - {{id: named, hosts: [a.test, "[::1]"], path_prefix: /, target: "{url}", preserve_host: true}}
  - {{id: moved, hosts: [moved.test], path_prefix: /, redirect: {{scheme: https, status: 301}}}}
"""
BAD = [
    b"a%zz", b"a%", b"a%4", b"a%00", b"a%2fb", b"a%40b", b":80", b"a..test", b".test", b"a.test:0", b"a.test:65536",
    b"a.test:8x", b"a.test, b.test", b"a.test,b.test", b"a b", b"a\tb", b"u@a.test", b"u:p@a.test", b"a.test/",
    b"a.test?", b"a.test#", b"[::1", b"[::1]x", b"[fe80::1%25eth0]", b"::1", b"a\x80", b"a\\b", b'"a"', b"<a>", b"http://a.test",
]  # fmt: skip
GOOD = [
    b"a.test", b"A.TEST", b"a.test.", b"a.test:80", b"a.test:", b"a.test.:8080", b"%61.test", b"a.tes%54", b"[::1]",
    b"[0:0::1]:80",
]  # fmt: skip


@pytest.mark.parametrize("host", BAD)
@pytest.mark.parametrize("line", [b"GET /", b"GET http://a.test/", b"POST /"])
async def test_a_host_that_is_no_authority_gets_400(
    start_proxy: StartProxy, start_upstream: StartUpstream, host: bytes, line: bytes
) -> None:
    upstream = await start_upstream()
    gateway = await start_proxy(CONFIG.format(url=upstream.url))

    response = await gateway.send(line + b" HTTP/1.1\r\nHost: " + host + b"\r\nContent-Length: 0\r\n\r\n")

    assert response.startswith(b"HTTP/1.1 400 ")
    assert not upstream.heads


@pytest.mark.parametrize("host", [host for host in BAD if not {*b" \t/?#"} & {*host}])
async def test_an_authority_in_the_target_is_held_to_the_same(
    start_proxy: StartProxy, start_upstream: StartUpstream, host: bytes
) -> None:
    upstream = await start_upstream()
    gateway = await start_proxy(CONFIG.format(url=upstream.url))

    response = await gateway.send(b"GET http://" + host + b"/x HTTP/1.1\r\nHost: a.test\r\n\r\n")

    assert response.startswith(b"HTTP/1.1 400 ")
    assert not upstream.heads


@pytest.mark.parametrize(
    "fields", [b"", b"Host: a.test\r\nHost: a.test\r\n", b"Host:\r\n", b"Host: a.test\r\nhost: b.test\r\n"]
)
async def test_no_host_and_several_get_400(
    start_proxy: StartProxy, start_upstream: StartUpstream, fields: bytes
) -> None:
    upstream = await start_upstream()
    gateway = await start_proxy(CONFIG.format(url=upstream.url))

    assert (await gateway.send(b"GET / HTTP/1.1\r\n" + fields + b"\r\n")).startswith(b"HTTP/1.1 400 ")
    assert not upstream.heads


@pytest.mark.parametrize("host", GOOD)
@pytest.mark.parametrize("is_absolute", [False, True])
async def test_all_ways_to_write_a_host_match_the_same_route(
    start_proxy: StartProxy, start_upstream: StartUpstream, host: bytes, is_absolute: bool
) -> None:
    upstream = await start_upstream()
    gateway = await start_proxy(CONFIG.format(url=upstream.url))
    target = b"http://" + host + b"/" if is_absolute else b"/"

    status, _, _ = await gateway.ask(b"GET " + target + b" HTTP/1.1\r\nHost: " + host + b"\r\n\r\n")

    assert status == 200
    assert field(upstream.heads[0], b"host") == host
    assert field(upstream.heads[0], b"x-forwarded-host") == host


async def test_http_1_0_needs_no_host(start_proxy: StartProxy, start_upstream: StartUpstream) -> None:
    upstream = await start_upstream()
    gateway = await start_proxy(f"routes:\n  - {{id: all, path_prefix: /, target: '{upstream.url}'}}")

    assert (await gateway.send(b"GET / HTTP/1.0\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
    assert (await gateway.send(b"GET / HTTP/1.0\r\nHost: a%zz\r\n\r\n")).startswith(b"HTTP/1.1 400 ")


async def test_a_redirect_names_the_host_as_it_was_sent(start_proxy: StartProxy) -> None:
    gateway = await start_proxy(CONFIG.format(url="http://127.0.0.1:1"))

    status, head, _ = await gateway.ask(b"GET /x HTTP/1.1\r\nHost: Moved.test\r\n\r\n")

    assert (status, field(head, b"location")) == (301, b"https://Moved.test/x")
