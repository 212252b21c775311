"""What upstreams get of a request that a route rewrites, and what clients get of their responses."""

from __future__ import annotations

from typing import Any

import pytest
from gateway_core.hooks import Plugin
from gateway_core.hookspecs import hookimpl
from gateway_core.messages import Request, Response

from tests.core.proxy.kit import Peer, RawUpstream, RunningProxy, StartProxy, StartUpstream, field, fields


class Writing(Plugin[dict[str, Any]]):
    """Writes the fields of its configuration; ``upstream`` chooses another upstream."""

    name = "writing"
    config_schema = {"type": "object"}

    @hookimpl
    def gateway_pre_proxy(self, request: Request) -> None:
        for name, value in self.config.items():
            if name == "upstream":
                request.upstream = value
            else:
                request.headers[name] = value

    @hookimpl
    def gateway_response(self, response: Response) -> None:
        response.headers["X-Seen"] = response.headers.get("location", "")


GET = b"GET /api/users?debug=1&q=a+b HTTP/1.1\r\nHost: shop.example\r\n\r\n"


def line(head: bytes) -> bytes:
    return head.partition(b"\r\n")[0]


async def asked(gateway: RunningProxy, data: bytes = GET, times: int = 3) -> list[tuple[int, bytes, bytes]]:
    """Send a request several times over one connection, the later ones from the cache of heads."""
    client = await gateway.connect()
    found = []
    for _ in range(times):
        await client.send(data)
        found.append(await client.response())
    return found


async def sent(start_proxy: StartProxy, upstream: RawUpstream, route: str, plugins: str = "", extra: str = "") -> bytes:
    """Return the head that goes upstream, which is the same each time but for the request's id."""
    gateway = await start_proxy(
        f'{extra}routes: [{{id: r, path_prefix: /api, target: "{upstream.url}", {route}, plugins: [{plugins}]}}]',
        plugins=[Writing],
    )
    await asked(gateway)

    heads = [head.partition(b"\r\nX-Request-Id: ")[0] for head in upstream.heads]
    assert len(set(heads)) == 1
    return heads[0]


@pytest.mark.parametrize("plugins", ["", "{name: writing}", "{name: writing, config: {x-a: b}}"])
async def test_host_query_and_path_are_rewritten_together(
    start_proxy: StartProxy, start_upstream: StartUpstream, plugins: str
) -> None:
    rewrite = "strip_path: true, rewrite: {host: users.internal, query: {set: {source: a b}, remove: [debug]}}"

    head = await sent(start_proxy, await start_upstream(), rewrite, plugins)

    assert line(head) == b"GET /users?q=a+b&source=a%20b HTTP/1.1"
    assert fields(head, b"host") == [b"users.internal"]
    assert fields(head, b"x-forwarded-host") == [b"shop.example"]
    assert fields(head, b"x-forwarded-prefix") == [b"/api"]


@pytest.mark.parametrize(
    ("plugin", "host"),
    [
        ("{name: writing, config: {host: mine.test}}", b"mine.test"),
        ("{name: writing, config: {host: shop.example}}", b"shop.example"),
        ("{name: writing}", b"users.internal"),
    ],
)
async def test_a_host_that_a_plugin_assigns_comes_first(
    start_proxy: StartProxy, start_upstream: StartUpstream, plugin: str, host: bytes
) -> None:
    head = await sent(start_proxy, await start_upstream(), "rewrite: {host: users.internal}", plugin)

    assert fields(head, b"host") == [host]


@pytest.mark.parametrize(
    ("trusted", "plugin", "prefix"),
    [
        ("[]", "", [b"/api"]),
        ("[127.0.0.1]", "", [b"/outer/api"]),
        ("[]", "{name: writing, config: {x-forwarded-prefix: /mine}}", [b"/mine"]),
        ("[127.0.0.1]", "{name: writing, config: {x-forwarded-prefix: /mine}}", [b"/mine"]),
    ],
)
async def test_the_prefix_stands_behind_a_trusted_proxys_and_gives_way_to_a_plugins(
    start_proxy: StartProxy, start_upstream: StartUpstream, trusted: str, plugin: str, prefix: list[bytes]
) -> None:
    upstream = await start_upstream()
    gateway = await start_proxy(
        f"trusted_proxies: {trusted}\n"
        f'routes: [{{id: r, path_prefix: /api, target: "{upstream.url}", strip_path: true, plugins: [{plugin}]}}]',
        plugins=[Writing],
    )

    await asked(gateway, b"GET /api/x HTTP/1.1\r\nHost: a\r\nX-Forwarded-Prefix: /outer/\r\n\r\n")

    assert [fields(head, b"x-forwarded-prefix") for head in upstream.heads] == [prefix] * 3


async def test_each_target_is_sent_what_its_rewrite_says(
    start_proxy: StartProxy, start_upstream: StartUpstream
) -> None:
    first, second = await start_upstream(), await start_upstream()
    gateway = await start_proxy(f"""
upstreams:
  - {{name: a, preserve_host: true, endpoints: [{{url: "{first.url}"}}]}}
  - {{name: b, endpoints: [{{url: "{second.url}"}}]}}
routes:
  - id: r
    path_prefix: /api
    strip_path: true
    targets: [{{target: a}}, {{target: b, rewrite: {{prefix: /v2, host: b.test}}}}]
""")

    await asked(gateway, b"GET /api/x HTTP/1.1\r\nHost: shop.example\r\n\r\n", times=4)

    assert [(line(head), field(head, b"host")) for head in first.heads] == [(b"GET /x HTTP/1.1", b"shop.example")] * 2
    assert [(line(head), field(head, b"host")) for head in second.heads] == [(b"GET /v2/x HTTP/1.1", b"b.test")] * 2


async def test_an_upstream_that_a_plugin_chooses_is_sent_what_is_its_own(
    start_proxy: StartProxy, start_upstream: StartUpstream
) -> None:
    first, second, third = [await start_upstream() for _ in range(3)]
    gateway = await start_proxy(
        f"""
upstreams:
  - {{name: a, endpoints: [{{url: "{first.url}"}}]}}
  - {{name: b, endpoints: [{{url: "{second.url}"}}]}}
  - {{name: c, preserve_host: true, endpoints: [{{url: "{third.url}"}}]}}
routes:
  - id: target
    path: /target
    targets: [{{target: a}}, {{target: b, weight: 0, rewrite: {{host: b.test}}}}]
    plugins: [{{name: writing, config: {{upstream: b}}}}]
  - {{id: other, path: /other, target: a, plugins: [{{name: writing, config: {{upstream: c}}}}]}}
""",
        plugins=[Writing],
    )

    await asked(gateway, b"GET /target HTTP/1.1\r\nHost: shop.example\r\n\r\n")
    await asked(gateway, b"GET /other HTTP/1.1\r\nHost: shop.example\r\n\r\n")

    assert first.heads == []
    assert [field(head, b"host") for head in second.heads] == [b"b.test"] * 3
    assert [field(head, b"host") for head in third.heads] == [b"shop.example"] * 3


COOKIE = b"Set-Cookie: a=b; Path=/x; Domain=users.internal\r\n"
MOVED = b"HTTP/1.1 302 Found\r\nLocation: %b\r\n" + COOKIE + b"Content-Length: 2\r\n\r\nok"


@pytest.mark.parametrize("plugins", ["", "{name: writing}"])
async def test_responses_are_in_the_clients_words_also_for_hooks(
    start_proxy: StartProxy, start_upstream: StartUpstream, plugins: str
) -> None:
    upstream = await start_upstream(MOVED % b"http://users.internal/login?a=1")
    gateway = await start_proxy(
        "trusted_proxies: [127.0.0.1]\n"
        f'routes: [{{id: r, path_prefix: /api, target: "{upstream.url}", strip_path: true, plugins: [{plugins}], '
        "rewrite: {host: users.internal}, "
        "rewrite_response: {location: true, cookie_path: true, cookie_domain: true}}]",
        plugins=[Writing],
    )
    request = (
        b"GET /api/users HTTP/1.1\r\nHost: gw\r\nX-Forwarded-Host: shop.example\r\nX-Forwarded-Proto: https\r\n\r\n"
    )

    for status, head, body in await asked(gateway, request):
        assert (status, body) == (302, b"ok")
        assert fields(head, b"location") == [b"https://shop.example/api/login?a=1"]
        assert fields(head, b"set-cookie") == [b"a=b; Path=/api/x; Domain=shop.example"]
        assert fields(head, b"x-seen") == ([b"https://shop.example/api/login?a=1"] if plugins else [])


@pytest.mark.parametrize(
    ("path", "seen"), [(b"/v2/a", b"http://shop.example/api/a"), (b"/b", b"http://shop.example/b")]
)
async def test_urls_of_the_host_that_was_sent_become_the_clients(
    start_proxy: StartProxy, start_upstream: StartUpstream, path: bytes, seen: bytes
) -> None:
    async def move(peer: Peer) -> None:
        head = await peer.head()
        await peer.send(MOVED % (b"http://%b%b" % (field(head, b"host") or b"", path)))

    upstream = await start_upstream(move)
    gateway = await start_proxy(
        f'routes: [{{id: r, path_prefix: /api, target: "{upstream.url}", rewrite: {{prefix: /v2}}, '
        "rewrite_response: {location: true}}]"
    )

    ((_, head, _),) = await asked(gateway, times=1)

    assert fields(head, b"location") == [seen]


async def test_without_rewrite_response_nothing_changes(start_proxy: StartProxy, start_upstream: StartUpstream) -> None:
    upstream = await start_upstream(MOVED % b"/login")
    gateway = await start_proxy(f'routes: [{{id: r, path_prefix: /api, target: "{upstream.url}", strip_path: true}}]')

    ((_, head, _),) = await asked(gateway, times=1)

    assert fields(head, b"location") == [b"/login"]
    assert fields(head, b"set-cookie") == [b"a=b; Path=/x; Domain=users.internal"]
