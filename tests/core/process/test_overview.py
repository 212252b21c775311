from __future__ import annotations

from gateway_core.clock import ManualClock
from gateway_core.config import (
    BindingConfig,
    EndpointConfig,
    GatewayConfig,
    RouteConfig,
    UpstreamConfig,
    WeightedTargetConfig,
)
from gateway_core.metrics.samples import Samples
from gateway_core.process.overview import in_force_of, put_configuration, put_sources
from gateway_core.reload.history import ReloadHistory


def test_routes_and_bindings_of_the_configuration_are_in_force_by_id_and_path() -> None:
    def bound(name: str) -> tuple[BindingConfig, ...]:
        return (BindingConfig(name="p", id=name),)

    config = GatewayConfig(
        plugins=bound("wide"),
        upstreams=(UpstreamConfig(name="u", endpoints=(EndpointConfig(url="http://a:1"),), plugins=bound("up")),),
        routes=(
            RouteConfig(id="r", path=("/",), plugins=bound("own"), targets=(
                WeightedTargetConfig(target="u", weight=1, plugins=bound("part")),
            )),
        ),
    )  # fmt: skip

    in_force = in_force_of(config)

    assert in_force.routes == {"r"}
    assert in_force.bindings == {"wide", "up", "upstreams/u/up", "own", "r/own", "part", "upstreams/u/part"}


def test_what_became_of_reloads_is_shown_from_0() -> None:
    clock, samples = ManualClock(), Samples()
    history = ReloadHistory(clock)
    history.succeed()
    started = clock.wall()
    clock.advance(60)
    history.begin("x.yaml changed")
    clock.advance(2)
    history.fail("not applied")

    put_configuration(samples, history, "v1", 3)

    assert samples.value("gateway_config", "v1") == 1
    assert samples.value("gateway_config_warnings") == 3
    results = [samples.value("gateway_config_reloads", result) for result in ("ok", "rejected", "failed")]
    assert results == [1, 0, 1]
    assert samples.value("gateway_config_last_reload_successful") == 0
    assert samples.value("gateway_config_last_reload_duration_seconds") == 2
    assert samples.value("gateway_config_last_reload_success_timestamp_seconds") == started
    assert samples.value("gateway_config_last_reload_failure_timestamp_seconds") == clock.wall()


def test_sources_are_shown_as_on_status_pages() -> None:
    samples = Samples()

    source = {"source": "etcd://e/", "stale": True, "confirmed_at": 7.5, "documents": ["a", "b"], "rejected": ["a"]}
    put_sources(samples, [source])

    assert samples.value("gateway_source_stale", "etcd://e/") == 1
    assert samples.value("gateway_source_last_success_timestamp_seconds", "etcd://e/") == 7.5
    assert samples.value("gateway_source_documents", "etcd://e/") == 2
    assert samples.value("gateway_source_documents_rejected", "etcd://e/") == 1
