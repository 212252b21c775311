"""What clients get, from a real gateway."""

from __future__ import annotations

import asyncio
import json

import pytest
from gateway_plugin_aggregate import Aggregate
from gateway_plugin_sdk import Response
from gateway_plugin_sdk.testing import PluginHarness
from gateway_plugin_sdk.testing import UpstreamAnswer as Reply

from tests.plugins.aggregate.conftest import JSON, OPTIONAL, A, B, StartAggregate, json_reply


def test_calls_become_one_response(aggregate: StartAggregate) -> None:
    route = aggregate(
        [
            {"name": "user", "path": "/users/{param:id}"},
            {"name": "posts", "path": "/posts", "query": {"user": "{param:id}"}, "group": "posts"},
        ],
        {"/users/7": {"id": 7, "name": "Ann"}, "/posts": [{"id": 1}, {"id": 2}]},
        path="/profiles/:id",
        static={"version": 2},
    )

    response = route.get("/profiles/7")

    assert (response.status, response.headers["Content-Type"]) == (200, "application/json")
    assert response.json() == {"id": 7, "name": "Ann", "posts": [{"id": 1}, {"id": 2}], "version": 2}
    assert response.headers["X-Aggregate-Complete"] == "true"
    assert route.targets == ["/posts?user=7", "/users/7"]
    assert (route.count("user", "succeeded"), route.count("posts", "succeeded")) == (1, 1)


def test_a_part_that_is_not_required_may_be_missing(aggregate: StartAggregate) -> None:
    route = aggregate(
        [
            A,
            B | OPTIONAL | {"default": []},
            {"name": "c", "path": "/c", **OPTIONAL},
            {"name": "d", "path": "/d", **OPTIONAL, "default": {"d": None}},
        ],
        {"/a": json_reply(1, Cache_Control="max-age=60")},
    )

    response = route.get()

    assert (response.status, response.json()) == (200, {"a": 1, "b": [], "d": None})
    assert (response.headers["X-Aggregate-Complete"], response.headers["Cache-Control"]) == ("false", "no-store")


def test_there_is_no_response_without_any_part(aggregate: StartAggregate) -> None:
    route = aggregate([A | OPTIONAL | {"default": 1}, B | OPTIONAL])

    response = route.get()

    assert (response.status, response.json()["failed"]) == (502, ["a", "b"])


def test_a_status_that_is_passed_is_the_status_of_the_response(aggregate: StartAggregate) -> None:
    route = aggregate([A | {"pass_statuses": [404]}, B], {"/b": 1})

    assert route.get().status == 404
    route.upstream.answer_by(lambda request: Reply(403 if request.path == "/a" else 200, b"1", JSON))
    assert route.get().status == 502


def test_a_method_that_changes_nothing_changes_nothing(aggregate: StartAggregate) -> None:
    route = aggregate([{**A, "method": "POST"}], {"/a": 1})

    assert route.running.request("HEAD", "/").status == 405
    assert route.upstream.requests == []


def test_fields_of_calls_reach_the_client_only_if_listed(aggregate: StartAggregate) -> None:
    first = Reply(
        200, b"1", [("Content-Type", "application/json"), ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"), ("X-A", "1")]
    )
    second = Reply(200, b"1", {**JSON, "Set-Cookie": "c=3", "X-B": "1", "Cache-Control": "max-age=60", "ETag": '"x"'})
    route = aggregate(
        [A | {"response_headers": ["Set-Cookie"]}, B | {"response_headers": ["X-B"]}], {"/a": first, "/b": second}
    )

    headers = route.get().headers

    assert headers.get_all("set-cookie") == ["a=1", "b=2"]
    assert (headers.get("x-a"), headers.get("x-b"), headers.get("etag")) == (None, "1", None)
    assert headers["cache-control"] == "private, no-store"


def test_caching_fields_are_those_of_the_least_cacheable_call(aggregate: StartAggregate) -> None:
    script = {
        "/a": json_reply(1, Cache_Control="max-age=60", Age="50", Vary="X-T, Cookie"),
        "/b": json_reply(1, Cache_Control="max-age=30"),
    }
    route = aggregate([A | {"client_headers": ["X-T"]}, B | {"query": {"l": "{header:Accept-Language}"}}], script)

    headers = route.get().headers

    assert headers["cache-control"] == "max-age=10"
    assert headers["vary"] == "accept-language, x-t"


def test_a_response_for_one_caller_is_private(aggregate: StartAggregate) -> None:
    route = aggregate([A | {"query": {"ip": "{client_ip}"}}], {"/a": json_reply(1, Cache_Control="max-age=60")})

    assert route.get().headers["cache-control"] == "private, max-age=60"


def test_a_later_call_replaces_members_of_an_earlier_one_and_static_members_stay(aggregate: StartAggregate) -> None:
    calls = [{"name": "a", "path": "/a"}, {"name": "b", "path": "/b"}]
    route = aggregate(calls, {"/a": {"x": 1, "y": 1, "v": 1}, "/b": {"y": 2, "v": 2}}, static={"v": 0})

    body = route.get().body

    assert json.loads(body) == {"x": 1, "y": 2, "v": 0}
    assert body.count(b'"y"') == 1


def test_head_has_no_body(aggregate: StartAggregate) -> None:
    route = aggregate([A], {"/a": 1})

    response = route.running.request("HEAD", "/")

    assert (response.status, response.body, response.headers["X-Aggregate-Complete"]) == (200, b"", "true")


def test_a_large_response_is_shaped_as_a_small_one(aggregate: StartAggregate) -> None:
    items = [{"id": number, "secret": "x", "old": number} for number in range(600)]
    shape = {"take": "/items", "allow": ["/*/id", "/*/old"], "deny": ["/*/secret"], "rename": {"/*/old": "new"}}
    route = aggregate([A | shape, {"name": "b", "path": "/a", "deny": ["/items/*/secret"]}], {"/a": {"items": items}})

    made = route.get().json()

    assert made["a"] == [{"id": number, "new": number} for number in range(600)]
    assert made["items"][0] == {"id": 0, "old": 0}


def test_alone_it_needs_no_upstream_of_the_route() -> None:
    calls = [{"target": "http://a.test", **A}]

    with PluginHarness(Aggregate, {"calls": calls}, upstreams={"http://a.test": Response.json({"x": 1})}) as harness:
        result = harness.request()

    assert result.stopped == "pre_proxy"
    assert json.loads(asyncio.run(result.response.read())) == {"a": {"x": 1}}
    assert [each.path for each in harness.fetched] == ["/a"]


@pytest.mark.in_turn
def test_failures_are_counted_from_0_on(aggregate: StartAggregate) -> None:
    route = aggregate([A], {"/a": 1})

    for outcome in ("failed", "partial"):
        labels = f'binding="aggregate",outcome="{outcome}",route="test"'
        assert f"gateway_aggregate_responses_total{{{labels}}} 0" in route.running.metrics()


@pytest.mark.in_turn
def test_the_first_of_several_parameters_counts_in_a_template_and_all_go_on(aggregate: StartAggregate) -> None:
    calls = [{**A, "client_query": ["p"], "query": {f"q{n}": f"{{query:q{n}}}" for n in range(20)}}]
    route = aggregate(calls, {"/a": 1})

    assert route.get("/?q0=first&q0=second&p=1&p=2&x=" + "y" * 5000).json() == {"a": 1}
    assert route.upstream.last.query == "q0=first&p=1&p=2"
