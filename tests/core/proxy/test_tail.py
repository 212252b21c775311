"""What a tail shows of requests through a real proxy: which match, and what is redacted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from gateway_core.messages import Record, Request
from gateway_core.observe.tail_filter import EVERY_REQUEST, TailFilter
from gateway_core.proxy.tail import Tail, entry_of, headers_of

from tests.core.proxy.kit import StartProxy, StartUpstream, until

CONFIG = """
upstreams: [{{name: users, endpoints: [{{url: "{url}"}}]}}]
routes: [{{id: users, path_prefix: /users, target: users}}]
"""


async def shown(
    start_proxy: StartProxy, start_upstream: StartUpstream, target: str, wanted: TailFilter = EVERY_REQUEST
) -> list[Mapping[str, Any]]:
    entries: list[Mapping[str, Any]] = []
    running = await start_proxy(CONFIG.format(url=(await start_upstream()).url))
    running.proxy.tail = Tail(entries.append, lambda: None)
    running.proxy.tail.filters = [wanted]
    peer = await running.connect()
    await peer.send(f"GET {target} HTTP/1.1\r\nHost: a.test\r\nCookie: secret-cookie\r\n\r\n".encode())
    await peer.response()
    await until(lambda: not running.proxy.exchanges)
    peer.close()
    return entries


async def test_a_request_has_what_access_logs_have_and_no_secret(
    start_proxy: StartProxy, start_upstream: StartUpstream
) -> None:
    (entry,) = await shown(start_proxy, start_upstream, "/users/1?api_key=secret-key&page=2")

    assert (entry["route"], entry["status"], entry["method"], entry["path"]) == ("users", 200, "GET", "/users/1")
    assert (entry["query"], entry["host"], entry["client"]) == ("api_key=REDACTED&page=2", "a.test", "127.0.0.1")
    assert (entry["upstream"], entry["attempts"], entry["produced_by"], entry["reason"]) == (
        "users", 1, "upstream", None,
    )  # fmt: skip
    assert entry["seconds"] >= entry["upstream_seconds"] > 0
    assert "secret" not in str(entry)


async def test_a_request_that_the_gateway_refuses_has_its_reason(
    start_proxy: StartProxy, start_upstream: StartUpstream
) -> None:
    (entry,) = await shown(start_proxy, start_upstream, "/nothing")

    assert (entry["route"], entry["status"], entry["reason"], entry["upstream"]) == (None, 404, "no-route", None)


def test_an_absolute_target_is_shown_without_its_authority() -> None:
    request = Request("GET", "http://ann:secret@a.test/users/1?token=secret")

    entry = entry_of(request, Record(), None, 200)

    assert (entry["path"], entry["query"]) == ("/users/1", "token=REDACTED")
    assert "secret" not in str(entry)


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        ("http://ann:secret@a.test", "/", ""),
        ("http://a.test?token=secret", "/", "token=REDACTED"),
        ("http://a.test?next=/&token=secret", "/", "next=/&token=REDACTED"),
        ("http://a.test?token=x/secret", "/", "token=REDACTED"),
        ("http://ann:secret@a.test?to=http://b.test/", "/", "to=http://b.test/"),
        ("ann:secret@a.test:443", "a.test:443", ""),
        ("a?to=http://b.test/token=secret", "a", "to=http://b.test/token=secret"),
        ("a?to=http://b.test/&token=secret", "a", "to=http://b.test/&token=REDACTED"),
        ("*", "*", ""),
        ("//ann@a.test/", "//ann@a.test/", ""),
    ],
)
def test_no_part_of_an_authority_or_a_query_is_shown_as_path(target: str, path: str, query: str) -> None:
    entry = entry_of(Request("GET", target), Record(), None, 200)

    assert (entry["path"], entry["query"]) == (path, query)


def test_reasons_that_plugins_leave_are_shown_and_bounded() -> None:
    request = Request("GET", "/" + "x" * 5000)
    request.state.update({"auth.refusal": "r" * 500, "auth.claims": {"sub": "secret"}})

    entry = entry_of(request, Record(), None, 401)

    assert entry["refused_by"] == ["auth"]
    assert (entry["refusals"], len(entry["path"]), "secret" in str(entry)) == (["r" * 100], 1000, False)


@pytest.mark.parametrize(("wanted", "count"), [(TailFilter(route="users"), 1), (TailFilter(path="/x"), 0)])
async def test_only_what_matches_is_shown(
    start_proxy: StartProxy, start_upstream: StartUpstream, wanted: TailFilter, count: int
) -> None:
    assert len(await shown(start_proxy, start_upstream, "/users/1", wanted)) == count


async def test_a_defect_of_the_tail_breaks_no_request_and_is_written_once(
    start_proxy: StartProxy, start_upstream: StartUpstream, caplog: pytest.LogCaptureFixture
) -> None:
    lost: list[None] = []
    running = await start_proxy(CONFIG.format(url=(await start_upstream()).url))

    def put(entry: Mapping[str, Any]) -> None:
        raise LookupError("a defect")

    running.proxy.tail = Tail(put, lambda: lost.append(None))
    running.proxy.tail.filters = [EVERY_REQUEST]
    peer = await running.connect()
    for _ in range(3):
        await peer.send(b"GET /users/1 HTTP/1.1\r\nHost: a.test\r\n\r\n")
        assert (await peer.response())[0] == 200
    await until(lambda: not running.proxy.exchanges)
    peer.close()

    assert len(lost) == 3
    assert [getattr(each, "event", "") for each in caplog.records].count("tail.failed") == 1


async def test_fields_are_shown_that_a_matching_filter_names_and_no_others(
    start_proxy: StartProxy, start_upstream: StartUpstream
) -> None:
    (entry,) = await shown(start_proxy, start_upstream, "/users/1", TailFilter(headers="host,accept"))
    assert entry["headers"] == {"host": "a.test"}

    (entry,) = await shown(start_proxy, start_upstream, "/users/1")
    assert "headers" not in entry


def test_fields_have_no_credentials_in_urls_and_are_whole_or_left_out() -> None:
    fields = [
        ("Referer", "http://a.test/x?token=secret&page=2"),
        ("X-Long", "x" * 1001),
        ("Accept", "a/b"),
        ("Accept", "c/d"),
    ]
    request = Request("GET", "/", headers=fields)

    assert headers_of(request, ["accept", "none", "referer", "x-long"]) == {
        "accept": "a/b, c/d",
        "referer": "http://a.test/x?token=REDACTED&page=2",
    }
