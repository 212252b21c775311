from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from gateway_core.clock import SystemClock
from gateway_core.config import HealthCheckConfig, Secret, UpstreamConfig
from gateway_core.upstreams import EndpointSpec
from gateway_core.upstreams.monitor import LocalMonitor, check_key, fingerprint
from gateway_core.upstreams.registry_session import RegistrySession
from gateway_core.upstreams.resolver import Resolver
from gateway_core.upstreams.transport import TlsSettings

SPEC = EndpointSpec("http", "127.0.0.1", 9)


@pytest.fixture
async def monitor() -> AsyncIterator[LocalMonitor]:
    session = RegistrySession(Resolver())
    yield LocalMonitor(SystemClock(), resolver=Resolver(), session=session)
    await session.aclose()


def config(name: str = "users", **settings: Any) -> UpstreamConfig:
    endpoints = [{"url": "http://127.0.0.1:9"}]
    return UpstreamConfig.model_validate({"name": name, "endpoints": endpoints, "health_check": {}, **settings})


async def test_upstreams_with_the_same_address_and_check_share_one_check(monitor: LocalMonitor) -> None:
    one = monitor.check(SPEC, config("users"), TlsSettings())
    other = monitor.check(replace(SPEC, id="b", weight=3), config("orders", panic_threshold=50), TlsSettings())

    assert one.value is other.value
    assert (one.release(), other.release()) == (None, one.value)
    await one.value.aclose()  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("scheme", "changed", "is_other"),
    [
        ("http", {"health_check": {"path": "/x"}}, True),
        ("http", {"health_check": {"headers": {"authorization": "Bearer other"}}}, True),
        ("http", {"send_proxy_protocol": "v2"}, True),
        ("http", {"keepalive": {"max_idle": 8}}, False),
        ("http", {"tls": {"verify": False}}, False),
        ("https", {"tls": {"verify": False}}, True),
        ("http", {"health_check": {"type": "grpc"}}, True),
        ("http", {"health_check": {"type": "grpc", "service": "a.B"}}, True),
    ],
)
def test_a_check_is_told_by_what_it_depends_on(scheme: str, changed: dict[str, Any], is_other: bool) -> None:
    spec, old, new = replace(SPEC, scheme=scheme), config(), config(**changed)

    keys = {check_key(spec, each, TlsSettings(each.tls)) for each in (old, new)}

    assert (len(keys) == 2) is is_other


async def test_checks_use_the_scheme_of_the_endpoint_unless_told_otherwise(monitor: LocalMonitor) -> None:
    for given, scheme in (({}, "https"), ({"type": "http"}, "http")):
        checker = monitor.make_checker(replace(SPEC, scheme="https"), config(health_check=given), TlsSettings())

        assert checker.scheme == scheme


async def test_a_check_of_grpc_offers_http2_and_has_tls_where_the_endpoint_has(monitor: LocalMonitor) -> None:
    for scheme, has_tls in (("http", False), ("https", True)):
        made = monitor.make_checker(replace(SPEC, scheme=scheme), config(health_check={"type": "grpc"}), TlsSettings())

        assert (made.scheme, made.has_tls) == ("grpc", has_tls)


async def test_without_a_probe_no_check_of_grpc_passes() -> None:
    async def accept(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    session = RegistrySession(Resolver())
    spec = replace(SPEC, port=server.sockets[0].getsockname()[1])
    monitor = LocalMonitor(SystemClock(), resolver=Resolver(), session=session)
    checker = monitor.make_checker(spec, config(health_check={"type": "grpc"}), TlsSettings())

    await checker.check()

    assert checker.health.last_check_error == "this process makes no checks of type grpc"
    server.close()
    await session.aclose()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": 1}, {"a": True}),
        ({"a": 1}, {"a": 1.0}),
        ({"a": 1}, {"a": "1"}),
        ([1, 2], [2, 1]),
        ({"a": {"b": 1}}, {"a": {"b": 2}}),
        ({}, []),
        ({}, {"a": None}),
        (Secret("one"), Secret("other")),
        (Secret("one"), "one"),
        (
            HealthCheckConfig.model_validate({"headers": {"authorization": "Bearer one"}}),
            HealthCheckConfig.model_validate({"headers": {"authorization": "Bearer other"}}),
        ),
    ],
)
def test_what_differs_has_another_fingerprint(one: object, other: object) -> None:
    assert fingerprint(one) != fingerprint(other)


def test_what_is_equal_has_the_same_fingerprint_in_every_process() -> None:
    value = {"b": [1, None, "é"], "a": HealthCheckConfig(path="/health")}

    assert fingerprint(value) == fingerprint({"a": HealthCheckConfig(path="/health"), "b": (1, None, "é")})
    assert fingerprint("a", 1) == "484c670ce4753ed75a3cc908af49224a"
