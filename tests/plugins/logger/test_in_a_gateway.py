"""The logger in a real gateway, in front of a real upstream."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from gateway_core.config import ConfigError, Document
from gateway_core.packages import PluginRegistry
from gateway_core.snapshot import load
from gateway_plugin_logger import Logger
from gateway_plugin_sdk.testing import PluginHarness, assert_plugin_ok, eventually, one_route

API_KEY = {"subject": "shop", "key": "shop-0123456789abcdef0123456789"}


def lines_of(path: Path, count: int) -> list[dict[str, Any]]:
    eventually(lambda: path.read_text().count("\n") == count)
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize("config", [{}, {"format": "combined", "path": "/dev/null"}])
def test_it_keeps_to_what_every_plugin_keeps_to(config: dict[str, Any], capfd: pytest.CaptureFixture[str]) -> None:
    assert_plugin_ok(Logger, config)


def test_the_line_of_a_request_says_what_happened(gateway: Any, upstream: Any, tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    upstream.answer_with(201, b"made", headers={"Content-Type": "text/plain"})
    config = {
        "path": str(path),
        "drop": [
            "time",
            "request_id",
            "client_ip",
            "host",
            "duration_ms",
            "upstream_duration_ms",
            "upstream",
            "endpoint",
        ],
        "add": {"type": "{content_type}", "tries": "{attempts}"},
    }
    running = gateway(one_route(upstream.url, {"name": "logger", "config": config}))

    running.post("/things?token=abc&x=1", b"12345", headers={"User-Agent": "test/1"})

    assert lines_of(path, 1) == [
        {
            "method": "POST",
            "path": "/things",
            "query": "token=REDACTED&x=1",
            "status": 201,
            "bytes_received": 5,
            "bytes_sent": 4,
            "route": "test",
            "user_agent": "test/1",
            "produced_by": "upstream",
            "type": "text/plain",
            "tries": 1,
        }
    ]


def test_bodies_are_said_if_named_and_pass_as_they_are(gateway: Any, upstream: Any, tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    answer = json.dumps({"id": 7, "token": "t", "text": "x" * 100}).encode()
    upstream.answer_with(200, answer, headers={"Content-Type": "application/json"})
    config = {
        "path": str(path),
        "fields": ["request_body", "response_body"],
        "request_body": {"max_bytes": "1KiB"},
        "response_body": {"max_bytes": 30, "content_types": ["application/json"]},
    }
    running = gateway(one_route(upstream.url, {"name": "logger", "config": config}))

    got = running.post("/", b'{"user":"u","password":"p"}', headers={"Content-Type": "application/json"})
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    running.post("/", b"user=u&password=p", headers=form)
    running.get("/")

    assert (got.body, got.headers.get("content-length")) == (answer, str(len(answer)))
    cut = '{"id": 7, "token": "REDACTED", "text"...[truncated]'
    assert lines_of(path, 3) == [
        {"request_body": '{"user":"u","password":"REDACTED"}', "response_body": cut},
        {"request_body": "user=u&password=REDACTED", "response_body": cut},
        {"response_body": cut},
    ]


def test_a_line_says_where_a_request_came_from_and_went_and_what_plugins_took(
    gateway: Any, upstream: Any, tmp_path: Path
) -> None:
    path = tmp_path / "access.log"
    fields = [
        "peer_port",
        "local_port",
        "endpoint_address",
        "upstream_url",
        "attempt_details",
        "plugin_times",
        "config_version",
    ]
    config = {"path": str(path), "fields": fields}
    limit = {"name": "ratelimit", "config": {"rate": 100}}
    running = gateway(one_route(upstream.url, {"name": "logger", "config": config}, limit))

    running.get("/a?b=1&token=x")

    (line,) = lines_of(path, 1)
    assert line["endpoint_address"] == upstream.url.partition("://")[2]
    assert line["upstream_url"] == upstream.url + "/a?b=1&token=REDACTED"
    assert line["attempt_details"][0]["address"] == line["endpoint_address"]
    assert set(line["plugin_times"]) >= {"ratelimit.pre_proxy", "ratelimit.response"}
    assert line["peer_port"] > 0
    assert running.url.endswith(f":{line['local_port']}")
    assert line["config_version"]


def test_a_gateway_that_says_no_bodies_does_not_ask_for_them(gateway: Any, upstream: Any, tmp_path: Path) -> None:
    config = {"path": str(tmp_path / "access.log"), "request_body": {"max_bytes": 1}}

    plugin = PluginHarness(Logger, config)

    with plugin:
        assert plugin.plugin.idle_hooks == {"gateway_route_match", "gateway_response"}
        assert not plugin.plugin.needs


def test_answers_of_the_gateway_itself_are_logged_with_the_reason(gateway: Any, tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    running = gateway(
        {
            "plugins": [{"name": "logger", "config": {"path": str(path)}}],
            "routes": [{"path": "/only", "target": "http://127.0.0.1:1"}],
        }
    )

    running.get("/none")
    running.get("/only")

    missing, away = lines_of(path, 2)
    assert (missing["status"], missing["produced_by"], "route" in missing) == (404, "gateway", False)
    assert (away["status"], away["produced_by"]) == (502, "gateway")
    assert "connect" in away["error"]


def test_a_reload_to_another_form_loses_no_line(gateway: Any, upstream: Any, tmp_path: Path) -> None:
    path = tmp_path / "access.log"

    def config(form: str) -> dict[str, Any]:
        return one_route(upstream.url, {"name": "logger", "config": {"path": str(path), "format": form}})

    running = gateway(config("old {path}"))
    for number in range(50):
        running.get(f"/{number}")
    running.reload(config("new {path}"))
    for number in range(50, 100):
        running.get(f"/{number}")

    eventually(lambda: path.read_text().count("\n") == 100)
    lines = path.read_text().splitlines()
    assert sorted(lines) == sorted([f"old /{n}" for n in range(50)] + [f"new /{n}" for n in range(50, 100)])


def test_a_configuration_whose_file_cannot_be_opened_is_refused(gateway: Any, upstream: Any, tmp_path: Path) -> None:
    path = tmp_path / "none" / "access.log"

    with pytest.raises(Exception, match="there is no directory"):
        gateway(one_route(upstream.url, {"name": "logger", "config": {"path": str(path)}}))


def test_a_line_says_what_went_upstream_by_the_rewrite_of_the_target(
    gateway: Any, upstream: Any, tmp_path: Path
) -> None:
    path, fields = tmp_path / "access.log", ["raw_path", "query", "upstream_path", "upstream_url"]
    config = one_route(upstream.url, {"name": "logger", "config": {"path": str(path), "fields": fields}})
    config["routes"][0]["targets"] = [
        {"target": config["routes"][0].pop("target"), "rewrite": {"template": "/inner", "query": {"set": {"v": "2"}}}}
    ]
    running = gateway(config)

    running.get("/a?b=1")

    (line,) = lines_of(path, 1)
    assert line == {
        "raw_path": "/a",
        "query": "b=1",
        "upstream_path": "/inner",
        "upstream_url": f"{upstream.url}/inner?b=1&v=2",
    }
    assert upstream.requests[0].path == "/inner"


@pytest.mark.parametrize("config", ["{path: /tmp/access.log}", "{sinks: [{type: file, path: /tmp/access.log}]}"])
def test_a_document_from_elsewhere_names_no_file_to_write(config: str) -> None:
    remote = Document("etcd://h/a", f"routes: []\nplugins: [{{name: logger, config: {config}}}]\n")

    with pytest.raises(ConfigError, match="names a file, which etcd://h/a may not"):
        load([], registry=PluginRegistry(), environ={}, documents=[remote])


def test_a_document_from_elsewhere_may_log_to_standard_output() -> None:
    remote = Document("etcd://h/a", "routes: []\nplugins: [{name: logger, config: {path: '-'}}]\n")

    loaded = load([], registry=PluginRegistry(), environ={}, documents=[remote])

    assert loaded.config.plugins[0].config == {"path": "-"}


def test_a_log_file_is_relative_to_the_document_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "gateway.yaml").write_text("routes: []\nplugins: [{name: logger, config: {path: access.log}}]\n")

    loaded = load([tmp_path / "gateway.yaml"], registry=PluginRegistry(), environ={})

    assert loaded.config.plugins[0].config == {"path": str(tmp_path / "access.log")}


def test_the_line_of_a_refused_request_has_the_reason_that_its_client_is_not_told(
    gateway: Any, upstream: Any, tmp_path: Path
) -> None:
    path = tmp_path / "access.log"
    running = gateway(
        one_route(
            upstream.url,
            {"name": "logger", "config": {"path": str(path)}},
            {"name": "auth", "config": {"providers": {"keys": {"scheme": "api-key", "keys": [API_KEY]}}}},
        )
    )

    for key in ("wrong", "other", API_KEY["key"]):
        running.get("/", headers={"X-API-Key": key})

    lines = lines_of(path, 3)
    assert [(line["status"], line.get("refusal")) for line in lines] == [(401, "unknown-key")] * 2 + [(200, None)]
