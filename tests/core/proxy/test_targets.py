"""Routes with several targets: whose plugins run, which one a client stays on, and what if one is away."""

from __future__ import annotations

from typing import Any

import pytest
from gateway_core.hooks import Plugin
from gateway_core.hookspecs import hookimpl
from gateway_core.messages import Request, Response, UpstreamAttempt

from tests.core.proxy.kit import RawUpstream, StartProxy, StartUpstream, counts, field, fields, until

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


class Stamp(Plugin[Any]):
    """Writes the id of its binding into a field in each phase."""

    name = "stamp"

    @hookimpl
    def gateway_pre_proxy(self, request: Request) -> None:
        request.headers["X-Order"] = f"{request.headers.get('x-order', '')} {self.context.binding}".strip()

    @hookimpl
    def gateway_attempt(self, attempt: UpstreamAttempt) -> None:
        attempt.headers["X-Attempt"] = f"{attempt.headers.get('x-attempt', '')} {self.context.binding}".strip()

    @hookimpl
    def gateway_response(self, response: Response) -> None:
        response.headers["X-Order"] = f"{response.headers.get('x-order', '')} {self.context.binding}".strip()


def said(name: str) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nSet-Cookie: own=%b\r\n\r\n%b" % (name.encode(), name.encode())


async def started(
    start_proxy: StartProxy, start_upstream: StartUpstream, targets: str, more: str = "", top: str = ""
) -> tuple[Any, dict[str, RawUpstream]]:
    """Start the upstreams a, b and c, each of which says its name, and a route with targets."""
    upstreams = {name: await start_upstream(said(name)) for name in "abc"}
    named = ", ".join(f'{{name: {name}, endpoints: [{{url: "{each.url}"}}]}}' for name, each in upstreams.items())
    gateway = await start_proxy(
        f"upstreams: [{named}]\n{top}\nroutes: [{{id: all, path_prefix: /, targets: {targets}{more}}}]", [Stamp]
    )
    return gateway, upstreams


@pytest.mark.parametrize(("target", "own"), [("a", "of-a "), ("b", "")])
async def test_the_plugins_of_a_target_run_between_the_routes_and_those_behind(
    start_proxy: StartProxy, start_upstream: StartUpstream, target: str, own: str
) -> None:
    weights = {"a": "", "b": ", weight: 0"} if target == "a" else {"a": ", weight: 0", "b": ""}
    targets = f"[{{target: a{weights['a']}, plugins: [{{name: stamp, id: of-a}}]}}, {{target: b{weights['b']}}}]"
    gateway, upstreams = await started(
        start_proxy,
        start_upstream,
        targets,
        ", plugins: [{name: stamp, id: of-route}]",
        "plugins: [{name: stamp, id: first}, {name: stamp, id: last, order: after}]",
    )

    _, head, body = await gateway.ask(GET)

    assert body == target.encode()
    sent = upstreams[target].heads[0]
    assert field(sent, b"x-order") == f"first of-route {own}last".encode()
    assert field(sent, b"x-attempt") == f"first of-route last {own}".strip().encode()
    assert field(head, b"x-order") == " ".join(reversed(f"first of-route {own}last".split())).encode()


async def test_a_sticky_cookie_keeps_a_client_on_its_target_beside_the_cookies_of_the_upstream(
    start_proxy: StartProxy, start_upstream: StartUpstream
) -> None:
    gateway, _ = await started(start_proxy, start_upstream, "[{target: a}, {target: b}]", ", sticky_cookie: {name: s}")

    _, head, target = await gateway.ask(GET)
    own, sticky = fields(head, b"set-cookie")
    cookie = sticky.partition(b";")[0]
    again = [
        await gateway.ask(GET.replace(b"\r\n\r\n", b"\r\nCookie: x=1; %b; y=2\r\n\r\n" % cookie)) for _ in range(4)
    ]
    others = {(await gateway.ask(GET))[2] for _ in range(4)}

    assert own == b"own=" + target
    assert cookie.startswith(b"s=")
    assert {body for _, _, body in again} == {target}
    assert [fields(head, b"set-cookie") for _, head, _ in again] == [[own]] * 4
    assert others == {b"a", b"b"}


@pytest.mark.parametrize("source", ["client_ip", "header:x-user", "[cookie:none, header:x-user]", "query:user"])
async def test_a_client_stays_on_its_target_by_what_its_requests_have_in_common(
    start_proxy: StartProxy, start_upstream: StartUpstream, source: str
) -> None:
    targets = "[{target: a}, {target: b}, {target: c}]"
    gateway, _ = await started(start_proxy, start_upstream, targets, f", hash_on: {source}")

    def asked(user: int) -> bytes:
        return b"GET /?user=%d HTTP/1.1\r\nHost: x\r\nX-User: %d\r\n\r\n" % (user, user)

    one = {(await gateway.ask(asked(1)))[2] for _ in range(6)}
    many = {(await gateway.ask(asked(user)))[2] for user in range(40)}

    assert len(one) == 1
    assert len(many) == (1 if source == "client_ip" else 3)


async def test_a_backup_target_gets_requests_while_no_endpoint_of_the_others_is_well(
    start_proxy: StartProxy, start_upstream: StartUpstream
) -> None:
    backup = await start_upstream(said("c"))
    gateway = await start_proxy(
        f"""
upstreams:
  - name: away
    endpoints: [{{url: "http://127.0.0.1:1"}}]
    circuit_breaker: {{minimum_requests: 1, open_for: 60s}}
  - {{name: c, endpoints: [{{url: "{backup.url}"}}]}}
routes: [{{id: all, path_prefix: /, targets: [{{target: away}}, {{target: c, backup: true}}]}}]
"""
    )

    first = (await gateway.ask(GET))[0]
    later = [await gateway.ask(GET) for _ in range(3)]

    assert first == 502
    assert [(status, body) for status, _, body in later] == [(200, b"c")] * 3


@pytest.mark.parametrize("is_kept", [False, True], ids=["new connection", "kept connection"])
async def test_a_request_goes_to_another_endpoint_when_one_has_gone(
    start_proxy: StartProxy, start_upstream: StartUpstream, is_kept: bool
) -> None:
    well = await start_upstream(said("b"))

    async def goes(peer: Any) -> None:
        if is_kept:
            await peer.head()
            await peer.send(said("a"))
        await peer.head()
        peer.reset()

    gone = await start_upstream(goes)
    gateway = await start_proxy(
        f"""
upstreams: [{{name: u, retries: {{attempts: 2}}, endpoints: [{{url: "{gone.url}"}}, {{url: "{well.url}"}}]}}]
routes: [{{id: all, path_prefix: /, target: u}}]
"""
    )

    responses = [await gateway.ask(GET) for _ in range(6)]

    assert [status for status, _, _ in responses] == [200] * 6
    assert {body for _, _, body in responses} == ({b"a", b"b"} if is_kept else {b"b"})
    await until(lambda: not counts(gateway))
