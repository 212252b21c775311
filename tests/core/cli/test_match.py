from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from gateway_core.admin.match import MatchRequest

from tests.core.cli.conftest import Invoke


def told(invoke: Invoke, config: Path, *arguments: str) -> dict[str, Any]:
    result = invoke("match", *arguments, "-c", config, "--json")
    answer = json.loads(result.stdout)
    assert isinstance(answer, dict)
    assert result.exit_code == (0 if answer["route"] else 1)
    return answer


def test_tells_route_params_target_path_and_chain(invoke: Invoke, config: Path) -> None:
    answer = told(invoke, config, "GET", "http://h/api/users/a%20b?x=%41")

    assert (answer["route"], answer["params"], answer["target"]) == ("user", {"id": "a b"}, "users")
    assert answer["path"] == "/a%20b?x=%41"
    assert answer["chain"] == ["logger"]


def test_headers_and_hosts_decide(invoke: Invoke, config: Path) -> None:
    assert told(invoke, config, "GET", "/api/users/7", "-H", "X-Beta: 1")["route"] == "beta"
    quiet = told(invoke, config, "GET", "http://a.example.com:8080/quiet/x")
    assert (quiet["route"], quiet["chain"]) == ("quiet", ["ratelimit"])
    assert told(invoke, config, "GET", "/quiet", "-H", "Host: b.example.com")["route"] == "quiet"
    assert told(invoke, config, "GET", "http://other/quiet")["route"] is None


def test_says_why_the_nearest_others_lost(invoke: Invoke, config: Path) -> None:
    losers = told(invoke, config, "POST", "/api/users/7")["losers"]

    assert {"user", "beta"} <= {loser["route"] for loser in losers}
    assert any("POST is not one of GET" in reason for loser in losers for reason in loser["reasons"])


@pytest.mark.parametrize(
    ("method", "url", "status"), [("POST", "/api/users/7", 405), ("GET", "/nope", 404), ("GET", "/a/../b", 400)]
)
def test_says_what_the_client_would_get_without_a_route(
    invoke: Invoke, config: Path, method: str, url: str, status: int
) -> None:
    assert told(invoke, config, method, url)["status"] == status


def test_redirects_and_several_targets_have_their_targets(invoke: Invoke, config: Path) -> None:
    moved = told(invoke, config, "GET", "/old")
    assert (moved["target"], moved["path"]) == ("301 /new", None)
    assert told(invoke, config, "GET", "/split")["target"] == [
        {"target": "users", "weight": 3},
        {"target": "http://127.0.0.1:2", "weight": 1},
    ]


def test_is_readable_for_people(invoke: Invoke, config: Path) -> None:
    output = invoke("match", "GET", "/api/users/7", "-c", config).output

    assert "route    user" in output
    assert "params   id='7'" in output
    assert "beta (/api/users/:id): headers: x-beta is absent" in output


def test_answers_a_file_of_requests_line_by_line(invoke: Invoke, config: Path) -> None:
    requests = [
        {"method": "GET", "url": "http://h/api/users/7?q=1", "headers": {"X-Beta": "1"}},
        {"method": "GET", "url": "http://h/nope"},
        {"method": "GET", "url": "http://h/api/users/8"},
    ]
    lines = "".join(json.dumps(request) + "\n" for request in requests)

    result = invoke("match", "--requests", "-", "--json", "-c", config, input=lines)

    assert result.exit_code == 0
    assert [json.loads(line) for line in result.stdout.splitlines()] == [
        {"route": "beta", "params": {"id": "7"}, "target": "users", "path": "/api/users/7?q=1"},
        {"route": None, "params": {}, "target": None, "path": None},
        {"route": "user", "params": {"id": "8"}, "target": "users", "path": "/8"},
    ]


@pytest.mark.parametrize(
    ("url", "host", "path", "query"),
    [
        ("http://h:1/a%2Fb?x?y", "h:1", "/a%2Fb", "x?y"),
        ("http://h", "h", "/", ""),
        ("http://h?x", "h", "/", "x"),
        ("/only//path/#frag", "", "/only//path/", ""),
        ("http://user@h/a", "h", "/a", ""),
        ("/proxy/http://h/a", "", "/proxy/http://h/a", ""),
        ("/a?to=http://h/", "", "/a", "to=http://h/"),
    ],
)
def test_urls_are_taken_apart_byte_for_byte(url: str, host: str, path: str, query: str) -> None:
    asked = MatchRequest.of("GET", url, {})

    assert (asked.host, asked.path, asked.query) == (host, path, query)


def test_an_answer_is_one_line_whatever_a_path_holds(invoke: Invoke, config: Path) -> None:
    line = json.dumps({"url": "http://h/api/users/a%C2%85b%E2%80%A8c"}) + "\n"

    (answer,) = invoke("match", "--requests", "-", "-c", config, input=line).stdout.splitlines()

    assert json.loads(answer)["params"] == {"id": "a\x85b\u2028c"}


def test_an_empty_query_goes_upstream_as_it_came(invoke: Invoke, config: Path) -> None:
    told = json.loads(invoke("match", "GET", "http://h/api/users/7?", "--json", "-c", config).stdout)

    assert told["path"] == "/7?"


def test_what_is_no_url_is_wrong_usage(invoke: Invoke, config: Path) -> None:
    with pytest.raises(ValueError, match="not a URL"):
        MatchRequest.of("GET", "nonsense", {})
    assert invoke("match", "-c", config).exit_code == 2
    assert invoke("match", "GET", "/", "-H", "nonsense", "-c", config).exit_code == 2
    assert invoke("match", "--requests", "-", "-c", config, input="nonsense\n").exit_code == 2


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("{,}", "line 1 of the requests is not JSON: "),
        ('{"method": "GET"}', 'line 1 of the requests: not a request: write {"method": "GET", "url": '),
        ("[1]", "line 1 of the requests: not a request: write "),
        ('{"url": "not a url"}', "line 1 of the requests: 'not a url' is not a URL: write "),
    ],
)
def test_a_bad_line_of_requests_is_told_with_its_number(invoke: Invoke, config: Path, line: str, expected: str) -> None:
    result = invoke("match", "--requests", "-", "-c", config, input=f"{line}\n")

    assert result.exit_code == 2
    assert expected in result.stderr


@pytest.mark.parametrize(
    ("header", "more", "route"),
    [
        ("X-Forwarded-Proto: https", "", "rest"),
        ("X-Forwarded-Proto: https", "trusted_proxies: [10.0.0.0/8]", "secure"),
        ("X-Tenant: a", "", "tenant"),
        ("X-Tenant: a", "strip_headers: [x-tenant]", "rest"),
        ("X-Tenant: a", "strip_headers: [x_tenant]\ntrusted_proxies: [10.0.0.0/8]", "rest"),
    ],
)
def test_headers_that_are_removed_before_routing_decide_nothing(
    invoke: Invoke, tmp_path: Path, header: str, more: str, route: str
) -> None:
    config = tmp_path / "gateway.yaml"
    config.write_text(f"""{more}
routes:
  - {{id: secure, path_prefix: /, headers: {{x-forwarded-proto: https}}, target: "http://127.0.0.1:1"}}
  - {{id: tenant, path_prefix: /, headers: {{x-tenant: a}}, target: "http://127.0.0.1:1"}}
  - {{id: rest, path_prefix: /, target: "http://127.0.0.1:1"}}
""")

    assert told(invoke, config, "GET", "/", "-H", header)["route"] == route


LISTENERS = """
listen:
  - {name: web, address: "127.0.0.1:8080", hosts: [web.test]}
  - {name: api, address: "127.0.0.1:8080", hosts: [api.test]}
  - {name: internal, address: "127.0.0.1:8081", default: false}
routes:
  - {id: page, path_prefix: /, target: "http://127.0.0.1:1"}
  - {id: api, path_prefix: /, target: "http://127.0.0.1:1", listeners: [api], methods: [GET]}
  - {id: hidden, path_prefix: /, target: "http://127.0.0.1:1", listeners: [internal]}
"""


@pytest.mark.parametrize(
    ("arguments", "route"),
    [
        (("http://web.test/",), "page"),
        (("http://api.test/",), "api"),
        (("http://api.test/", "--listener", "api"), "api"),
        (("http://api.test/", "--listener", "127.0.0.1:8081"), "hidden"),
    ],
)
def test_the_listener_decides_which_routes_count(
    invoke: Invoke, tmp_path: Path, arguments: tuple[str, ...], route: str
) -> None:
    config = tmp_path / "gateway.yaml"
    config.write_text(LISTENERS)

    assert told(invoke, config, "GET", *arguments)["route"] == route


def test_a_host_of_no_listener_and_a_listener_that_is_not_there_are_told(invoke: Invoke, tmp_path: Path) -> None:
    config = tmp_path / "gateway.yaml"
    config.write_text(LISTENERS)

    result = invoke("match", "GET", "http://other.test/", "-c", config)
    assert result.exit_code == 1
    assert "no route: 404, no listener of the address serves this host" in result.output
    assert "there is no listener 'x'" in invoke("match", "GET", "/", "-c", config, "--listener", "x").stderr


def test_a_target_shows_its_own_path(invoke: Invoke, tmp_path: Path) -> None:
    config = tmp_path / "gateway.yaml"
    config.write_text("""
routes:
  - id: split
    path_prefix: /api
    strip_path: true
    rewrite: {query: {set: {source: a b}, remove: [debug]}}
    targets:
      - {target: "http://127.0.0.1:1"}
      - {target: "http://127.0.0.1:2", backup: true, rewrite: {prefix: /v2}}
""")

    found = told(invoke, config, "GET", "/api/x?debug=1&q")

    assert found["path"] == "/x?q&source=a%20b"
    assert found["target"] == [
        {"target": "http://127.0.0.1:1", "weight": 1},
        {"target": "http://127.0.0.1:2", "weight": 1, "backup": True, "path": "/v2/x?debug=1&q"},
    ]


GRPC = """
upstreams: [{name: users, protocol: http2, endpoints: [{url: "http://127.0.0.1:1"}]}]
routes:
  - {id: get, grpc: {service: users.v1.Users, method: Get}, target: users}
  - {id: users, grpc: {service: users.v1.Users}, target: users}
  - {id: calls, grpc: {}, target: users}
  - {id: page, path: /users.v1.Users/Get, methods: [GET], target: users}
"""


@pytest.mark.parametrize(
    ("method", "path", "content_type", "route", "params"),
    [
        ("POST", "/users.v1.Users/Get", "application/grpc", "get", {}),
        ("POST", "/users.v1.Users/List", "application/grpc+proto", "users", {"method": "List"}),
        ("POST", "/a.B/C", "application/grpc-web-text", "calls", {"service": "a.B", "method": "C"}),
        ("GET", "/users.v1.Users/Get", "application/grpc", "page", {}),
        ("POST", "/users.v1.Users/List", "application/json", None, {}),
        ("POST", "/users.v1.Users/List/more", "application/grpc", None, {}),
        ("POST", "/users.v1.Users", "application/grpc", None, {}),
    ],
)
def test_calls_of_grpc_take_the_route_of_their_service_and_method(
    invoke: Invoke, tmp_path: Path, method: str, path: str, content_type: str, route: str | None, params: dict[str, str]
) -> None:
    config = tmp_path / "grpc.yaml"
    config.write_text(GRPC)

    found = told(invoke, config, method, path, "-H", f"content-type: {content_type}")

    assert found["route"] == route
    assert found.get("params", {}) == params or route is None


def test_a_request_that_is_no_call_is_told_what_it_lacks(invoke: Invoke, tmp_path: Path) -> None:
    config = tmp_path / "grpc.yaml"
    config.write_text(GRPC)

    losers = told(invoke, config, "POST", "/users.v1.Users/List")["losers"]

    assert "headers: content-type is absent" in next(each for each in losers if each["route"] == "users")["reasons"]
