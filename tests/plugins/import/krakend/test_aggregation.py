"""Endpoints of KrakenD whose response is made of parts: what the calls are, what is refused, and what clients get."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from gateway_plugin_sdk.testing import ScriptedUpstream, StartGateway, UpstreamAnswer

from tests.importing import check, import_text, losses, started, written

EVERY: dict[str, Any] = {"name": "backend1", "target": "127.0.0.1", "required": False, "max_body_bytes": "1MiB"}


def document(*endpoints: dict[str, Any], **keys: Any) -> str:
    return json.dumps({"version": 3, "host": ["http://127.0.0.1:8081"], "endpoints": list(endpoints), **keys})


def endpoint(*backends: dict[str, Any], **keys: Any) -> dict[str, Any]:
    return {"endpoint": "/a/{id}", "backend": list(backends), **keys}


def calls(text: str) -> list[dict[str, Any]]:
    (route,) = written(import_text("krakend", text))["routes"]
    assert "respond" not in route, route
    assert route["plugins"][-1]["name"] == "aggregate"
    found: list[dict[str, Any]] = route["plugins"][-1]["config"]["calls"]
    return found


SHAPES: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"allow": ["id", "user.name", "a/b"]}, {"allow": ["/id", "/user/name", "/a~1b"]}),
    ({"whitelist": ["id"]}, {"allow": ["/id"]}),
    ({"deny": ["password", "user.token"]}, {"deny": ["/password", "/user/token"]}),
    ({"allow": ["id"], "deny": ["id"]}, {"allow": ["/id"]}),
    ({"mapping": {"mail": "email.ignored"}}, {"rename": {"/mail": "email"}}),
    ({"group": "user", "target": "data.items"}, {"group": "user", "take": "/data/items"}),
    ({"is_collection": True}, {"group": "collection"}),
    ({"is_collection": "true", "mapping": {"collection": "downs"}}, {"group": "downs"}),
]


@pytest.mark.parametrize(("backend", "shape"), SHAPES)
def test_what_a_backend_leaves_of_a_response_is_a_call(
    tmp_path: Path, backend: dict[str, Any], shape: dict[str, Any]
) -> None:
    imported = import_text("krakend", document(endpoint({"url_pattern": "/b/{id}", **backend})))

    assert (losses(imported), check(imported, tmp_path)) == ([], [])
    (call,) = written(imported)["routes"][0]["plugins"][-1]["config"]["calls"]
    assert call == EVERY | {"path": "/b/{param:id}"} | shape


def test_what_is_passed_on_is_what_the_endpoint_lists() -> None:
    (first, second) = calls(
        document(
            endpoint(
                {"url_pattern": "/b/{id}?fixed=1&of={id}"},
                {"url_pattern": "c d", "group": "c", "input_headers": ["X-A"]},
                input_headers=["X-A", "Authorization", "Content-Length", "Host"],
                input_query_strings=["page", "fixed"],
            )
        )
    )

    assert first["query"] == {"fixed": "1", "of": "{param:id}"}
    assert (first["client_headers"], first["client_query"]) == (["X-A", "Authorization"], ["page"])
    assert (second["path"], second["client_headers"], second["client_query"]) == ("/c%20d", ["X-A"], ["page", "fixed"])


def test_calls_one_after_another_use_values_of_earlier_ones(tmp_path: Path) -> None:
    text = document(
        endpoint(
            {"url_pattern": "/hotels/{id}", "allow": ["name"]},
            {"url_pattern": "/places/{resp0_place.id}", "group": "place"},
            extra_config={"proxy": {"sequential": True}},
        )
    )

    found = calls(text)

    assert check(import_text("krakend", text), tmp_path) == []
    assert (found[1]["path"], found[1]["depends_on"]) == ("/places/{call:backend1.place.id}", ["backend1"])


@pytest.mark.parametrize(
    ("backends", "extra"),
    [
        ([{"url_pattern": "/b", "group": "x"}, {"url_pattern": "/c", "group": "x"}], {}),
        ([{"url_pattern": "/b", "allow": ["x"]}, {"url_pattern": "/c", "allow": ["y"], "mapping": {"y": "x"}}], {}),
        ([{"url_pattern": "/b", "encoding": "rss"}, {"url_pattern": "/c"}], {}),
        ([{"url_pattern": "/b", "method": "POST"}, {"url_pattern": "/c", "method": "PUT"}], {}),
        ([{"url_pattern": "/b/{resp0_id}"}, {"url_pattern": "/c"}], {}),
        ([{"url_pattern": "/b/{JWT.sub}"}, {"url_pattern": "/c"}], {}),
        ([{"url_pattern": "/b/{id"}, {"url_pattern": "/c"}], {}),
        ([{"url_pattern": "/b", "method": "HEAD"}, {"url_pattern": "/c"}], {}),
        ([{"url_pattern": "/b", "sd": "consul"}, {"url_pattern": "/c"}], {}),
        ([{"url_pattern": "/b", "is_collection": True, "group": "g"}], {}),
        ([{"url_pattern": "/b", "is_collection": True, "allow": ["id"]}], {}),
        ([{"url_pattern": "/b"}, {"url_pattern": "/c"}], {"proxy": {"combiner": "ours"}}),
        ([{"url_pattern": "/b"}, {"url_pattern": "/c"}], {"modifier/lua-endpoint": {"post": "x()"}}),
        ([{"url_pattern": "/b", "extra_config": {"modifier/martian": {"header.Modifier": {}}}, "deny": ["a"]}], {}),
    ],
)
def test_parts_that_no_calls_make_close_the_route(
    tmp_path: Path, backends: list[dict[str, Any]], extra: dict[str, Any]
) -> None:
    imported = import_text("krakend", document(endpoint(*backends, extra_config=extra)))

    assert any(what.startswith("!") for _, what in losses(imported))
    assert check(imported, tmp_path) == []
    assert written(imported)["routes"][0]["respond"] == {"status": 403}


def test_every_field_of_the_client_is_a_loss_as_calls_list_theirs_by_name(tmp_path: Path) -> None:
    text = document(endpoint({"url_pattern": "/b", "deny": ["x"]}, input_headers=["*"], input_query_strings=["*"]))

    imported = import_text("krakend", text)

    assert [what.partition(" of ")[0] for _, what in losses(imported)] == ["'*'", "'*'"]
    assert "Authorization" in calls(text)[0]["client_headers"]
    assert check(imported, tmp_path) == []


def test_with_no_op_krakend_changes_nothing_and_so_does_the_result() -> None:
    imported = import_text(
        "krakend", document(endpoint({"url_pattern": "/b", "allow": ["id"]}, output_encoding="no-op"))
    )

    assert losses(imported) == []
    assert [each.what for each in imported.findings] == ["'allow' of the backend of endpoint GET /a/{id}"]
    assert written(imported)["routes"][0]["target"] == "127.0.0.1"


def test_a_backend_that_gets_a_copy_of_requests_is_lost_and_the_other_one_stays() -> None:
    shadow = {"url_pattern": "/log", "extra_config": {"github.com/devopsfaith/krakend/proxy": {"shadow": True}}}

    imported = import_text("krakend", document(endpoint({"url_pattern": "/b"}, shadow)))

    assert losses(imported) == [(1, "a backend of endpoint GET /a/{id}")]
    assert written(imported)["routes"][0]["target"] == "127.0.0.1"


def test_fields_that_martian_sets_are_rules_of_headers_and_secrets_are_variables(tmp_path: Path) -> None:
    modifiers = [
        {"header.Modifier": {"scope": ["request", "response"], "name": "X-From", "value": "{edge}"}},
        {"header.Modifier": {"scope": ["request"], "name": "X-Gateway-Trust", "value": "hunter2"}},
        {"header.Append": {"scope": ["response"], "name": "X-B", "value": "1"}},
        {"header.Blacklist": {"scope": ["response"], "names": ["Server"]}},
    ]
    martian = {"fifo.Group": {"scope": ["request", "response"], "aggregateErrors": True, "modifiers": modifiers}}
    text = document(endpoint({"url_pattern": "/b", "extra_config": {"modifier/martian": martian}}))

    imported = import_text("krakend", text)

    assert (losses(imported), check(imported, tmp_path)) == ([], [])
    (rules,) = (each["config"] for each in written(imported)["routes"][0]["plugins"] if each.get("id") == "martian")
    assert rules == {
        "request": {"set": {"X-From": "{{edge}}", "X-Gateway-Trust": "<KRAKEND_X_GATEWAY_TRUST>"}},
        "response": {"remove": ["Server"], "set": {"X-From": "{{edge}}"}, "add": {"X-B": "1"}},
    }


def test_how_long_responses_may_be_kept_is_said_unless_they_are_for_one_caller() -> None:
    validator = {"auth/validator": {"jwk_url": "https://a.example.com/keys"}}
    text = document(
        endpoint({"url_pattern": "/b"}, cache_ttl="1h"),
        endpoint({"url_pattern": "/b"}, extra_config=validator),
        cache_ttl="5s",
    )

    imported = import_text("krakend", text)

    first, second = (
        [each["config"]["response"]["default"] for each in route["plugins"] if each.get("id") == "cache-control"]
        for route in written(imported)["routes"]
    )
    assert (first, second) == ([{"Cache-Control": "public, max-age=3600"}], [])
    assert [each.is_lost for each in imported.findings] == [False]


def test_a_circuit_breaker_is_the_upstreams() -> None:
    breaker = {"qos/circuit-breaker": {"interval": 60, "timeout": 10, "max_errors": 3, "log_status_change": True}}

    imported = import_text("krakend", document(endpoint({"url_pattern": "/b", "extra_config": breaker})))

    assert losses(imported) == []
    (upstream,) = written(imported)["upstreams"]
    assert upstream["circuit_breaker"] == {"minimum_requests": 3, "window": "60s", "open_for": "10s"}


def test_the_client_gets_what_is_left_of_the_responses(gateway: StartGateway, upstream: ScriptedUpstream) -> None:
    bodies: dict[str, Any] = {
        "/users/7": {"id": 7, "mail": "a@b.c", "password": "x", "team": {"name": "blue", "key": "k"}},
        "/posts?of=7": [{"text": "hello"}],
    }
    fields = {"Content-Type": "application/json"}
    upstream.answer_by(lambda request: UpstreamAnswer(200, json.dumps(bodies[request.target]), fields))
    endpoints: list[dict[str, Any]] = [
        {
            "endpoint": "/u/{id}",
            "backend": [
                {"url_pattern": "/users/{id}", "allow": ["id", "mail", "team.name"], "mapping": {"mail": "email"}},
                {"url_pattern": "/posts?of={id}", "is_collection": True, "mapping": {"collection": "posts"}},
            ],
        },
        {"endpoint": "/one/{id}", "backend": [{"url_pattern": "/users/{id}", "deny": ["password", "team"]}]},
    ]
    running = started(gateway, import_text("krakend", document(*endpoints, host=[upstream.url])))

    both, one = running.get("/u/7"), running.get("/one/7")

    assert json.loads(both.text) == {
        "id": 7, "email": "a@b.c", "team": {"name": "blue"}, "posts": [{"text": "hello"}]
    }  # fmt: skip
    assert json.loads(one.text) == {"id": 7, "mail": "a@b.c"}
