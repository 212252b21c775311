"""What a route can say of the requests that it takes, and what it makes of them, over both protocols."""

from __future__ import annotations

import pytest

from tests.core.proxy.kit import StartProxy, StartUpstream, field
from tests.core.proxy.route_kit import VERSIONS, request

pytestmark = pytest.mark.one_protocol(reason="its client speaks both")


def target_of(head: bytes) -> bytes:
    return head.split(b" ")[1]


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_route_takes_each_of_its_paths_and_changes_it_by_the_one_that_matched(
    start_proxy: StartProxy, start_upstream: StartUpstream, version: str
) -> None:
    upstream = await start_upstream()
    gateway = await start_proxy(
        f"""
routes:
  - id: all
    path: [/users, /v1/users/:id]
    path_prefix: /people
    path_regex: "/x-(?P<id>[0-9]+)"
    methods: [GET]
    target: "{upstream.url}"
  - id: moved
    path: [/old/:id, /older/:id/x]
    target: "{upstream.url}"
    rewrite: {{template: "/new/:id"}}
  - {{id: stripped, path_prefix: [/a, /b/c], target: "{upstream.url}", strip_path: true}}
"""
    )

    paths = ("/users", "/v1/users/7", "/people/x", "/x-3", "/old/1", "/older/2/x", "/a/y", "/b/c/y?q=1")
    for path in paths:
        assert (await request(gateway, version, f"x{path}")).status == 200
    assert (await request(gateway, version, "x/v1/users")).status == 404

    sent = [target_of(head) for head in upstream.heads]
    assert sent == [b"/users", b"/v1/users/7", b"/people/x", b"/x-3", b"/new/1", b"/new/2", b"/y", b"/y?q=1"]
    assert [field(head, b"x-forwarded-prefix") for head in upstream.heads[-2:]] == [b"/a", b"/b/c"]


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_route_without_path_takes_what_is_left(
    start_proxy: StartProxy, start_upstream: StartUpstream, version: str
) -> None:
    upstream = await start_upstream()
    gateway = await start_proxy(
        f'routes: [{{id: rest, target: "{upstream.url}"}}, {{id: own, path: /own, respond: {{status: 201}}}}]'
    )

    assert (await request(gateway, version, "x/own")).status == 201
    assert (await request(gateway, version, "x/anything/else")).status == 200


@pytest.mark.parametrize("version", VERSIONS)
async def test_hosts_rank_by_name_then_captured_label_then_wildcard(start_proxy: StartProxy, version: str) -> None:
    gateway = await start_proxy(
        """
routes:
  - {id: wide, hosts: ["*.example.com"], respond: {body: wide}}
  - {id: captured, hosts: [":tenant.example.com"], respond: {body: captured}}
  - {id: exact, hosts: [a.example.com], respond: {body: exact}}
"""
    )

    async def body(host: str) -> bytes:
        return (await request(gateway, version, f"{host}/")).body

    assert await body("a.example.com") == b"exact"
    assert await body("B.Example.com.:80") == b"captured"
    assert await body("a.b.example.com") == b"wide"
    assert (await request(gateway, version, "example.com/")).status == 404


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_captured_label_is_a_parameter(
    start_proxy: StartProxy, start_upstream: StartUpstream, version: str
) -> None:
    upstream = await start_upstream()
    gateway = await start_proxy(
        f"""
routes:
  - id: tenants
    hosts: [":tenant.example.com"]
    path: /:page
    params: {{tenant: {{none_of: [admin]}}, page: {{regex: "[a-z]+"}}}}
    target: "{upstream.url}"
    rewrite: {{template: "/:tenant/:page"}}
  - id: moved
    hosts: [":tenant.example.org"]
    redirect: {{host: example.com, path: "/:tenant"}}
"""
    )

    assert (await request(gateway, version, "Acme.example.com/users")).status == 200
    assert (await request(gateway, version, "admin.example.com/users")).status == 404
    assert (await request(gateway, version, "acme.example.com/7")).status == 404
    moved = await request(gateway, version, "acme.example.org/x")

    assert [target_of(head) for head in upstream.heads] == [b"/acme/users"]
    assert moved.headers["location"] == "http://example.com/acme"


CONDITIONS = """
trusted_proxies: [127.0.0.0/8]
routes:
  - {id: cookie, path: /cookie, cookies: {beta: {one_of: ["1", "yes"]}, off: {present: false}}, respond: {body: ok}}
  - {id: none, path: /none, headers: {x-kind: {none_of: [a, b]}}, query: {q: {none_of: ["1"]}}, respond: {body: ok}}
  - {id: network, path: /network, client_ip: {one_of: [10.0.0.0/8, "fd00::/8"]}, respond: {body: ok}}
  - {id: outside, path: /outside, client_ip: {none_of: [10.0.0.0/8]}, respond: {body: ok}}
  - {id: one, path: /one, client_ip: 10.1.2.3, respond: {body: ok}}
  - {id: secure, path: /secure, scheme: https, respond: {body: ok}}
"""
IN, OUT = ("X-Forwarded-For", "10.1.2.3"), ("X-Forwarded-For", "192.0.2.1")


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_route_takes_requests_that_meet_all_of_its_conditions(start_proxy: StartProxy, version: str) -> None:
    gateway = await start_proxy(CONDITIONS)
    table: list[tuple[str, list[tuple[str, str]], bool]] = [
        ("/cookie", [("Cookie", "a=b; beta=yes")], True),
        ("/cookie", [("Cookie", "beta=2")], False),
        ("/cookie", [], False),
        ("/cookie", [("Cookie", 'beta="1"'), ("Cookie", "off=1")], False),
        ("/none", [], True),
        ("/none?q=2", [("X-Kind", "c")], True),
        ("/none", [("X-Kind", "c"), ("X-Kind", "a")], False),
        ("/none?q=2&q=1", [], False),
        ("/network", [IN], True),
        ("/network", [("X-Forwarded-For", "fd00::1")], True),
        ("/network", [("X-Forwarded-For", "::ffff:10.0.0.1")], True),
        ("/network", [OUT], False),
        ("/outside", [OUT], True),
        ("/outside", [IN], False),
        ("/one", [IN], True),
        ("/one", [OUT], False),
        ("/secure", [("X-Forwarded-Proto", "https")], True),
        ("/secure", [], False),
    ]

    found = [(path, fields, (await request(gateway, version, f"x{path}", *fields)).status) for path, fields, _ in table]

    assert found == [(path, fields, 200 if holds else 404) for path, fields, holds in table]


async def test_who_is_not_trusted_says_no_address_and_no_scheme(start_proxy: StartProxy) -> None:
    gateway = await start_proxy(CONDITIONS.replace("trusted_proxies: [127.0.0.0/8]", ""))

    for path, fields in (("network", [IN]), ("one", [IN]), ("secure", [("X-Forwarded-Proto", "https")])):
        assert (await request(gateway, "1.1", f"x/{path}", *fields)).status == 404
    assert (await request(gateway, "1.1", "x/outside", IN)).status == 200


async def test_a_route_that_is_switched_off_takes_nothing(start_proxy: StartProxy) -> None:
    gateway = await start_proxy(
        """
routes:
  - {id: on, path_prefix: /, respond: {body: rest}}
  - {id: "off", path: /, enabled: false, respond: {body: own}}
"""
    )

    assert (await request(gateway, "1.1", "x/")).body == b"rest"


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_fixed_response_has_status_fields_and_body(start_proxy: StartProxy, version: str) -> None:
    gateway = await start_proxy(
        """
routes:
  - {id: health, path: /healthz, respond: {headers: {cache-control: no-store}, body: ok}}
  - {id: page, path: /page, respond: {status: 410, headers: {Content-Type: text/html}, body: "<p>gone"}}
  - {id: empty, path: /empty, respond: {status: 204}}
"""
    )

    health = await request(gateway, version, "x/healthz")
    page = await request(gateway, version, "x/page", method="PUT")
    empty = await request(gateway, version, "x/empty")

    assert (health.status, health.body) == (200, b"ok")
    assert health.headers["content-type"] == "text/plain; charset=utf-8"
    assert health.headers["cache-control"] == "no-store"
    assert (page.status, page.headers["content-type"], page.body) == (410, "text/html", b"<p>gone")
    assert (empty.status, empty.body) == (204, b"")
    assert "content-type" not in empty.headers


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_redirect_changes_what_it_names(start_proxy: StartProxy, version: str) -> None:
    gateway = await start_proxy(
        """
trusted_proxies: [127.0.0.0/8]
routes:
  - {id: moved, path_prefix: /old, redirect: {scheme: https, port: 443, prefix: /new, status: 301}}
  - {id: port, path: /port, redirect: {port: 8443}}
  - {id: query, path: /query, query: {debug: {present: true}}, redirect: {query: {remove: [debug], set: {a: "1"}}}}
  - {id: status, path_prefix: /strip, strip_path: true, redirect: {status: 307}}
  - {id: secure, redirect: {scheme: https}}
  - {id: rest, respond: {body: rest}}
"""
    )

    async def location(url: str, *fields: tuple[str, str]) -> tuple[int, str | None]:
        reply = await request(gateway, version, url, *fields)
        return reply.status, reply.headers.get("location")

    assert await location("x:81/old/a?b") == (301, "https://x/new/a?b")
    assert await location("x:81/port") == (308, "http://x:8443/port")
    assert await location("x/query?debug=1&b=2") == (308, "/query?b=2&a=1")
    assert await location("x/strip/a") == (307, "/a")
    assert await location("x:81/y") == (308, "https://x/y")
    assert await location("x/y", ("X-Forwarded-Proto", "https")) == (200, None)
    assert await location("x/old/y", ("X-Forwarded-Proto", "https")) == (200, None)
