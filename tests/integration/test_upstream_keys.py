"""What upstreams are configured to get, on a running gateway: addresses, Host, query, PROXY headers, copies, choice."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from gateway_core.clock import Clock, ManualClock
from gateway_core.testing import RunningGateway, ScriptedUpstream
from gateway_core.testing.loop_thread import eventually

from tests.integration.raw_server import RawConnection, RawServer
from tests.integration.wire import Wire
from tests.protocols.running import spoken_to_in_turn

GET = b"GET / HTTP/1.1\r\nHost: client.test:81\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def field(request: bytes, name: str) -> list[str]:
    lines = [line.partition(b":") for line in request.split(b"\r\n\r\n")[0].split(b"\r\n")[1:]]
    return [value.strip().decode() for key, _, value in lines if key.lower() == name.lower().encode()]


@contextmanager
def gateway_for(
    server: RawServer | ScriptedUpstream, route: dict[str, Any] | None = None, **upstream: Any
) -> Iterator[RunningGateway]:
    config = {
        "upstreams": [{"name": "u", "endpoints": [{"url": server.url}], **upstream}],
        "routes": [{"id": "r", "path_prefix": "/", "target": "u", **(route or {})}],
    }
    with before(config) as gateway:
        yield gateway


@contextmanager
def before(config: dict[str, Any], clock: Clock | None = None) -> Iterator[RunningGateway]:
    with RunningGateway(config, clock=clock) as running, spoken_to_in_turn(running) as gateway:
        yield gateway


def both(gateway: RunningGateway) -> Iterator[Wire]:
    """Yield a connection of either protocol."""
    for _ in range(2):
        with Wire.to(gateway) as wire:
            yield wire


@pytest.fixture
def upstream() -> Iterator[ScriptedUpstream]:
    with ScriptedUpstream() as running:
        yield running


# -- addresses and Host


@pytest.mark.parametrize("preserve", [None, False, True])
def test_a_unix_socket_gets_the_clients_host(tmp_path: Path, preserve: bool | None) -> None:
    more: dict[str, Any] = {} if preserve is None else {"preserve_host": preserve}
    with RawServer(OK, str(tmp_path / "s.sock")) as server, gateway_for(server, **more) as gateway:
        for wire in both(gateway):
            assert [wire.ask(GET).body for _ in range(2)] == [b"ok"] * 2

    assert [field(each, "host") for each in server.requests] == [["client.test:81"]] * 4
    assert server.connections == 1


def test_a_unix_socket_may_be_named_by_a_route_and_given_another_host(tmp_path: Path) -> None:
    with RawServer(OK, str(tmp_path / "s.sock")) as server:
        route = {"id": "r", "path_prefix": "/", "target": server.url, "rewrite": {"host": "inner.test"}}
        with before({"routes": [route]}) as gateway:
            assert [gateway.get("/").body for _ in range(2)] == [b"ok"] * 2

    assert [field(each, "host") for each in server.requests] == [["inner.test"]] * 2


def test_a_unix_socket_that_is_not_there_is_502_and_serves_once_it_is(tmp_path: Path) -> None:
    path = tmp_path / "s.sock"
    with before({"routes": [{"id": "r", "path_prefix": "/", "target": f"unix:{path}"}]}) as gateway:
        assert gateway.get("/").status == 502

        with RawServer(OK, str(path)):
            assert gateway.get("/").status == 200


@pytest.mark.parametrize(
    ("of_upstream", "of_route", "host"),
    [
        (None, None, "endpoint"),
        (True, None, "client"),
        (False, True, "client"),
        (True, False, "endpoint"),
    ],
)
def test_the_routes_preserve_host_counts_before_the_upstreams(
    upstream: ScriptedUpstream, of_upstream: bool | None, of_route: bool | None, host: str
) -> None:
    given: dict[str, Any] = {} if of_upstream is None else {"preserve_host": of_upstream}
    route: dict[str, Any] = {} if of_route is None else {"preserve_host": of_route}
    with gateway_for(upstream, route, **given) as gateway:
        for wire in both(gateway):
            wire.ask(GET)

    expected = {"client": "client.test:81", "endpoint": f"127.0.0.1:{upstream.port}"}[host]
    assert [each.headers.get_all("host") for each in upstream.requests] == [[expected]] * 2


@pytest.mark.parametrize(
    ("query", "sent"),
    [
        ("a=1&b=2", "b=2&v=a%20b"),
        ("%61=1&b=2&v=old&v=older", "b=2&v=a%20b"),
        ("b=%20+x;y&&=&c", "b=%20+x;y&&=&c&v=a%20b"),
        ("", "v=a%20b"),
        ("a", "v=a%20b"),
        ("ab=1", "ab=1&v=a%20b"),
    ],
)
def test_a_query_is_removed_from_then_set_and_stays_to_the_letter(
    upstream: ScriptedUpstream, query: str, sent: str
) -> None:
    route = {"rewrite": {"query": {"remove": ["a"], "set": {"v": "a b"}}}}
    with gateway_for(upstream, route) as gateway:
        assert [gateway.get(f"/p?{query}").status for _ in range(2)] == [200] * 2

    assert [each.target for each in upstream.requests] == [f"/p?{sent}"] * 2


# -- what the client gets back


@pytest.mark.parametrize(
    ("location", "seen"),
    [
        ("{endpoint}/x?y=1#z", "http://client.test:81/api/x?y=1#z"),
        ("{endpoint}", "http://client.test:81/api/"),
        ("/x", "/api/x"),
        ("/", "/api/"),
        ("x", "x"),
        ("../x", "../x"),
        ("https://other.test/x", "https://other.test/x"),
        ("//other.test/x", "//other.test/x"),
    ],
)
def test_a_location_is_the_clients_again(upstream: ScriptedUpstream, location: str, seen: str) -> None:
    upstream.answer_with(302, b"", {"Location": location.format(endpoint=upstream.url)})
    route = {"path_prefix": "/api", "strip_path": True, "rewrite_response": {"location": True}}
    with gateway_for(upstream, route) as gateway:
        for wire in both(gateway):
            assert wire.ask(GET.replace(b"GET / ", b"GET /api/a ")).values("location") == [seen]
            assert (upstream.last.target, upstream.last.headers.get("x-forwarded-prefix")) == ("/a", "/api")


def test_cookies_get_the_clients_path_and_host(upstream: ScriptedUpstream) -> None:
    cookies = ["a=1; Path=/x; Secure", "b=2; Domain=inner.test; path=/", "c=3", "d=4; Path=/x/../y"]
    upstream.answer_with(200, b"ok", [("Set-Cookie", each) for each in cookies])
    route = {
        "path_prefix": "/api",
        "strip_path": True,
        "rewrite": {"host": "inner.test"},
        "rewrite_response": {"cookie_path": True, "cookie_domain": True},
    }
    with gateway_for(upstream, route) as gateway:
        found, again = [wire.ask(GET.replace(b"GET / ", b"GET /api/a ")).values("set-cookie") for wire in both(gateway)]

    assert found == again
    assert found[0] == "a=1; Path=/api/x; Secure"
    assert "Domain=client.test" in found[1]
    assert found[1].lower().endswith("path=/api")
    assert found[2] == "c=3"


# -- PROXY protocol


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_each_connection_begins_with_the_header_of_its_client_alone(version: str) -> None:
    headers: list[bytes] = []

    def serve(connection: RawConnection) -> None:
        if version == "v1":
            data = b""
            while not data.endswith(b"\r\n"):
                data += connection.socket.recv(1)
        else:
            data = connection.socket.recv(16)
            data += connection.socket.recv(int.from_bytes(data[14:16], "big"))
        headers.append(data)
        while connection.request():
            connection.send(OK)

    with (
        RawServer(serve) as server,
        gateway_for(server, send_proxy_protocol=version) as gateway,
        Wire.to(gateway) as one,
        Wire.to(gateway) as other,
    ):
        assert [wire.ask(GET).body for wire in (one, other, one, other)] == [b"ok"] * 4

    assert len(server.requests) == 4
    if version == "v1":
        assert headers[0].startswith(b"PROXY TCP4 127.0.0.1 127.0.0.1 ")
        assert all(each.count(b"\r\n") == 1 for each in headers)
    else:
        assert headers[0][:14] == b"\r\n\r\n\0\r\nQUIT\n\x21\x11"
        assert headers[0][16:24] == bytes([127, 0, 0, 1] * 2)


def test_a_connection_with_a_header_never_serves_another_address() -> None:
    seen: list[tuple[str, str]] = []

    def serve(connection: RawConnection) -> None:
        line = b""
        while not line.endswith(b"\r\n"):
            line += connection.socket.recv(1)
        while request := connection.request():
            seen.append((line.split(b" ")[2].decode(), field(request, "x-forwarded-for")[0]))
            connection.send(OK)

    with RawServer(serve) as server:
        config = {
            "listen": [{"name": "a", "address": "127.0.0.1:0", "proxy_protocol": True}],
            "upstreams": [{"name": "u", "endpoints": [{"url": server.url}], "send_proxy_protocol": "v1"}],
            "routes": [{"id": "r", "path_prefix": "/", "target": "u"}],
        }
        with RunningGateway(config) as gateway:
            for address in ("192.0.2.1", "192.0.2.2", "192.0.2.1", "192.0.2.2"):
                with Wire.to(gateway) as wire:
                    wire.send(b"PROXY TCP4 %b 198.51.100.1 1000 80\r\n" % address.encode())
                    assert wire.ask(GET).status == 200

    assert seen == [(each, each) for each in ("192.0.2.1", "192.0.2.2") * 2]


# -- which endpoint, which target


def test_backups_serve_while_no_other_endpoint_can() -> None:
    with ExitStack() as stack:
        backup = stack.enter_context(RawServer(OK.replace(b"ok", b"bk")))
        main = stack.enter_context(RawServer(OK))
        endpoints = [{"url": main.url}, {"url": backup.url, "backup": True}]
        config = {
            "upstreams": [{"name": "u", "endpoints": endpoints, "retries": {"attempts": 1}}],
            "routes": [{"id": "r", "path_prefix": "/", "target": "u"}],
        }
        gateway = stack.enter_context(before(config))
        assert {gateway.get("/").body for _ in range(6)} == {b"ok"}

        main.close()

        assert {gateway.get("/").body for _ in range(3)} == {b"bk"}


@pytest.mark.parametrize("keeps", [{"sticky_cookie": {"name": "split"}}, {"hash_on": ["cookie:user"]}])
def test_a_client_stays_on_its_target(keeps: dict[str, Any]) -> None:
    with ExitStack() as stack:
        servers = {name: stack.enter_context(RawServer(OK.replace(b"ok", name.encode()))) for name in ("aa", "bb")}
        config = {
            "upstreams": [{"name": name, "endpoints": [{"url": server.url}]} for name, server in servers.items()],
            "routes": [{"id": "r", "path_prefix": "/", "targets": [{"target": "aa"}, {"target": "bb"}], **keeps}],
        }
        gateway = stack.enter_context(before(config))
        for user in range(8):
            first = gateway.get("/", headers={"Cookie": f"user={user}"})
            given = [each.partition(";")[0] for each in first.headers.get_all("set-cookie")]
            cookie = "; ".join([f"user={user}", *given])
            assert {gateway.get("/", headers={"Cookie": cookie}).body for _ in range(4)} == {first.body}
            assert bool(given) is ("sticky_cookie" in keeps)


def test_each_mirror_of_a_list_gets_its_share() -> None:
    with ExitStack() as stack:
        main, all_of_it, none_of_it = (stack.enter_context(ScriptedUpstream()) for _ in range(3))
        mirrors = [{"target": all_of_it.url, "percent": 100}, {"target": none_of_it.url, "percent": 0}]
        config = {"routes": [{"id": "r", "path_prefix": "/", "target": main.url, "mirror": mirrors}]}
        gateway = stack.enter_context(before(config))
        for number in range(5):
            assert gateway.post(f"/{number}", [b"ab", b"c"]).status == 200

        assert sorted(each.path for each in all_of_it.wait_for(5)) == [f"/{number}" for number in range(5)]
        assert {each.body for each in all_of_it.requests} == {b"abc"}
        gateway.settle()
        assert none_of_it.requests == []


def test_a_gathered_body_goes_up_with_its_length(upstream: ScriptedUpstream) -> None:
    with gateway_for(upstream, {"buffer_request": 1024}) as gateway:
        for _ in range(2):
            assert gateway.post("/", [b"ab", b"c"]).status == 200
            assert (upstream.last.body, upstream.last.headers.get("content-length")) == (b"abc", "3")
            assert "transfer-encoding" not in upstream.last.headers

            assert gateway.post("/", [b"x" * 600] * 2).status == 413
            assert gateway.post("/", b"x" * 1025).status == 413

    assert len(upstream.requests) == 2


# -- kept connections


def test_a_kept_connection_is_not_used_beyond_its_age() -> None:
    clock = ManualClock()
    with RawServer(OK) as server:
        config = {
            "upstreams": [{"name": "u", "endpoints": [{"url": server.url}], "keepalive": {"max_age": "10s"}}],
            "routes": [{"id": "r", "path_prefix": "/", "target": "u"}],
        }
        with before(config, clock) as gateway:
            assert [gateway.get("/").body for _ in range(2)] == [b"ok", b"ok"]
            assert (server.connections, server.ended) == (1, 0)

            clock.advance(11)
            eventually(lambda: server.ended == 1)

            assert gateway.get("/").body == b"ok"
            assert server.connections == 2


@pytest.mark.parametrize("via", [True, False, "edge-1"])
def test_requests_and_responses_carry_our_entry_of_via(upstream: ScriptedUpstream, via: bool | str) -> None:
    config = {"via": via, "routes": [{"id": "r", "path_prefix": "/", "target": upstream.url}]}
    name = via if isinstance(via, str) else "gateway" if via else None
    with before(config) as gateway:
        for version in ("2", "1.1"):
            answer = gateway.get("/", headers={"Via": "1.0 client"})

            assert answer.headers.get("via") == (name and f"1.1 {name}")
            assert upstream.last.headers.get("via") == (f"1.0 client, {version} {name}" if name else "1.0 client")
            assert ("cdn-loop" in upstream.last.headers) is (name is None)
