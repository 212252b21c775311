"""What upstreams get, and which responses can be used: from a real gateway."""

from __future__ import annotations

import gzip
from typing import Any

import pytest
from gateway_plugin_sdk.testing import UpstreamAnswer as Reply

from tests.plugins.aggregate.conftest import JSON, OPTIONAL, A, B, StartAggregate, json_reply


def test_a_call_gets_values_of_earlier_ones_as_one_segment(aggregate: StartAggregate) -> None:
    route = aggregate(
        [
            {"name": "hotel", "path": "/hotels/{param:id}", "take": "/data", "deny": ["/place"]},
            {
                "name": "place",
                "path": "/places/{call:hotel.data.place}",
                "query": {"tags": "{call:hotel.data.tags}", "none": "{call:hotel.data.none}"},
                "headers": {"X-Name": "{call:hotel.data.name}", "X-None": "{call:hotel.none}"},
                "group": "place",
            },
        ],
        {
            "/hotels/1": {"data": {"place": "a/b c?d", "tags": [1, 2], "name": "Zoë"}},
            "/places/a%2Fb%20c%3Fd": {"x": 1},
        },
        path="/hotels/:id",
    )

    response = route.get("/hotels/1")

    assert response.json() == {"tags": [1, 2], "name": "Zoë", "place": {"x": 1}}
    assert route.upstream.last.target == "/places/a%2Fb%20c%3Fd?tags=1%2C2"
    assert route.upstream.last.headers["x-name"] == "Zoë".encode().decode("latin-1")
    assert "x-none" not in route.upstream.last.headers


@pytest.mark.in_turn
@pytest.mark.parametrize("value", [".", "..", "", "../x", "..;a", "%2e%2e", None, [], {}, "a\nb"])
def test_a_value_that_could_lead_elsewhere_makes_the_call_fail(aggregate: StartAggregate, value: Any) -> None:
    calls = [{"name": "first", "path": "/first"}, {"name": "second", "path": "/x/{call:first.v}/y", "group": "s"}]
    route = aggregate(calls, {"/first": {"v": value}})

    response = route.get()

    assert (response.status, response.json()["failed"]) == (502, ["second"])
    assert route.targets == ["/first"]
    assert route.count("second", "value") == 1


@pytest.mark.in_turn
@pytest.mark.parametrize("target", ["/?id=..", "/?id=", "/", "/?id=a%0d%0ab", "/?id=..%2Fadmin", "/?id=%252e%252e"])
def test_a_value_of_the_client_that_could_lead_elsewhere_is_a_bad_request(
    aggregate: StartAggregate, target: str
) -> None:
    route = aggregate([{"name": "a", "path": "/x/{query:id}", "group": "a"}, B])

    response = route.get(target)

    assert response.status == 400
    assert response.headers["Content-Type"] == "application/problem+json"
    assert route.targets == []


def test_only_listed_fields_and_parameters_of_the_client_go_on(aggregate: StartAggregate) -> None:
    call = {"client_headers": ["X-Tenant"], "client_query": ["page"], "query": {"k": "v w"}, "headers": {"X-S": "1"}}
    route = aggregate([A | call], {"/a": 1})
    fields = {
        "Authorization": "Bearer x",
        "Cookie": "sid=1",
        "X-Tenant": "t",
        "X-Other": "o",
        "Range": "bytes=0-1",
        "Accept-Encoding": "gzip",
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    }

    assert route.get("/?page=2&debug=1&page=a%26b", headers=fields).status == 200

    sent = route.upstream.last
    assert sent.target == "/a?k=v%20w&page=2&page=a%26b"
    assert (sent.headers["x-tenant"], sent.headers["x-s"]) == ("t", "1")
    for name in ("authorization", "cookie", "x-other", "range"):
        assert name not in sent.headers
    assert (sent.headers["accept-encoding"], sent.headers["accept"]) == ("identity", "application/json")
    assert "0af7651916cd43dd8448eb211c80319c" in sent.headers["traceparent"]


@pytest.mark.in_turn
def test_each_call_gets_its_own_parameters_only(aggregate: StartAggregate) -> None:
    route = aggregate([A | {"client_query": ["p"]}, B | {"client_query": ["q"]}], {"/a": 1, "/b": 2})

    route.get("/?p=1&q=2")

    assert route.targets == ["/a?p=1", "/b?q=2"]


def test_calls_have_the_id_of_the_request(aggregate: StartAggregate) -> None:
    route = aggregate([A, B], {"/a": 1, "/b": 2})

    response = route.get()

    assert {each.headers["x-request-id"] for each in route.upstream.requests} == {response.headers["x-request-id"]}


@pytest.mark.in_turn
@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Reply(200, b"{", JSON), "json"),
        (Reply(200, b'{"a": 1, "a": 2}', JSON), "json"),
        (Reply(200, b"NaN", JSON), "json"),
        (Reply(200, b"1e999", JSON), "json"),
        (Reply(200, b"[" * 10_000 + b"]" * 10_000, JSON), "json"),
        (Reply(200, b'"\xff"', JSON), "json"),
        (Reply(200, b"<p>", {"Content-Type": "text/html"}), "media-type"),
        (Reply(200, b"{}", {}), "media-type"),
        (Reply(200, b"{}", {"Content-Type": "application/json; charset=utf-16"}), "media-type"),
        (Reply(200, gzip.compress(b"{}"), {**JSON, "Content-Encoding": "gzip"}), "encoding"),
        (Reply(200, b'"' + b"x" * 3000 + b'"', JSON), "too-large"),
        (Reply(200, [b'"' + b"x" * 3000, b'"'], JSON), "too-large"),
        (Reply(302, b"", {"Location": "/elsewhere"}), "status"),
        (Reply(404, b"secret of the upstream", {}), "status"),
        (Reply(500, b"secret of the upstream", {}), "status"),
        (Reply(raw=b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{"), "unavailable"),
        (Reply(reset=True), "unavailable"),
    ],
)
def test_a_response_that_cannot_be_used_is_a_failed_call(aggregate: StartAggregate, answer: Reply, reason: str) -> None:
    route = aggregate([A | {"max_body_bytes": 2000 if reason == "too-large" else 65536}, B | OPTIONAL], {"/b": 1})
    route.upstream.answer_by(lambda request: answer if request.path == "/a" else json_reply(1))

    response = route.get()

    assert (response.status, response.json()["failed"]) == (502, ["a"])
    assert response.headers["Content-Type"] == "application/problem+json"
    assert (response.headers["Cache-Control"], response.headers["X-Aggregate-Complete"]) == ("no-store", "false")
    assert b"secret" not in response.body
    assert route.count("a", reason) == 1


def test_the_bytes_of_all_responses_are_bounded(aggregate: StartAggregate) -> None:
    text = "x" * 600
    calls = [A, {**B, **OPTIONAL, "depends_on": ["a"]}]
    route = aggregate(calls, {"/a": text, "/b": text}, max_total_bytes=1000)

    response = route.get()

    assert response.json() == {"a": text}
    assert route.count("b", "total-too-large") == 1


def test_the_client_s_body_goes_on_if_it_is_to(aggregate: StartAggregate) -> None:
    route = aggregate([{**A, "method": "PUT", "client_body": True}], {"/a": 1}, max_client_body_bytes=100)

    good = route.running.post("/", b"<x/>", headers={"Content-Type": "text/xml", "X-Other": "1"})
    large = route.running.post("/", b"x" * 101)

    assert (good.status, large.status) == (200, 413)
    assert (route.upstream.last.method, route.upstream.last.body) == ("PUT", b"<x/>")
    assert route.upstream.last.headers["content-type"] == "text/xml"


@pytest.mark.in_turn
@pytest.mark.parametrize("value", [[1], "x", 1])
def test_what_is_no_object_needs_a_group(aggregate: StartAggregate, value: Any) -> None:
    route = aggregate([{"name": "a", "path": "/a"}], {"/a": value})

    assert route.get().status == 502
    assert route.count("a", "shape") == 1


def test_a_response_without_content_is_nothing(aggregate: StartAggregate) -> None:
    route = aggregate([A, {"name": "b", "path": "/b"}], {"/a": Reply(204), "/b": Reply(204)})

    assert route.get().json() == {"a": None}
