"""Heads of HTTP/2 on their way to an upstream of HTTP/1: no field, name or value becomes more than one over HTTP/1.

Whatever is refused reaches no upstream at all; the connection goes on.
"""

from __future__ import annotations

import pytest

from tests.core.proxy.downstream.http2_client import ENHANCE_YOUR_CALM, OK, Got, http2
from tests.core.proxy.downstream.http2_conformance import END_HEADERS, GET, POST, headers, literal, raw
from tests.core.proxy.kit import Peer, Proxied, RawUpstream, RunningProxy, field, fields

SMUGGLED = b"x\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: y\r\n\r\n"


def pseudo(**named: bytes | None) -> bytes:
    """Return a block of pseudo-header fields, those of a GET unless they are named; None leaves one out."""
    wanted: dict[str, bytes | None] = {"method": b"GET", "scheme": b"http", "authority": b"x", "path": b"/"}
    wanted.update(named)
    return b"".join(literal(b":" + name.encode(), value) for name, value in wanted.items() if value is not None)


def extra(name: bytes, value: bytes) -> bytes:
    return GET + literal(name, value)


def announced(value: bytes) -> bytes:
    return POST + literal(b"content-length", value)


REFUSED = {
    # -- names
    "CRLF in a name": extra(b"x\r\ny", b"1"),
    "CRLF and a field in a name": extra(b"x: 1\r\nhost: y\r\nz", b"1"),
    "LF in a name": extra(b"x\ny", b"1"),
    "NUL in a name": extra(b"x\0y", b"1"),
    "colon in a name": extra(b"host:y", b"1"),
    "colon behind a name": extra(b"content-length:", b"5"),
    "space in a name": extra(b"x y", b"1"),
    "space behind a name": extra(b"content-length ", b"5"),
    "tab in a name": extra(b"transfer-encoding\t", b"chunked"),
    "no name": extra(b"", b"1"),
    "an upper-case name": extra(b"Content-Length", b"5"),
    "another upper-case name": extra(b"hoSt", b"y"),
    "DEL in a name": extra(b"x\x7f", b"1"),
    "a high byte in a name": extra(b"x\xff", b"1"),
    "a bracket in a name": extra(b"x(y)", b"1"),
    # -- values
    "CRLF in a value": extra(b"x", SMUGGLED),
    "CR in a value": extra(b"x", b"a\rb"),
    "LF in a value": extra(b"x", b"a\nhost: y"),
    "NUL in a value": extra(b"x", b"a\0b"),
    "a control character in a value": extra(b"x", b"a\x01b"),
    "DEL in a value": extra(b"x", b"a\x7fb"),
    "a space before a value": extra(b"x", b" a"),
    "a tab behind a value": extra(b"x", b"a\t"),
    "CRLF at the end of a value": extra(b"x", b"a\r\n"),
    "CRLF in a cookie": extra(b"cookie", b"a=1\r\nx: y"),
    # -- :method
    "CRLF in :method": pseudo(method=b"GET / HTTP/1.1\r\nHost: y\r\n\r\nGET"),
    "space in :method": pseudo(method=b"GET /admin HTTP/1.1 X"),
    "no :method": pseudo(method=None),
    "an empty :method": pseudo(method=b""),
    "a lower-case :method": pseudo(method=b"get"),
    "a colon in :method": pseudo(method=b"GET:"),
    "a tab in :method": pseudo(method=b"GET\t/"),
    # -- :path
    "CRLF in :path": pseudo(path=b"/ HTTP/1.1\r\nHost: y\r\nX: "),
    "space in :path": pseudo(path=b"/ HTTP/1.1"),
    "tab in :path": pseudo(path=b"/\tx"),
    "NUL in :path": pseudo(path=b"/\0"),
    "a high byte in :path": pseudo(path=b"/\xc3\xa9"),
    "a fragment in :path": pseudo(path=b"/a#b"),
    "no :path": pseudo(path=None),
    "an empty :path": pseudo(path=b""),
    "a :path without a slash": pseudo(path=b"x/y"),
    "a :path that is a host": pseudo(path=b"@y/"),
    "an absolute :path": pseudo(path=b"http://y/admin"),
    "an asterisk with GET": pseudo(path=b"*"),
    "an asterisk and more with OPTIONS": pseudo(method=b"OPTIONS", path=b"*/x"),
    "a query alone as :path": pseudo(path=b"?x=1"),
    # -- :authority and host
    "CRLF in :authority": pseudo(authority=b"x\r\nX: y"),
    "space in :authority": pseudo(authority=b"x y"),
    "a path in :authority": pseudo(authority=b"x/admin"),
    "a query in :authority": pseudo(authority=b"x?y"),
    "a user in :authority": pseudo(authority=b"user@x"),
    "a bad port in :authority": pseudo(authority=b"x:y"),
    "several hosts in :authority": pseudo(authority=b"x,y"),
    "an open bracket in :authority": pseudo(authority=b"[::1"),
    "another host than :authority": pseudo() + literal(b"host", b"y"),
    "another port than :authority's": pseudo() + literal(b"host", b"x:81"),
    "host twice": pseudo(authority=None) + literal(b"host", b"x") + literal(b"host", b"x"),
    "a list of hosts": pseudo(authority=None) + literal(b"host", b"x, y"),
    "an empty host": pseudo(authority=None) + literal(b"host", b""),
    "neither :authority nor host": pseudo(authority=None),
    # -- :scheme
    "no :scheme": pseudo(scheme=None),
    "an empty :scheme": pseudo(scheme=b""),
    "a :scheme of something else": pseudo(scheme=b"file"),
    "a :scheme with a host": pseudo(scheme=b"http://y/"),
    "CRLF in :scheme": pseudo(scheme=b"http\r\nX: y"),
    # -- pseudo-header fields
    "one behind a field": pseudo(path=None) + literal(b"x", b"y") + literal(b":path", b"/"),
    "one behind host": pseudo(path=None, authority=None) + literal(b"host", b"x") + literal(b":path", b"/"),
    ":method twice": pseudo() + literal(b":method", b"GET"),
    ":path twice": pseudo() + literal(b":path", b"/admin"),
    ":authority twice": pseudo() + literal(b":authority", b"x"),
    ":scheme twice": pseudo() + literal(b":scheme", b"http"),
    "an unknown one": pseudo() + literal(b":version", b"HTTP/1.1"),
    "one of responses": pseudo() + literal(b":status", b"200"),
    "one without a name": pseudo() + literal(b":", b"x"),
    "one with an upper-case name": pseudo(path=None) + literal(b":Path", b"/"),
    # -- fields of the connection
    "connection": extra(b"connection", b"close"),
    "connection that names a field": extra(b"connection", b"x-forwarded-for"),
    "keep-alive": extra(b"keep-alive", b"timeout=5"),
    "proxy-connection": extra(b"proxy-connection", b"close"),
    "transfer-encoding": POST + literal(b"transfer-encoding", b"chunked"),
    "transfer-encoding of identity": extra(b"transfer-encoding", b"identity"),
    "upgrade": extra(b"upgrade", b"websocket"),
    "te of something else": extra(b"te", b"gzip"),
    "te of trailers and something else": extra(b"te", b"trailers, gzip"),
    # -- lengths
    "a length that is no number": announced(b"+5"),
    "a length with a sign": announced(b"-1"),
    "a length in hexadecimal digits": announced(b"0x5"),
    "an empty length": announced(b""),
    "lengths in one field": announced(b"5, 5"),
    "lengths in two fields": announced(b"5") + literal(b"content-length", b"6"),
    "a length beyond all numbers": announced(b"9" * 30),
    # -- methods that are for proxies
    "CONNECT": literal(b":method", b"CONNECT") + literal(b":authority", b"x:443"),
    "CONNECT with a :path": literal(b":method", b"CONNECT") + literal(b":authority", b"x") + literal(b":path", b"/"),
    "CONNECT without :authority": literal(b":method", b"CONNECT"),
    "an extended CONNECT without :path": pseudo(method=b"CONNECT", path=None) + literal(b":protocol", b"websocket"),
    ":protocol with GET": literal(b":protocol", b"websocket") + pseudo(),
    "CRLF in :protocol": literal(b":protocol", b"websocket\r\nX: y") + pseudo(method=b"CONNECT"),
    "TRACE": pseudo(method=b"TRACE"),
}  # fmt: skip


async def verdict(gateway: RunningProxy, block: bytes, *, flags: int = 0) -> Got:
    """Return what comes in response to a block; a connection that a refusal ends does not end the test."""
    async with http2(gateway) as client:
        await client.send(headers(block, 1, flags or END_HEADERS | 1))
        got = await client.response(1)
        assert not client.goaways
        client.skip_to(3)
        await client.send(headers(GET, 3))
        assert (await client.response(3)).status == 200
        return got


@pytest.mark.parametrize("block", REFUSED.values(), ids=[name.replace(" ", "-") for name in REFUSED])
async def test_a_head_that_could_mean_two_things_reaches_no_upstream(proxied: Proxied, block: bytes) -> None:
    gateway, upstream = await proxied(OK)
    got = await verdict(gateway, block)
    assert got.reset == 1 or 400 <= got.status < 600
    assert len(upstream.heads) == 1  # of the request behind it
    assert b"smuggled" not in upstream.heads[0]


async def served(proxied: Proxied, block: bytes) -> bytes:
    """Return the head that an upstream gets."""
    gateway, upstream = await proxied(OK)
    assert (await verdict(gateway, block)).status == 200
    return upstream.heads[0]


@pytest.mark.parametrize(
    ("block", "name", "value"),
    [
        (pseudo(authority=None) + literal(b"host", b"a.example"), b"x-forwarded-host", b"a.example"),
        (pseudo(authority=b"A.example:80") + literal(b"host", b"a.example:80"), b"x-forwarded-host", b"A.example:80"),
        (pseudo(authority=b"[::1]:8080"), b"x-forwarded-host", b"[::1]:8080"),
        (extra(b"cookie", b"a=1") + literal(b"x", b"y") + literal(b"cookie", b"b=2"), b"cookie", b"a=1; b=2"),
        (extra(b"cookie", b"a=1; b=2"), b"cookie", b"a=1; b=2"),
        (extra(b"x", b""), b"x", b""),
        (extra(b"x", b"\xc3\xa9"), b"x", b"\xc3\xa9"),
        (extra(b"te", b"trailers"), b"te", b"trailers"),
        (extra(b"http2-settings", b"AAMAAABkAARAAAAAAAIAAAAA"), b"http2-settings", None),
        (extra(b"content-length", b"0"), b"transfer-encoding", None),
        (pseudo(scheme=b"https"), b"x-forwarded-proto", b"http"),
    ],
)
async def test_a_head_that_means_one_thing_means_it_over_http_1(
    proxied: Proxied, block: bytes, name: bytes, value: bytes | None
) -> None:
    assert field(await served(proxied, block), name) == value


async def test_the_upstream_gets_one_host_one_cookie_and_one_framing(proxied: Proxied) -> None:
    head = await served(proxied, GET + literal(b"host", b"x") + literal(b"cookie", b"a") * 3)
    assert [len(fields(head, name)) for name in (b"host", b"cookie")] == [1, 1]
    assert not fields(head, b"content-length") + fields(head, b"transfer-encoding")


# -- what clients may not say of themselves


@pytest.mark.parametrize(
    "name",
    [
        b"x-real-ip", b"x-client-ip", b"true-client-ip", b"cf-connecting-ip", b"x-forwarded-prefix", b"x-forwarded-ssl",
        b"x-forwarded-scheme", b"x-forwarded-uri", b"x-forwarded-server", b"x-forwarded-user", b"x-original-url",
        b"x-rewrite-url", b"proxy", b"x-forwarded_for", b"x_forwarded_for", b"x_real_ip", b"forwarded",
        b"x-forwarded-client-cert",
    ],
)  # fmt: skip
async def test_fields_of_the_gateways_own_words_do_not_pass(proxied: Proxied, name: bytes) -> None:
    head = await served(proxied, extra(name, b"spoofed"))
    assert b"spoofed" not in head


@pytest.mark.parametrize(("name", "own"), [(b"x-forwarded-for", b"127.0.0.1"), (b"x-forwarded-host", b"x")])
async def test_fields_that_the_gateway_sets_are_its_own(proxied: Proxied, name: bytes, own: bytes) -> None:
    assert fields(await served(proxied, extra(name, b"9.9.9.9")), name) == [own]


# -- paths

PATHS = [
    b"/%00", b"/%0a", b"/%7f", b"/a\\b", b"/%", b"/%zz", b"/%c0%af", b"/.", b"/..", b"/a/../b", b"/%2e%2e/b",
    b"/a/%2e%2e", b"/a/.%2e/b", b"/a/..;/b", b"/a/..%3bx/b", b"/a%2Fb", b"/a%2fb", b"/a%5Cb", b"/%ff", b"//admin",
    b"/a//b", b"/admin;x", b"/public/..;/admin", b"/a%252fb", b"/%C3%A9", b"/a/", b"/a?b=/../c", b"/a?%00", b"/;/a",
    b"/a%20b", b"/~a", b"/%41dmin",
]  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
async def test_paths_are_refused_and_sent_on_as_over_http_1(proxied: Proxied, path: bytes) -> None:
    gateway, upstream = await proxied(OK)
    over_1, _, _ = await gateway.ask(b"GET %b HTTP/1.1\r\nHost: x\r\n\r\n" % path)
    first = [head.split(b"\r\n")[0] for head in upstream.heads]
    del upstream.heads[:]
    async with http2(gateway) as client:
        await client.send(headers(pseudo(path=path)))
        got = await client.response(1)
    assert (got.status or 400) == over_1
    assert [head.split(b"\r\n")[0] for head in upstream.heads] == first


@pytest.mark.parametrize("path", [b"//admin", b"/admin;x", b"/%61dmin", b"/admin/", b"/./admin", b"/x/..;/admin"])
async def test_a_protected_route_is_passed_by_over_neither_protocol(
    start_upstream: object, start_proxy: object, path: bytes
) -> None:
    upstream: RawUpstream = await start_upstream(OK)  # type: ignore[operator]
    gateway: RunningProxy = await start_proxy(  # type: ignore[operator]
        f"upstreams: [{{name: u, endpoints: [{{url: '{upstream.url}'}}]}}]\n"
        "routes:\n  - {id: admin, path_prefix: /admin, redirect: {path: /login, status: 302}}\n"
        "  - {id: all, path_prefix: /, target: u}\n"
    )
    async with http2(gateway) as client:
        await client.send(headers(pseudo(path=path)))
        got = await client.response(1)
    assert got.reset == 1 or got.status in {400, 302}
    assert not upstream.heads


# -- limits


async def test_fields_are_bounded_by_their_number(proxied: Proxied) -> None:
    gateway, upstream = await proxied(OK, "limits: {max_headers: 20}")
    got = await verdict(gateway, GET + literal(b"x", b"y") * 30)
    assert got.status == 431
    assert len(upstream.heads) == 1


ENTRY = b"\x40\x04bomb\x7f\x81\x1d" + b"v" * 3840


async def test_a_list_that_is_small_on_the_wire_is_measured_as_it_is(proxied: Proxied) -> None:
    """An entry of the table costs one byte again and again."""
    gateway, upstream = await proxied(OK)
    async with http2(gateway) as client:
        await client.send(headers(GET + ENTRY), headers(GET + b"\xbe" * 40, 3), headers(GET, 5))
        assert (await client.response(3)).status == 431
        assert (await client.response(5)).status == 200
    assert not any(b"bomb" in head and len(head) > 10_000 for head in upstream.heads)


async def test_a_list_that_goes_on_and_on_ends_its_connection(proxied: Proxied) -> None:
    gateway, upstream = await proxied(OK)
    async with http2(gateway) as client, http2(gateway) as other:
        await client.send(headers(GET + ENTRY), headers(GET + b"\xbe" * 16_000, 3))
        await client.end()
        assert client.goaways[-1][1] == ENHANCE_YOUR_CALM
        assert (await other.ask()).status == 200
    assert not any(b"bomb" in head and len(head) > 10_000 for head in upstream.heads)


@pytest.mark.parametrize("limit", [1000, 20_000])
async def test_a_list_that_is_as_large_as_its_block_gets_431_whatever_the_limit(proxied: Proxied, limit: int) -> None:
    gateway, _ = await proxied(OK, f"limits: {{max_head_bytes: {limit}}}")
    got = await verdict(gateway, GET + literal(b"x", b"v" * 16_000))
    assert got.status == (431 if limit < 16_000 else 200)


# -- trailers


async def trailers(proxied: Proxied, block: bytes) -> tuple[Got, bytes]:
    """Send a request with trailers; return its response, and all that the upstream got."""
    seen = bytearray()

    async def script(peer: Peer) -> None:
        seen.extend(await peer.head())
        seen.extend(await peer.reader.readuntil(b"0\r\n"))
        seen.extend(await peer.head() if block else b"")
        await peer.send(OK)

    gateway, _ = await proxied(script)
    async with http2(gateway) as client:
        await client.send(headers(POST, 1, END_HEADERS), raw(0, 0, 1, b"body"), headers(block))
        got = await client.response(1)
    return got, bytes(seen)


@pytest.mark.parametrize(
    "block",
    [
        literal(b"x", SMUGGLED), literal(b"x\r\ny", b"1"), literal(b"X", b"1"), literal(b":path", b"/"),
        literal(b"connection", b"close"), literal(b"transfer-encoding", b"chunked"), literal(b"te", b"gzip"),
        literal(b"", b"1"), literal(b"x y", b"1"), literal(b"x", b"a\0"),
    ],
)  # fmt: skip
async def test_trailers_that_are_no_fields_reset_the_stream(proxied: Proxied, block: bytes) -> None:
    gateway, _ = await proxied(OK)
    async with http2(gateway) as client:
        await client.send(headers(POST, 1, END_HEADERS), raw(0, 0, 1, b"body"), headers(block))
        assert (await client.response(1)).reset == 1
        client.skip_to(3)
        assert (await client.ask()).status == 200


@pytest.mark.parametrize("name", [b"content-length", b"host", b"authorization", b"x-forwarded-for", b"cookie"])
async def test_trailers_change_nothing_that_heads_say(proxied: Proxied, name: bytes) -> None:
    got, seen = await trailers(proxied, literal(name, b"9.9.9.9") + literal(b"x-sum", b"1"))
    if got.reset is None:
        assert got.status == 200
        assert b"9.9.9.9" not in seen
    else:
        assert got.reset == 1


# -- the way back


@pytest.mark.parametrize(
    "response",
    [
        b"HTTP/1.1 200 OK\r\nX: a\nY: b\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nX: a\rb\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nX y: a\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\n: a\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nX: a\r\n folded\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        b"HTTP/1.1 99 No\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nKeep-Alive: timeout=5\r\nConnection: x-own\r\nX-Own: 1\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nUpgrade: h2c\r\nConnection: upgrade\r\nProxy-Connection: x\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nX-UPPER: Case\r\nContent-Length:   2  \r\n\r\nok",
    ],
)
async def test_what_upstreams_of_http_1_say_is_well_formed_over_http_2(proxied: Proxied, response: bytes) -> None:
    gateway, _ = await proxied(response)
    async with http2(gateway) as client:
        got = await client.ask()
        assert got.status in {200, 502}
        for name, value in got.headers.items():
            assert name == name.lower()
            assert not set(name[1:]) & set(": \t\r\n\0")
            assert not set(value) & set("\r\n\0")
            assert value == value.strip()
        assert not {"connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade", "x-own"} & set(
            got.headers
        )
        assert not client.goaways
