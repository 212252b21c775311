from __future__ import annotations

from typing import Any

import pytest
from gateway_plugin_headers import HeaderRules
from gateway_plugin_headers.config import HeadersConfig, HstsConfig, RequestRules, ResponseRules, SecurityConfig
from gateway_plugin_sdk.testing import InvalidConfigError, assert_plugin_ok, one_route


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({}, "changes nothing"),
        ({"request": {"set": {"Content-Length": "1"}}}, "belongs to the connection or the framing"),
        ({"request": {"remove": ["transfer-encoding"]}}, "belongs to the connection or the framing"),
        ({"request": {"remove": ["*-debug"]}}, "write a name, or its beginning"),
        ({"request": {"set": {"a b": "x"}}}, "request.set"),
        ({"request": {"set": {"X-A": "{user}"}}}, "names {user}, which there is not"),
        ({"request": {"set": {"X-A": "{segment}"}}}, "{param:segment} is a parameter of the route's path"),
        ({"request": {"set": {"X-A": "{env:HOME}"}}}, "${HOME} is the environment's"),
        ({"request": {"set": {"X-A": "{env.HOME}"}}}, "${HOME} is the environment's"),
        ({"request": {"set": {"X-A": "{http.request.header.X-B}"}}}, "write {header:X-B}"),
        ({"request": {"set": {"X-A": "{http.request.host}"}}}, "write {host}"),
        ({"request": {"set": {"X-A": "{remote_host}"}}}, "write {client_ip}"),
        ({"response": {"set": {"X-A": "{user_agent}"}}}, "use one of client_ip"),
        ({"request": {"set": {"X-A": "%[src]"}}}, "write a source in braces"),
        ({"request": {"set": {"X-A": "$context.requestId"}}}, "write a source in braces"),
        ({"request": {"set": {"X-A": "$tyk_meta.id"}}}, "write a source in braces"),
        ({"request": {"set": {"X-A": "{status}"}}}, "only behind the upstream: move it to response"),
        ({"request": {"set": {"X-A": "${gone"}}}, "${"),
        ({"request": {"set": {"X-A": "a\u0001b"}}}, "control character"),
        ({"request": {"set": {"X-A": "snow \u2603"}}}, "outside latin-1"),
        ({"request": {"set": {"X-A": 5}}}, "request.set"),
        ({"request": {"append": {"Cookie": "a=1"}}}, "no list with commas"),
        ({"response": {"append": {"set-cookie": "a=1"}}}, "no list with commas"),
        ({"request": {"sets": {}}}, "sets"),
        ({"set": {"X-A": "b"}}, 'unknown key "set": it belongs in request or response'),
        ({"hsts": True}, "it belongs in security"),
        ({"request": {"set": {"X-A": "$remote_addr"}}}, "would be sent literally: write {client_ip}"),
        ({"request": {"set": {"X-A": "a $http_x_name"}}}, "write {header:x-name}"),
        ({"request": {"set": {"X-A": "$cookie_a_b"}}}, "write {cookie:a_b}"),
        ({"request": {"set": {"X-A": "$(headers.x)"}}}, "write a source in braces"),
        ({"response": {"set": {"X-A": "%REQ(X-A)%"}}}, "write a source in braces"),
        ({"response": {"set": {"X-A": "{nope}"}}}, "response.set.X-A: names {nope}, which there is not"),
        ({"request": {"keep": []}}, "keep"),
        ({"response": {"statuses": ["60x"], "set": {"X-A": "b"}}}, "write for example 404, 500-599 or 5xx"),
        ({"response": {"statuses": ["599-500"], "set": {"X-A": "b"}}}, "ends before it begins: write 500-599"),
        ({"response": {"dedupe": {"X-A": "some"}}}, "dedupe"),
        ({"security": {"hsts": {"preload": True}}}, "preload needs subdomains: true"),
        ({"security": {"frame_options": "ALLOW-FROM x"}}, "frame_options"),
        ({"request": {"set": {"X-User": "{identity}"}}}, "identity"),
        ({"request": {"default": {"X-User": "{identity}"}}}, "default.X-User names who is calling"),
        ({"request": {"add": {"X-Org": "a {claim:org|none}"}}}, "add.X-Org names who is calling"),
        ({"request": {"append": {"X-Roles": "{claim:roles}"}}}, "write it in set, which lets no client send the field"),
        ({"request": {"set": {"host": "{header:x-tenant}.example.com"}}}, "set.host is no fixed host"),
        ({"request": {"set": {"Host": "a b"}}}, "write the route's rewrite.host instead"),
        ({"request": {"add": {"Host": "a.example.com"}}}, "add of Host cannot be"),
        ({"request": {"default": {"Host": "a.example.com"}}}, "default of Host cannot be"),
        ({"request": {"append": {"HOST": "a.example.com"}}}, "append of Host cannot be"),
        ({"request": {"remove": ["host"]}}, "remove of Host cannot be"),
        ({"request": {"rename": {"X-Tenant": "Host"}}}, "rename to Host would let clients choose it"),
    ],
)
def test_what_cannot_be_meant_is_a_problem_with_its_place(gateway: Any, config: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidConfigError) as caught:
        gateway(one_route("http://127.0.0.1:9", {"name": "headers", "config": config}), plugins=[HeaderRules])

    assert message in str(caught.value)


@pytest.mark.parametrize("value", ["5 $", "$hostile", "100%", "50%OFF", "$(1)", "a$b", "%20%41"])
def test_other_texts_with_such_signs_are_sent_as_they_are(value: str) -> None:
    assert RequestRules.model_validate({"set": {"X-A": value}}).set == {"X-A": value}


@pytest.mark.parametrize("host", ["users.internal", "users.internal:8080", "[2001:db8::1]:443"])
def test_a_fixed_host_may_be_set(gateway: Any, upstream: Any, host: str) -> None:
    config = {"request": {"set": {"Host": host}}}
    running = gateway(one_route(upstream.url, {"name": "headers", "config": config}), plugins=[HeaderRules])

    assert running.get("/").status == 200
    assert upstream.last.headers.get_all("host") == [host]


def test_responses_may_name_who_is_calling_in_any_rule() -> None:
    for key in ("set", "default", "add", "append"):
        assert getattr(ResponseRules.model_validate({key: {"X-User": "{identity}"}}), key) == {"X-User": "{identity}"}


def test_every_option_is_described() -> None:
    models = (HeadersConfig, RequestRules, ResponseRules, SecurityConfig, HstsConfig)

    assert all(field.description for model in models for field in model.model_fields.values())


def test_the_plugin_keeps_to_what_plugins_should() -> None:
    assert_plugin_ok(HeaderRules, {"hide_server": True, "request": {"set": {"X-A": "b"}}})


def test_a_parameter_that_the_route_does_not_capture_is_a_problem_at_its_place(gateway: Any) -> None:
    response = [{"statuses": [404], "add": {"X-A": "for {param:nmae}"}}]
    request = {"set": {"X-B": "{param:name}", "X-C": "{param:gone|none}"}}
    route = {
        "id": "r", "path": "/:name", "target": "http://127.0.0.1:9",
        "plugins": [{"name": "headers", "config": {"request": request, "response": response}}],
    }  # fmt: skip

    with pytest.raises(InvalidConfigError) as caught:
        gateway({"routes": [route]}, plugins=[HeaderRules])

    (problem,) = caught.value.problems
    assert (problem.code, problem.key_path) == ("param.unknown", "routes[0].plugins[0].config.response[0].add.X-A")
    assert problem.remedy == 'did you mean "name"?'
