"""Plugins of Kong's consumers and groups: which of them runs for whom, and what the upstream may believe."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from gateway_import.kong.entities import read_entities
from gateway_import.kong.scoped import effective_plugins
from gateway_import.nodes import read_nodes
from gateway_import.sections import Section
from gateway_plugin_sdk.testing import RunningGateway, ScriptedUpstream, StartGateway

from tests.importing import bindings, check, files_of, import_text, losses, started, written

NAMES = ("gold", "bronze", "staff")
KEYS = {f"KONG_{name.upper()}_API_KEY": f"the key of {name}, of some length" for name in NAMES}


def plugin(name: str, **config: Any) -> dict[str, Any]:
    return {"name": name, "config": config}


def consumer(name: str, *plugins: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"username": name, "keyauth_credentials": [{"key": name}], "plugins": list(plugins), **more}


def document(*consumers: dict[str, Any], url: str = "http://127.0.0.1:8081", **more: Any) -> str:
    guards = [plugin("key-auth"), plugin("rate-limiting", minute=1), *more.pop("guards", ())]
    routes = [{"name": "r", "paths": ["/"], "strip_path": False, "plugins": guards}]
    service = {"name": "s", "url": url, "routes": routes}
    return json.dumps({"_format_version": "3.0", "services": [service], "consumers": list(consumers), **more})


def statuses(running: RunningGateway, name: str, count: int, **fields: str) -> list[int]:
    headers = {"apikey": KEYS[f"KONG_{name.upper()}_API_KEY"], **fields}
    return [running.get("/", headers=headers).status for _ in range(count)]


def test_a_limit_of_a_consumer_or_of_its_group_counts_instead_of_that_of_everyone(
    gateway: StartGateway, upstream: ScriptedUpstream
) -> None:
    gold = consumer("gold", plugin("rate-limiting", minute=3))
    staff = consumer("staff", groups=[{"name": "team"}])
    groups = [{"name": "team", "plugins": [plugin("rate-limiting", minute=2)]}]
    imported = import_text("kong", document(gold, consumer("bronze"), staff, url=upstream.url, consumer_groups=groups))

    running = started(gateway, imported, **KEYS)

    assert losses(imported) == []
    assert statuses(running, "gold", 4) == [200, 200, 200, 429]
    assert statuses(running, "bronze", 2, **{"X-Consumer-Username": "gold"}) == [200, 429], "no client says who it is"
    assert statuses(running, "staff", 3) == [200, 200, 429]


def test_what_a_filter_and_a_transformer_of_a_consumer_do_nobody_else_gets(
    gateway: StartGateway, upstream: ScriptedUpstream
) -> None:
    gold = consumer("gold", plugin("request-transformer", add={"headers": ["x-plan:gold"]}))
    bronze = consumer("bronze", plugin("ip-restriction", deny=["127.0.0.1"]))
    imported = import_text("kong", document(gold, bronze, consumer("staff"), url=upstream.url))

    running = started(gateway, imported, **KEYS)

    assert statuses(running, "gold", 1) == [200]
    assert upstream.last.headers["x-plan"] == "gold"
    assert statuses(running, "bronze", 1) == [403]
    assert statuses(running, "staff", 1) == [200]
    assert "x-plan" not in upstream.last.headers


def test_the_upstream_gets_what_auth_says_of_the_consumer_and_nothing_that_a_client_says(
    gateway: StartGateway, upstream: ScriptedUpstream
) -> None:
    said = {"X-Consumer-Custom-ID": "1", "X-Consumer-ID": "2", "X-Anonymous-Consumer": "3", "X-Consumer-Groups": "root"}
    imported = import_text("kong", document(consumer("gold", custom_id="77"), url=upstream.url))

    statuses(started(gateway, imported, **KEYS), "gold", 1, **said)

    got = {name: value for name, value in upstream.last.headers.items() if name.lower() in map(str.lower, said)}
    assert {name.lower(): value for name, value in got.items()} == {"x-consumer-custom-id": "77"}


def test_tokens_leave_no_field_of_a_client_that_names_a_consumer(tmp_path: Path) -> None:
    tokens = {"username": "gold", "jwt_secrets": [{"key": "iss", "secret": "s"}]}
    text = document(tokens).replace("key-auth", "jwt")
    imported = import_text("kong", text)

    first = written(imported)["routes"][0]["plugins"][0]
    assert (first["name"], "X-Consumer-Username" in first["config"]["request"]["remove"]) == ("headers", True)
    assert check(imported, tmp_path) == []


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"plugins": [plugin("request-size-limiting", allowed_payload_size=1)]}, "it is a key of the route"),
        ({"plugins": [plugin("rate-limiting", minute=1, limit_by="header")]}, "a guard is lost in it"),
        ({"plugins": [plugin("request-transformer", remove={"querystring": ["a"]})]}, "it changes the route's rewrite"),
        ({"plugins": [plugin("bot-detection")]}, "it is not known"),
        ({"plugins": [plugin("rate-limiting", minute=1)], "jwt_secrets": [{"key": "a", "secret": "b"}]}, "its tokens"),
        ({"plugins": [plugin("rate-limiting", minute=1)], "username": "go,ld"}, "no field has its name as it is"),
    ],
)
def test_a_consumer_whose_own_plugin_cannot_run_for_it_alone_loses_its_credentials(
    more: dict[str, Any], why: str
) -> None:
    imported = import_text("kong", document({**consumer("gold"), **more}, consumer("staff")))

    assert [what[:9] for _, what in losses(imported)] == ["!plugin '"], why
    auth = bindings(written(imported)["routes"][0])["auth"]
    assert [key["subject"] for key in auth["providers"]["key-auth"]["keys"]] == ["staff"]


def test_a_plugin_of_a_consumer_that_stands_for_anonymous_requests_closes_the_route() -> None:
    guards = [plugin("key-auth", anonymous="guest")]
    guest = {"username": "guest", "plugins": [plugin("rate-limiting", minute=1)]}
    route = {"name": "r", "paths": ["/"], "plugins": guards}
    service = {"name": "s", "url": "http://127.0.0.1:8081", "routes": [route]}
    text = json.dumps({"_format_version": "3.0", "services": [service], "consumers": [guest, consumer("gold")]})

    assert written(import_text("kong", text))["routes"][0]["respond"] == {"status": 403}


def test_consumer_groups_are_no_groups_of_acl_unless_it_says_that_they_count() -> None:
    member = consumer("gold", groups=[{"name": "team"}])

    def groups(**more: Any) -> Any:
        imported = import_text("kong", document(member, guards=[plugin("acl", allow=["team"], **more)]))
        keys = bindings(written(imported)["routes"][0])["auth"]["providers"]["key-auth"]["keys"]
        return keys[0]["claims"].get("groups")

    assert (groups(), groups(include_consumer_groups=True)) == (None, ["team"])


SCOPES = ["crs", "grs", "cr", "cs", "gr", "gs", "rs", "c", "g", "r", "s", ""]
"""From the most specific one, by the first letters of consumer, group, route and service."""


@pytest.mark.parametrize("number", range(len(SCOPES) - 1))
def test_the_most_specific_plugin_runs_in_the_order_that_kong_documents(number: int) -> None:
    names = {"c": ("consumer", "gold"), "g": ("consumer_group", "team"), "r": ("route", "r"), "s": ("service", "s")}
    plugins = [
        {**plugin("rate-limiting", minute=index), **dict(names[letter] for letter in scope)}
        for index, scope in reversed(list(enumerate(SCOPES)))
        if index >= number
    ]
    service = {"name": "s", "url": "http://127.0.0.1:8081", "routes": [{"name": "r", "paths": ["/"]}]}
    text = json.dumps(
        {
            "_format_version": "3.0",
            "services": [service],
            "consumers": [consumer("gold", groups=[{"name": "team"}])],
            "plugins": plugins,
        }
    )
    entities = read_entities(Section(read_nodes(files_of(text).first())))

    found = effective_plugins(entities, "r", "s", entities.consumers[0])["rate-limiting"]

    assert found.config is not None
    assert found.config.integer("minute") == number
