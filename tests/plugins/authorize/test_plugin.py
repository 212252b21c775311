"""What clients and upstreams get, from a real gateway."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jwt
from gateway_plugin_auth import Auth
from gateway_plugin_authorize import Authorize
from gateway_plugin_logger import Logger
from gateway_plugin_ratelimit import RateLimit
from gateway_plugin_sdk import Plugin, Request, hookimpl
from gateway_plugin_sdk.testing import PluginHarness, ScriptedUpstream, StartGateway, eventually, one_route

SECRET = "a secret of more than thirty-two characters"
PLUGINS = [Auth, RateLimit, Logger, Authorize]
AUTH = {"name": "auth", "config": {"secret": SECRET}}


def bearer(subject: str = "alice", **claims: Any) -> dict[str, str]:
    return {"Authorization": f"Bearer {jwt.encode({'sub': subject, **claims}, SECRET, 'HS256')}"}


def binding(**config: Any) -> dict[str, Any]:
    return {"name": "authorize", "config": config}


def test_a_request_passes_only_if_the_rule_is_known_to_hold(gateway: StartGateway, upstream: ScriptedUpstream) -> None:
    rule = {"not": {"groups": ["blocked"]}}
    running = gateway(one_route(upstream.url, AUTH, binding(rule=rule)), plugins=PLUGINS)
    tokens: list[dict[str, Any]] = [{"groups": ["staff"]}, {"groups": ["blocked"]}, {}, {"groups": "staff"}]

    responses = [running.get("/", headers=bearer(**claims)) for claims in tokens]

    assert [each.status for each in responses] == [200, 403, 403, 403]
    assert len(upstream.requests) == 1
    assert {each.json()["detail"] for each in responses[1:]} == {"this request is not allowed"}
    assert responses[1].headers["cache-control"] == "no-store"
    metrics = running.metrics()
    assert 'gateway_authorize_refusals_total{binding="authorize",reason="rule-denied",route="test"} 1' in metrics
    assert 'gateway_authorize_refusals_total{binding="authorize",reason="rule-unknown",route="test"} 2' in metrics


def test_it_goes_together_with_the_other_plugins(
    gateway: StartGateway, upstream: ScriptedUpstream, tmp_path: Path
) -> None:
    log = tmp_path / "access.log"
    chain = [
        AUTH,
        binding(rule={"any": [{"groups": ["admins"]}, {"methods": ["GET"], "scopes": ["read"]}]}),
        {"name": "ratelimit", "config": {"quota": 1, "window": "1h", "key": "identity"}},
        {"name": "logger", "config": {"path": str(log), "fields": ["status", "identity", "refusal", "produced_by"]}},
    ]
    running = gateway(one_route(upstream.url, *chain), plugins=PLUGINS)
    reader = bearer(scope="read", groups=[])

    statuses = [running.get("/", headers=headers).status for headers in ({}, reader, reader, bearer())]
    statuses.append(running.request("POST", "/", headers=reader).status)

    assert statuses == [401, 200, 429, 403, 403]
    eventually(lambda: log.exists() and log.read_text().count("\n") == 5)
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [(line.get("refusal"), line["produced_by"]) for line in lines] == [
        ("missing", "auth"),
        (None, "upstream"),
        ("ratelimit", "ratelimit"),
        ("rule-unknown", "authorize"),
        ("rule-denied", "authorize"),
    ]


def test_a_consumer_has_its_groups_and_the_upstream_its_name(
    gateway: StartGateway, upstream: ScriptedUpstream, tmp_path: Path
) -> None:
    file = tmp_path / "consumers.yaml"
    text = "consumers: [{name: shop, groups: [%s], credentials: [{scheme: jwt, subject: alice}]}]"
    file.write_text(text % "partners")
    config = {"consumers": str(file), "consumer_header": "X-Consumer", "rule": {"groups": ["partners"]}}
    document = one_route(upstream.url, AUTH, binding(**config))
    running = gateway(document, plugins=PLUGINS)
    forged = {"X-Consumer": "admin", "X_Consumer": "admin"}

    assert [running.get("/", headers=forged | bearer(name)).status for name in ("alice", "bob")] == [200, 403]
    assert upstream.last.headers.get_all("x-consumer") == ["shop"]
    assert "x_consumer" not in upstream.last.headers

    file.write_text(text % "others")
    running.reload(document)

    assert running.get("/", headers=bearer()).status == 403


def test_a_shadow_rule_refuses_nothing_and_counts(gateway: StartGateway, upstream: ScriptedUpstream) -> None:
    config = binding(rule={"authenticated": True}, shadow_rule={"groups": ["staff"]})
    running = gateway(one_route(upstream.url, AUTH, config), plugins=PLUGINS)

    assert [running.get("/", headers=bearer(groups=groups)).status for groups in (["staff"], [], 7)] == [200] * 3
    metrics = running.metrics()
    assert 'shadow_refusals_total{binding="authorize",reason="rule-denied",route="test"} 1' in metrics
    assert 'shadow_refusals_total{binding="authorize",reason="rule-unknown",route="test"} 1' in metrics
    assert any("shadow_rule would refuse: rule-denied" in record.getMessage() for record in running.logs)


def test_a_binding_in_shadow_mode_refuses_nothing_and_reports(
    gateway: StartGateway, upstream: ScriptedUpstream
) -> None:
    config = binding(rule={"groups": ["staff"]}) | {"mode": "shadow"}
    running = gateway(one_route(upstream.url, AUTH, config), plugins=PLUGINS)

    assert running.get("/", headers=bearer(groups=[])).status == 200
    assert 'refusals_total{binding="authorize",reason="rule-denied",route="test"} 1' in running.metrics()


def test_a_binding_in_shadow_mode_does_not_change_the_request(
    gateway: StartGateway, upstream: ScriptedUpstream, tmp_path: Path
) -> None:
    consumers = tmp_path / "consumers.yaml"
    consumers.write_text("consumers: [{name: shop, groups: [a], credentials: [{scheme: jwt, subject: alice}]}]")
    config = {"consumers": str(consumers), "consumer_header": "X-Consumer", "rule": {"groups": ["a"]}}
    running = gateway(one_route(upstream.url, AUTH, binding(**config) | {"mode": "shadow"}), plugins=PLUGINS)
    forged = {"X-Consumer": "admin"}

    statuses = [running.get("/", headers=forged | bearer(name)).status for name in ("alice", "bob")]

    assert statuses == [200, 200]
    assert all("x-consumer" not in request.headers for request in upstream.requests)


def test_a_binding_in_shadow_mode_leaves_nothing_for_other_plugins(
    gateway: StartGateway, upstream: ScriptedUpstream, tmp_path: Path
) -> None:
    consumers, log = tmp_path / "consumers.yaml", tmp_path / "access.log"
    consumers.write_text("consumers: [{name: shop, groups: [a], credentials: [{scheme: jwt, subject: alice}]}]")
    seen: list[dict[str, Any]] = []

    class Looks(Plugin[None]):
        name = "looks"

        @hookimpl
        def gateway_pre_proxy(self, request: Request) -> None:
            seen.append({name: value for name, value in request.state.items() if name.startswith("authorize.")})

    rules = {"rule": {"groups": ["a"]}, "shadow_rule": {"groups": ["b"]}}
    tried = binding(consumers=str(consumers), **rules) | {"mode": "shadow"}
    chain = [AUTH, tried, {"name": "looks"}, {"name": "logger", "config": {"path": str(log), "fields": ["refusal"]}}]
    running = gateway(one_route(upstream.url, *chain), plugins=[*PLUGINS, Looks])

    statuses = [running.get("/", headers=bearer(name)).status for name in ("alice", "bob")]

    assert (statuses, seen) == ([200, 200], [{}, {}])
    eventually(lambda: log.exists() and log.read_text().count("\n") == 2)
    assert "rule-" not in log.read_text()


def test_a_policy_is_asked_in_shadow_mode_and_what_it_would_refuse_is_reported(
    gateway: StartGateway, upstream: ScriptedUpstream
) -> None:
    with ScriptedUpstream() as policy:
        policy.answer_with(200, '{"result": false}')
        running = gateway(
            one_route(upstream.url, binding(opa={"target": policy.url}) | {"mode": "shadow"}), plugins=PLUGINS
        )

        assert running.get("/").status == 200
        assert len(policy.requests) == 1
    assert running.get("/").status == 200, "nor is a request refused whose policy is away"
    metrics = running.metrics()
    for reason in ("policy-denied", "policy-unavailable"):
        assert f'authorize_refusals_total{{binding="authorize",reason="{reason}",route="test"}} 1' in metrics


def test_an_attack_has_one_line_of_the_log_in_a_second(clock: Any) -> None:
    with PluginHarness(Authorize, {"rule": {"methods": ["PUT"]}}, clock=clock) as harness:
        for _ in range(50):
            harness.request()
        clock.advance(1)
        harness.request()
        lines = [record.getMessage() for record in harness.logs if "refused" in record.getMessage()]

    assert len(lines) == 2
    assert lines[1].endswith("refused: rule-denied, and 49 others for this reason before")


def test_the_path_of_an_upgrade_is_authorised_as_well() -> None:
    with PluginHarness(Authorize, {"rule": {"paths": ["/open"]}}) as harness:
        upgrade = [("Connection", "Upgrade"), ("Upgrade", "websocket")]
        statuses = [harness.request(target=path, headers=upgrade).response.status for path in ("/open", "/closed")]

    assert statuses == [200, 403]
