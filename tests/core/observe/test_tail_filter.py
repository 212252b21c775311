from __future__ import annotations

from typing import Any

import pytest
from gateway_core.observe.tail_filter import EVERY_REQUEST, TailFilter

ENTRY: dict[str, Any] = {
    "route": "users", "status": 503, "method": "POST", "path": "/users/1", "client": "10.1.2.3",
    "reason": "upstream.timeout", "refusals": ["expired"],
    "refused_by": ["auth"], "produced_by": "deny-all",
}  # fmt: skip


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"route": "users"},
        {"status": "503"},
        {"status": "404,5xx"},
        {"method": "post"},
        {"path": "/users"},
        {"client": "10.1.2.3"},
        {"client": "10.0.0.0/8"},
        {"reason": "upstream.timeout"},
        {"reason": "expired"},
        {"plugin": "auth"},
        {"plugin": "deny-all"},
        {"route": "users", "status": "5xx", "method": "POST"},
    ],
)
def test_a_request_matches_each_of_its_properties(given: dict[str, str]) -> None:
    assert TailFilter(**given).matches(ENTRY)


@pytest.mark.parametrize(
    "given",
    [
        {"route": "user"},
        {"plugin": "cors"},
        {"status": "504"},
        {"status": "4xx"},
        {"method": "GET"},
        {"path": "/orders"},
        {"client": "10.1.2.4"},
        {"client": "::1"},
        {"reason": "no-route"},
        {"route": "users", "status": "2xx"},
    ],
)
def test_a_request_that_differs_in_one_does_not_match(given: dict[str, str]) -> None:
    assert not TailFilter(**given).matches(ENTRY)


def test_what_is_known_at_once_decides_before_the_rest() -> None:
    wanted = TailFilter(route="users", status="5xx", method="post", path="/x")

    assert wanted.may_match("users", 500, "POST")
    assert not wanted.may_match(None, 500, "POST")
    assert not wanted.may_match("users", 200, "POST")
    assert not wanted.may_match("users", 500, "GET")
    assert EVERY_REQUEST.may_match(None, 0, "-")


def test_a_client_without_an_address_matches_no_network() -> None:
    assert not TailFilter(client="0.0.0.0/0").matches({**ENTRY, "client": ""})


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"status": "6xx"}, "'6xx' is no status"),
        ({"status": "404,"}, "'' is no status"),
        ({"client": "somewhere"}, "'somewhere' is no address"),
        ({"path": "x" * 501}, "path is longer than 500"),
    ],
)
def test_a_condition_that_is_none_is_refused_with_how_it_is_written(given: dict[str, str], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        TailFilter(**given)


def test_it_is_the_same_after_a_way_as_json() -> None:
    wanted = TailFilter(route="users", status="5xx")

    assert TailFilter(**wanted.to_plain()) == wanted


@pytest.mark.parametrize("made_by", ["gateway", "upstream"])
def test_a_response_of_no_plugin_is_none_of_a_plugin(made_by: str) -> None:
    assert not TailFilter(plugin=made_by).matches({**ENTRY, "produced_by": made_by})


@pytest.mark.parametrize("name", ["authorization", "Cookie", "x-api-key", "X-Forwarded-Client-Cert", "a b", ""])
def test_no_field_is_shown_that_may_hold_credentials(name: str) -> None:
    with pytest.raises(ValueError, match=r"may hold credentials|no header name"):
        TailFilter(headers=f"accept,{name}")


def test_names_of_fields_are_no_condition() -> None:
    wanted = TailFilter(headers="Accept,x-beta")

    assert (wanted.header_names, wanted.matches(ENTRY)) == (("accept", "x-beta"), True)
    assert TailFilter().header_names == ()
