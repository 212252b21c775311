from __future__ import annotations

import socket
from typing import Any

import pytest
from gateway_core.config import ConfigError
from gateway_core.testing import (
    InvalidConfigError,
    ManualClock,
    RunningGateway,
    ScriptedUpstream,
    eventually,
    one_route,
)


def test_a_plugin_works_without_being_installed(greeter: Any, target: ScriptedUpstream) -> None:
    with RunningGateway(one_route(target.url, "greeter"), plugins=[greeter]) as gateway:
        answer = gateway.get("/x?y=1")

    assert answer.status == 200
    assert target.last.headers["x-greeting"] == "hello world"
    assert (target.last.method, target.last.target) == ("GET", "/x?y=1")


def test_yaml_text_is_a_configuration_too(greeter: Any, target: ScriptedUpstream) -> None:
    text = f"""
        plugins:
          - name: greeter
            config: {{whom: "${{WHOM}}"}}
        routes:
          - {{id: all, path_prefix: /, target: "{target.url}"}}
    """

    with RunningGateway(text, plugins=[greeter], environ={"WHOM": "you"}) as gateway:
        gateway.get("/")

    assert target.last.headers["x-greeting"] == "hello you"


def test_every_call_of_a_hook_is_recorded_with_what_came_of_it(greeter: Any, target: ScriptedUpstream) -> None:
    with RunningGateway(one_route(target.url, "greeter"), plugins=[greeter], clock=ManualClock(wall=5.0)) as gateway:
        gateway.get("/forbidden")
        told = [str(call) for call in gateway.calls]
        logged = gateway.calls_of(greeter, "log")

    assert told == ["greeter.pre_proxy: responded 403", "greeter.response: set x-at: '5.0'", "greeter.log: passed"]
    assert [call.request.path for call in logged] == ["/forbidden"]
    assert target.requests == []


def test_a_hook_that_raises_is_recorded_with_its_error(broken: Any, target: ScriptedUpstream) -> None:
    with RunningGateway(one_route(target.url, "broken"), plugins=[broken]) as gateway:
        assert gateway.get("/").status == 500
        (call,) = gateway.calls

    assert isinstance(call.error, LookupError)
    assert call.outcome == "raised LookupError: nothing there"


def test_the_clock_of_a_test_is_the_plugins_clock(greeter: Any, target: ScriptedUpstream) -> None:
    clock = ManualClock(wall=100.0)

    with RunningGateway(one_route(target.url, "greeter"), plugins=[greeter], clock=clock) as gateway:
        before = gateway.get("/").headers["x-at"]
        clock.advance(60)
        after = gateway.get("/").headers["x-at"]

    assert (before, after) == ("100.0", "160.0")


def test_a_refused_configuration_shows_its_problems_with_their_lines() -> None:
    with pytest.raises(InvalidConfigError) as caught:
        RunningGateway("routes:\n  - {id: a, path: /, target: http://127.0.0.1:1, plugins: [{name: gone}]}\n")

    assert isinstance(caught.value, ConfigError)
    assert "gateway.yaml:2:" in str(caught.value)
    assert "gone" in str(caught.value)
    assert "^" in str(caught.value)


def test_a_reload_keeps_the_port_and_what_did_not_change(greeter: Any, target: ScriptedUpstream) -> None:
    with RunningGateway(one_route(target.url, "greeter"), plugins=[greeter]) as gateway:
        port = gateway.port
        told = gateway.reload(one_route(target.url, "greeter", methods=["GET"]))

        assert gateway.post("/").status == 405
        assert gateway.port == port
        assert "routes changed: " in told
        assert "1 kept" in told


def test_a_refused_reload_changes_nothing(greeter: Any, target: ScriptedUpstream) -> None:
    with RunningGateway(one_route(target.url, "greeter"), plugins=[greeter]) as gateway:
        with pytest.raises(InvalidConfigError, match="unknown"):
            gateway.reload({**one_route(target.url), "unknown": 1})

        assert gateway.get("/").status == 200


def test_bodies_go_whole_or_in_chunks(target: ScriptedUpstream) -> None:
    with RunningGateway(one_route(target.url)) as gateway:
        gateway.post("/", "text")
        gateway.post("/", [b"ch", b"unks"])
        gateway.post("/", json={"a": 1})

    assert [request.body for request in target.requests] == [b"text", b"chunks", b'{"a": 1}']
    assert target.requests[1].headers["transfer-encoding"] == "chunked"
    assert target.last.json() == {"a": 1}


def test_raw_bytes_go_as_they_are(target: ScriptedUpstream) -> None:
    with RunningGateway(one_route(target.url)) as gateway:
        answer = gateway.raw(b"GET / HTTP/1.1\r\nHost: a\r\nBroken Header: x\r\n\r\n")

    assert answer.startswith(b"HTTP/1.1 400 ")


def test_logs_and_metrics_can_be_read(greeter: Any, target: ScriptedUpstream) -> None:
    with RunningGateway(one_route(target.url, "greeter"), plugins=[greeter]) as gateway:
        gateway.get("/x")
        gateway.settle()
        lines = [record.getMessage() for record in gateway.logs if record.name == "gateway.plugin.greeter"]
        metrics = gateway.metrics()

    assert lines == ["/x took 200"]
    assert 'gateway_requests_total{origin="upstream",route="test",status="200"}' in metrics


def test_nothing_listens_after_the_end(target: ScriptedUpstream) -> None:
    gateway = RunningGateway(one_route(target.url))

    gateway.close()
    gateway.close()

    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", gateway.port), timeout=5)


def test_eventually_gives_up_with_the_last_value() -> None:
    with pytest.raises(AssertionError, match="the last value was 0"):
        eventually(lambda: 0, within=0.0)
