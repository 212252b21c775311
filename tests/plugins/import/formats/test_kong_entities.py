"""Entities of Kong that hold for others: decK's defaults, and plugins of consumer groups."""

from __future__ import annotations

import json
from typing import Any

from gateway_import.model import Imported

from tests.importing import import_text, losses, written

ALICE = {"username": "alice", "keyauth_credentials": [{"key": "k"}]}


def document(*routes: dict[str, Any], **more: Any) -> str:
    service = {"name": "users", "url": "http://127.0.0.1:8081", "routes": list(routes)}
    return json.dumps({"_format_version": "3.0", "services": [service], **more})


def plugin(name: str, **config: Any) -> dict[str, Any]:
    return {"name": name, "config": config}


def test_what_deck_gives_to_every_entity_holds_unless_the_entity_has_its_own() -> None:
    defaults = {"route": {"protocols": ["https"], "methods": ["GET"]}, "service": {"retries": 3}}
    routes = [{"name": "a", "paths": ["/a"]}, {"name": "b", "paths": ["/b"], "methods": ["PUT"]}]

    found = written(import_text("kong", document(*routes, _info={"defaults": defaults})))

    seen = {each["id"]: (each["scheme"], each["methods"]) for each in found["routes"]}
    assert (seen["a"], seen["b"]) == (("https", ["GET"]), ("https", ["PUT"]))
    assert (seen["a-http"], seen["b-http"]) == (("http", ["GET"]), ("http", ["PUT"]))
    assert found["upstreams"][0]["retries"]["attempts"] == 3


def test_a_plugin_of_a_consumer_group_at_the_top_takes_the_credentials_of_its_members() -> None:
    bob = {**ALICE, "username": "bob", "groups": [{"name": "gold"}]}
    route = {"name": "r", "paths": ["/"], "plugins": [plugin("key-auth")]}
    limits = {**plugin("request-size-limiting"), "consumer_group": "gold"}

    text = document(route, consumers=[ALICE, bob], consumer_groups=[{"name": "gold"}], consumer_group_plugins=[limits])
    imported = import_text("kong", text)

    assert [what for _, what in losses(imported)] == ["!plugin 'request-size-limiting' of group 'gold'"]
    auth = written(imported)["routes"][0]["plugins"][0]["config"]
    assert [key["subject"] for key in auth["providers"]["key-auth"]["keys"]] == ["alice"]


def test_a_consumer_whose_requests_are_terminated_everywhere_gets_no_credentials_and_nothing_is_lost() -> None:
    def imported(more: str) -> Imported:
        return import_text(
            "kong",
            '_format_version: "3.0"\n'
            "services:\n"
            "  - {name: s, url: 'http://10.0.0.1', routes: [{name: r, paths: [/], plugins: [{name: key-auth}]}]}\n"
            "consumers:\n"
            "  - {username: alice, keyauth_credentials: [{key: a}]}\n"
            "  - {username: bob, keyauth_credentials: [{key: b}]}\n"
            f"plugins: [{{name: request-termination, consumer: bob{more}}}]\n",
        )

    assert losses(imported("")) == []
    (bound,) = written(imported(""))["routes"][0]["plugins"]
    assert [each["subject"] for each in bound["config"]["providers"]["key-auth"]["keys"]] == ["alice"]
    for more in (", route: r", ", config: {trigger: x}"):
        (lost,) = losses(imported(more))
        assert lost[1].startswith("!plugin 'request-termination'")
