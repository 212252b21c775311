from __future__ import annotations

from typing import Any

import pytest
from gateway_plugin_headers.template import check_template, compile_template, constant, needs_identity
from gateway_plugin_sdk import Headers, Identity, Request, Response, RouteInfo
from hypothesis import given
from hypothesis import strategies as st

CLAIMS = {"sub": "alice", "roles": ["a", "b"], "org": {"id": 7}, "vip": True, "nested": [{"a": 1}], "empty": ""}


def request(target: str = "/orders/7?page=2", **fields: str) -> Request:
    made = Request("GET", target, Headers(fields.items()), client_ip="192.0.2.1", peer_ip="10.0.0.1", scheme="https")
    made.identity = Identity("alice", "jwt", CLAIMS)
    made.route = RouteInfo("orders")
    made.path_params = {"id": "7"}
    return made


@pytest.mark.parametrize(
    ("template", "value"),
    [
        ("plain", "plain"),
        ("{{not a source}}", "{not a source}"),
        ("{client_ip} via {peer_ip}", "192.0.2.1 via 10.0.0.1"),
        ("{scheme}://{header:host}{path}?{query}", "https://a.test/orders/7?page=2"),
        ("{query:page}", "2"),
        ("{query:none}", None),
        ("{query:none|1}", "1"),
        ("page {query:none}", None),
        ("{query:none|}", ""),
        ("{param:id}", "7"),
        ("{cookie:sid}", "s1"),
        ("{route}", "orders"),
        ("{identity}", "alice"),
        ("{claim:roles}", "a,b"),
        ("{claim:org.id}", "7"),
        ("{claim:vip}", "true"),
        ("{claim:nested}", None),
        ("{claim:org}", None),
        ("{claim:empty}", None),
        ("{claim:gone|none}", "none"),
        ("{header:x-text}", "a\t%0D%0Ab".replace("\t", "%09")),
        ("{status} by {produced_by}", "404 by upstream"),
        ("{response:x-from}", "service"),
        ("{failure}", None),
    ],
)
def test_sources_are_replaced_by_what_they_name(template: str, value: str | None) -> None:
    response = Response(404, headers={"X-From": "service"})
    response.produced_by = "upstream"
    of = request(Host="a.test", Cookie="sid=s1")
    of.state["x"] = 1
    made = compile_template(template.replace("{header:x-text}", "{query:text}"), of_response=True)
    if "x-text" in template:
        of = request("/?text=a%09%0D%0Ab")

    assert made(of, response) == value


@given(st.text())
def test_whatever_a_client_sends_is_one_value_of_a_field(text: str) -> None:
    of = request()
    of.identity = Identity("x", "jwt", {"text": text})

    value = compile_template("{claim:text|none}", of_response=False)(of, Response())

    assert value is not None
    Headers({"X-Text": value})


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{user}", "{param:user} is a parameter of the route.s path, or use one of client_ip"),
        ("{header}", "which there is not"),
        ("{client_ip:x}", "which there is not"),
        ("{}", "which there is not"),
        ("{status}", "only behind the upstream: move it to response"),
        ("{response:x}", "only behind the upstream"),
        ("a } b", "has a } without its partner: write }} for the character"),
        ("{client_ip", "has a { without its partner"),
        ("$host", "would be sent literally: write {host}"),
        ("$hosts", ""),
    ],
)
def test_what_there_is_not_is_named_with_what_there_is(template: str, message: str) -> None:
    if not message:
        check_template(template, of_response=False)
        return
    with pytest.raises(ValueError, match=message.replace("{", r"\{").replace("}", r"\}")):
        check_template(template, of_response=False)


def test_a_template_without_sources_is_a_constant() -> None:
    assert constant("a {{b}}") == "a {b}"
    assert constant("{host}") is None


def test_identity_and_claims_need_somebody_who_authenticates() -> None:
    texts: Any = ["{identity}", "{claim:sub}", "{host}", "{{identity}}"]

    assert [needs_identity(text) for text in texts] == [True, True, False, False]
