from __future__ import annotations

from gateway_core.clock import ManualClock
from gateway_core.config import DiscoveryConfig, UpstreamConfig
from gateway_core.upstreams import Discovered, EndpointSpec
from gateway_core.upstreams.finding_store import Finding, spec_as_json
from gateway_core.upstreams.monitor import check_key, discovery_key
from gateway_core.upstreams.received import ReceivedMonitor
from gateway_core.upstreams.transport import TlsSettings

REGISTRY = DiscoveryConfig(name="registry")
A, B = EndpointSpec("http", "a", 80), EndpointSpec("http", "b", 80)


def endpoints(*specs: EndpointSpec) -> Finding:
    what = {"kind": "endpoints", "key": discovery_key("users", REGISTRY), "all": True, "remove": []}
    put = [spec_as_json(spec) for spec in specs]
    return {**what, "put": put, "known": True, "stale": False, "reason": "", "strategy": ""}


async def test_findings_may_come_before_what_they_are_for() -> None:
    monitor = ReceivedMonitor(ManualClock())
    monitor.receive(endpoints(A))

    lease = monitor.discover("users", REGISTRY)

    assert lease.value.latest == Discovered((A,))
    await lease.aclose()


async def test_unchanged_endpoints_stay_the_same_objects() -> None:
    monitor = ReceivedMonitor(ManualClock())
    lease = monitor.discover("users", REGISTRY)
    monitor.receive(endpoints(A))
    assert lease.value.latest is not None
    (first,) = lease.value.latest.endpoints

    monitor.receive(endpoints(A, B))

    assert lease.value.latest.endpoints == (A, B)
    assert lease.value.latest.endpoints[0] is first
    await lease.aclose()


def test_health_is_dated_by_the_clock_of_the_process_that_serves() -> None:
    clock = ManualClock()
    monitor = ReceivedMonitor(clock)
    config = UpstreamConfig.model_validate({"name": "u", "endpoints": [{"url": "http://a"}], "health_check": {}})
    key = check_key(A, config, TlsSettings())
    changes: list[bool] = []
    health = monitor.check(A, config, TlsSettings()).value.health
    health.subscribe(changes.append)

    for healthy, at in ((True, 0.0), (True, 5.0), (False, 10.0), (True, 15.0)):
        clock.advance(5)
        monitor.receive({"kind": "health", "results": [[key, healthy, at, 0.1, "" if healthy else "refused"]]})

    assert changes == [False, True, True], "the first one says that nothing was checked yet"
    assert (health.healthy, health.recovered_at, health.last_check) == (True, clock.monotonic(), 15.0)
