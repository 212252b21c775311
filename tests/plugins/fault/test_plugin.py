"""What clients get, from a real gateway."""

from __future__ import annotations

import json
import socket
from typing import Any

import jwt
import pytest
from gateway_plugin_auth import Auth
from gateway_plugin_fault import Fault
from gateway_plugin_logger import Logger
from gateway_plugin_ratelimit import RateLimit
from gateway_plugin_sdk.testing import eventually, one_route

SECRET = "a secret of more than thirty-two characters"


def fault(**config: Any) -> dict[str, Any]:
    return {"name": "fault", "config": config}


def test_an_aborted_request_gets_the_status_and_does_not_go_upstream(gateway: Any, upstream: Any) -> None:
    running = gateway(one_route(upstream.url, fault(abort={"status": 502, "message": "a drill"})), plugins=[Fault])

    response = running.get("/")

    assert (response.status, json.loads(response.body)["detail"]) == (502, "a drill")
    assert upstream.requests == []
    assert 'gateway_fault_made_total{binding="fault",kind="abort",route="test"} 1' in running.metrics()


def test_a_reset_closes_the_connection_without_a_response(gateway: Any, upstream: Any) -> None:
    running = gateway(one_route(upstream.url, fault(abort={"status": "reset"})), plugins=[Fault])

    assert running.raw(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n") == b""
    assert upstream.requests == []


@pytest.mark.parametrize(("percent", "refused"), [(0, 0), (100, 60)])
def test_none_or_all_of_the_requests_are_chosen(gateway: Any, upstream: Any, percent: float, refused: int) -> None:
    running = gateway(one_route(upstream.url, fault(abort={"percent": percent})), plugins=[Fault])

    assert sum(running.get("/").status == 503 for _ in range(60)) == refused


def test_a_share_of_the_requests_is_chosen(gateway: Any, upstream: Any) -> None:
    running = gateway(one_route(upstream.url, fault(abort={"percent": 50})), plugins=[Fault])

    statuses = [running.get("/").status for _ in range(200)]

    assert 40 < statuses.count(503) < 160  # less likely to fail than the machine: 10**-16


def test_a_delayed_request_goes_on_and_may_be_aborted_then(gateway: Any, upstream: Any) -> None:
    delay = {"duration": "1ms", "to": "5ms"}
    both = gateway(one_route(upstream.url, fault(delay=delay, abort={"status": 504})), plugins=[Fault])
    one = gateway(one_route(upstream.url, fault(delay=delay)), plugins=[Fault])

    assert both.get("/").status == 504
    assert one.get("/").status == 200
    assert 'kind="delay",route="test"} 1' in one.metrics()
    assert len(upstream.requests) == 1


def test_only_requests_with_the_field_are_chosen(gateway: Any, upstream: Any) -> None:
    running = gateway(one_route(upstream.url, fault(abort={}, header="X-Test")), plugins=[Fault])

    assert [running.get("/", headers=fields).status for fields in ({}, {"x-test": "1"})] == [200, 503]


def test_more_than_may_wait_are_not_delayed(gateway: Any, upstream: Any) -> None:
    config = fault(delay={"duration": "60s"}, max_active=1)
    running = gateway(one_route(upstream.url, config), plugins=[Fault])
    with socket.create_connection(("127.0.0.1", running.port)) as waiting:
        waiting.sendall(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
        eventually(lambda: 'kind="delay",route="test"} 1' in running.metrics())

        assert running.get("/").status == 200


def test_it_goes_together_with_the_other_plugins(gateway: Any, upstream: Any, tmp_path: Any) -> None:
    log = tmp_path / "access.log"
    chain = [
        {"name": "auth", "config": {"secret": SECRET}},
        {"name": "ratelimit", "config": {"quota": 9, "window": "1h", "key": "identity"}},
        fault(abort={}),
        {"name": "logger", "config": {"path": str(log), "fields": ["status", "produced_by"]}},
    ]
    running = gateway(one_route(upstream.url, *chain), plugins=[Fault, Auth, RateLimit, Logger])
    token = {"Authorization": f"Bearer {jwt.encode({'sub': 'alice'}, SECRET, 'HS256')}"}

    assert [running.get("/", headers=fields).status for fields in ({}, token)] == [401, 503]
    eventually(lambda: log.exists() and log.read_text().count("\n") == 2)
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [(line["status"], line["produced_by"]) for line in lines] == [(401, "auth"), (503, "fault")]
