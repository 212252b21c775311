"""Attempt hooks over sockets: what they see, what they may change, and when they run."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from gateway_core.errors import UpstreamError
from gateway_core.hooks import Plugin
from gateway_core.hookspecs import hookimpl
from gateway_core.messages import Record, Request, UpstreamAttempt

from tests.core.proxy.bodies import GET, Upper
from tests.core.proxy.kit import Peer, Proxied, RawUpstream, StartProxy, StartUpstream, counts, field, fields, until

POST = b"POST /a%20b?q=1 HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\nabcdef"


def signs(mark: str, *, waits: bool = False) -> type[Plugin[Any]]:
    """Return a plugin that marks each attempt."""

    class Signs(Plugin[Any]):
        name = mark

        @hookimpl
        def gateway_attempt(self, request: Request, attempt: UpstreamAttempt) -> Any:
            attempt.headers["x-marks"] = attempt.headers.get("x-marks", "") + mark
            return self._later(attempt) if waits else None

        async def _later(self, attempt: UpstreamAttempt) -> None:
            await asyncio.sleep(0)
            attempt.headers["x-late"] = "1"

    return Signs


def config(upstream: RawUpstream, upstream_extra: str = "", route_extra: str = "", extra: str = "") -> str:
    return f"""
upstreams:
  - name: u
    endpoints: [{{url: "{upstream.url}"}}]
{upstream_extra}
routes:
  - id: all
    path_prefix: /
    target: u
{route_extra}
{extra}
"""


@pytest.mark.parametrize("waits", [False, True])
async def test_hooks_run_gateway_wide_then_of_the_route_then_of_the_upstream(
    start_proxy: StartProxy, start_upstream: StartUpstream, waits: bool
) -> None:
    upstream = await start_upstream()
    marks = [signs(mark, waits=waits) for mark in "abcd"]
    text = config(
        upstream,
        "    plugins: [{name: d}]",
        "    plugins: [{name: b}]",
        "plugins: [{name: c, order: after}, {name: a}]",
    )
    gateway = await start_proxy(text, marks)
    client = await gateway.connect()

    for _ in range(2):
        await client.send(GET)
        assert (await client.response())[0] == 200

    assert [field(head, b"x-marks") for head in upstream.heads] == [b"abcd"] * 2
    assert [field(head, b"x-late") for head in upstream.heads] == [b"1" if waits else None] * 2
    await until(lambda: not counts(gateway))


async def test_what_is_sent_is_final_but_for_the_fields(proxied: Proxied) -> None:
    seen: list[Any] = []

    class Looks(Plugin[Any]):
        name = "p"

        @hookimpl
        async def gateway_attempt(self, request: Request, attempt: UpstreamAttempt) -> None:
            with pytest.raises(TypeError):
                attempt.host = "other"
            seen.extend((attempt.raw_path, attempt.query_string, attempt.host, await request.read()))
            with pytest.raises(RuntimeError):
                request.set_body(b"other")
            attempt.headers["host"] = "other"
            attempt.headers["content-length"] = "1"
            attempt.headers["x-signed"] = "yes"

    gateway, upstream = await proxied(extra="plugins: [{name: p}]", plugins=[Looks])

    assert (await gateway.ask(POST))[0] == 200
    host = field(upstream.heads[0], b"host")
    assert seen == ["/a%20b", "q=1", (host or b"").decode(), b"abcdef"]
    assert fields(upstream.heads[0], b"content-length") == [b"6"]
    assert field(upstream.heads[0], b"x-signed") == b"yes"
    assert upstream.bodies == [b"abcdef"]


async def test_a_read_gives_what_filters_made(proxied: Proxied) -> None:
    seen: list[bytes] = []

    class Reads(Plugin[Any]):
        name = "p"

        @hookimpl
        def gateway_pre_proxy(self, request: Request) -> None:
            request.add_body_filter(Upper)

        @hookimpl
        async def gateway_attempt(self, request: Request) -> None:
            seen.append(await request.read())

    gateway, _ = await proxied(extra="plugins: [{name: p}]", plugins=[Reads])

    assert (await gateway.ask(POST))[0] == 200
    assert seen == [b"ABCDEF"]


async def test_a_retry_starts_from_fields_that_nobody_changed(
    start_proxy: StartProxy, start_upstream: StartUpstream
) -> None:
    heads: list[bytes] = []

    async def script(peer: Peer) -> None:
        while True:
            heads.append(await peer.head())
            status = b"503 No" if len(heads) == 1 else b"200 OK"
            await peer.send(b"HTTP/1.1 %b\r\nContent-Length: 0\r\n\r\n" % status)

    upstream = await start_upstream(script)
    text = config(upstream, "    retries: {attempts: 2, on: [503]}", "", "plugins: [{name: a}]")
    gateway = await start_proxy(text, [signs("a")])

    assert (await gateway.ask(GET))[0] == 200
    assert [field(head, b"x-marks") for head in heads] == [b"a", b"a"]


@pytest.mark.one_protocol(reason="a kept connection that is closed says nothing about its request over HTTP/1 only")
async def test_a_free_resend_runs_them_afresh(start_proxy: StartProxy, start_upstream: StartUpstream) -> None:
    count = 0
    heads: list[bytes] = []

    class Counts(Plugin[Any]):
        name = "a"

        @hookimpl
        async def gateway_attempt(self, attempt: UpstreamAttempt) -> None:
            nonlocal count
            count += 1
            attempt.headers["x-count"] = str(count)

    async def script(peer: Peer) -> None:
        heads.append(await peer.head())
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        if len(heads) == 1:  # the second request on this connection gets no response
            await peer.head()
            peer.reset()
            return
        await peer.rest()

    upstream = await start_upstream(script)
    gateway = await start_proxy(config(upstream, extra="plugins: [{name: a}]"), [Counts])
    client = await gateway.connect()

    for _ in range(2):
        await client.send(GET)
        assert (await client.response())[0] == 200
    assert [field(head, b"x-count") for head in heads] == [b"1", b"3"]


@pytest.mark.parametrize("policy", ["deny", "continue"])
async def test_a_failure_follows_on_error_and_is_not_retried(
    start_proxy: StartProxy, start_upstream: StartUpstream, policy: str
) -> None:
    records: list[Record] = []
    ran = 0

    class Fails(Plugin[Any]):
        name = "a"

        @hookimpl
        def gateway_attempt(self) -> None:
            nonlocal ran
            ran += 1
            raise ValueError("no")

        @hookimpl
        def gateway_log(self, record: Record) -> None:
            records.append(record)

    upstream = await start_upstream()
    text = config(
        upstream,
        "    retries: {attempts: 3, on: [connect-failure, reset, 503]}",
        "",
        f"plugins: [{{name: a, on_error: {policy}}}]",
    )
    gateway = await start_proxy(text, [Fails])

    status, _, _ = await gateway.ask(GET)

    assert (status, ran, len(upstream.heads)) == ((500, 1, 0) if policy == "deny" else (200, 1, 1))
    await until(lambda: records)
    assert records[0].reason == ("plugin.failed" if policy == "deny" else None)
    await until(lambda: not counts(gateway))


async def test_a_client_that_leaves_ends_a_hook_that_waits(proxied: Proxied) -> None:
    started, ended = asyncio.Event(), asyncio.Event()

    class Waits(Plugin[Any]):
        name = "p"

        @hookimpl
        async def gateway_attempt(self) -> None:
            started.set()
            try:
                await asyncio.Event().wait()
            finally:
                ended.set()

    gateway, upstream = await proxied(extra="plugins: [{name: p}]", plugins=[Waits])
    client = await gateway.connect()
    await client.send(GET)
    await started.wait()

    client.reset()

    async with asyncio.timeout(30):
        await ended.wait()
    await until(lambda: not counts(gateway))
    assert upstream.heads == []


async def test_mirrors_run_only_their_upstreams_with_what_is_sent(
    start_proxy: StartProxy, start_upstream: StartUpstream
) -> None:
    seen: list[Any] = []

    class Looks(Plugin[Any]):
        name = "m"

        @hookimpl
        async def gateway_attempt(self, request: Request, attempt: UpstreamAttempt) -> None:
            seen.append((await request.read(), request.headers.get("cookie")))
            attempt.headers["x-marks"] = "m"

    upstream, mirror = await start_upstream(), await start_upstream()
    text = f"""
upstreams:
  - name: u
    endpoints: [{{url: "{upstream.url}"}}]
  - name: copies
    endpoints: [{{url: "{mirror.url}"}}]
    plugins: [{{name: m}}]
routes:
  - {{id: all, path_prefix: /, target: u, mirror: {{target: copies}}}}
plugins: [{{name: a}}]
"""
    gateway = await start_proxy(text, [signs("a"), Looks])

    status, _, _ = await gateway.ask(POST.replace(b"Host: x\r\n", b"Host: x\r\nCookie: a=b\r\n"))

    assert status == 200
    await until(lambda: mirror.bodies)
    assert field(mirror.heads[0], b"x-marks") == b"m"
    assert field(upstream.heads[0], b"x-marks") == b"a"
    assert seen == [(b"abcdef", None)]
    assert mirror.bodies == [b"abcdef"]


@pytest.mark.parametrize("request_bytes", [GET, POST])
async def test_an_attempt_hook_comes_too_late_to_change_the_body(proxied: Proxied, request_bytes: bytes) -> None:
    refused: list[str] = []

    class Late(Plugin[Any]):
        name = "p"

        @hookimpl
        def gateway_attempt(self, request: Request, attempt: UpstreamAttempt) -> None:
            try:
                request.set_body(b"late")
            except RuntimeError as error:
                refused.append(str(error))

    gateway, upstream = await proxied(extra="plugins: [{name: p}]", plugins=[Late])

    assert (await gateway.ask(request_bytes))[0] == 200

    assert refused == ["the request is on its way upstream: change its body before, up to pre-proxy"]
    assert not upstream.heads[0].endswith(b"late")


def refuses_once(statuses: list[int], *, asks: bool = True) -> type[Plugin[Any]]:
    """Return a plugin that has attempts repeated whose response is 401."""

    class Refreshes(Plugin[Any]):
        name = "a"

        @hookimpl
        def gateway_attempt(self, request: Request, attempt: UpstreamAttempt) -> None:
            def note(status: int) -> bool:
                statuses.append(status)
                return asks and status == 401

            attempt.headers["x-token"] = str(len(statuses))
            attempt.on_status(note)

    return Refreshes


@pytest.mark.parametrize(
    ("request_bytes", "answers", "seen", "sent"),
    [
        (GET, [401, 200], [401, 200], 200),
        (GET, [401, 401, 200], [401, 401], 401),
        (GET, [200], [200], 200),
        (POST, [401, 200], [401], 401),
    ],
    ids=["repeated", "once only", "not asked for", "not for POST"],
)
async def test_an_attempt_hook_sees_the_status_and_may_have_the_request_sent_once_more(
    start_proxy: StartProxy,
    start_upstream: StartUpstream,
    request_bytes: bytes,
    answers: list[int],
    seen: list[int],
    sent: int,
) -> None:
    heads: list[bytes] = []

    async def script(peer: Peer) -> None:
        while True:
            head = await peer.head()
            await peer.exactly(int(field(head, b"content-length") or b"0"))
            heads.append(head)
            await peer.send(b"HTTP/1.1 %d X\r\nContent-Length: 2\r\n\r\nhi" % answers[len(heads) - 1])

    statuses: list[int] = []
    upstream = await start_upstream(script)
    gateway = await start_proxy(config(upstream, extra="plugins: [{name: a}]"), [refuses_once(statuses)])

    assert (await gateway.ask(request_bytes))[0] == sent
    assert statuses == seen
    assert [field(head, b"x-token") for head in heads] == [b"%d" % number for number in range(len(seen))]
    await until(lambda: not counts(gateway))


async def test_a_query_parameter_of_a_hook_is_sent_and_shown_to_no_log(proxied: Proxied) -> None:
    logged: list[str] = []

    class Keys(Plugin[Any]):
        name = "p"

        @hookimpl
        def gateway_attempt(self, request: Request, attempt: UpstreamAttempt) -> None:
            attempt.set_query_parameter("key", "s3cret &")

        @hookimpl
        def gateway_log(self, request: Request, record: Record) -> None:
            logged.extend((request.query_string, request.sent_query))

    gateway, upstream = await proxied(extra="plugins: [{name: p}]", plugins=[Keys])

    assert (await gateway.ask(b"GET /a%20b?q=1&k%65y=mine HTTP/1.1\r\nHost: x\r\n\r\n"))[0] == 200
    assert upstream.heads[0].startswith(b"GET /a%20b?q=1&key=s3cret+%26 HTTP/1.1\r\n")
    await until(lambda: logged)
    assert logged == ["q=1&k%65y=mine"] * 2


async def test_an_upstream_error_of_a_hook_says_when_to_ask_again(proxied: Proxied) -> None:
    class Lacks(Plugin[Any]):
        name = "p"

        @hookimpl
        def gateway_attempt(self, request: Request, attempt: UpstreamAttempt) -> None:
            raise UpstreamError("no token", status=503, reason="upstream.no-credentials", retry_after=2.2)

    gateway, upstream = await proxied(extra="plugins: [{name: p}]", plugins=[Lacks])

    status, head, body = await gateway.ask(GET)

    assert (status, field(head, b"retry-after")) == (503, b"3")
    assert b"token" not in body
    assert upstream.heads == []
