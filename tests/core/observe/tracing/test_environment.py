"""The standard variables, and what the configuration says in their place."""

from __future__ import annotations

from typing import Any

import pytest
from gateway_core.config.models.tracing import TracingConfig
from gateway_core.observe.tracing.environment import read_environment
from gateway_core.observe.tracing.sampling import ALL
from gateway_core.observe.tracing.settings import exporter_settings, policy_of
from pydantic import ValidationError


def settings_of(environ: dict[str, str], **config: Any) -> Any:
    return exporter_settings(TracingConfig.model_validate(config), read_environment(environ))


def test_without_variables_spans_go_to_the_usual_port_as_json() -> None:
    found = settings_of({})

    assert (found.url, found.protocol, found.compress) == ("http://localhost:4318/v1/traces", "http/json", True)
    assert dict(found.resource)["service.name"] == "gateway"


@pytest.mark.parametrize(
    ("environ", "url"),
    [
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, "http://c:4318/v1/traces"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318/base/"}, "http://c:4318/base/v1/traces"),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c:4318/own"}, "http://c:4318/own"),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c:4318"}, "http://c:4318/"),
    ],
)
def test_the_endpoint_of_all_signals_is_a_base_and_that_of_traces_is_used_as_it_is(
    environ: dict[str, str], url: str
) -> None:
    assert settings_of(environ).url == url


def test_the_configuration_comes_before_the_variables() -> None:
    environ = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://env:1", "OTEL_EXPORTER_OTLP_HEADERS": "x-a=1,X-B=two%20words",
        "OTEL_SERVICE_NAME": "env", "OTEL_RESOURCE_ATTRIBUTES": "team=a,service.name=other,zone=1",
        "OTEL_EXPORTER_OTLP_COMPRESSION": "none", "OTEL_EXPORTER_OTLP_TIMEOUT": "2500", "OTEL_BSP_MAX_QUEUE_SIZE": "7",
    }  # fmt: skip

    own = settings_of(environ, otlp={"url": "http://own:1", "headers": {"x-b": "own"}}, resource={"team": "b"})
    env = settings_of(environ)

    assert own.url == "http://own:1/v1/traces"
    assert dict(own.headers) == {"x-a": "1", "x-b": "own"}
    assert dict(env.headers) == {"x-a": "1", "X-B": "two words"}
    assert {**dict(own.resource)}.items() >= {"team": "b", "zone": "1", "service.name": "env"}.items()
    assert (own.compress, own.timeout, own.max_spans, own.batch_spans) == (False, 2.5, 7, 7)


@pytest.mark.parametrize(
    ("name", "argument", "bound", "follows"),
    [
        ("always_off", "", 0, False),
        ("parentbased_traceidratio", "0.25", ALL // 4, True),
        ("traceidratio", "0.5", ALL // 2, False),
        ("traceidratio", "", ALL, False),
        ("", "", ALL, True),
        ("nonsense", "", ALL, True),
    ],
)
def test_the_sampler_of_the_variables_counts(name: str, argument: str, bound: int, follows: bool) -> None:
    defaults = read_environment({"OTEL_TRACES_SAMPLER": name, "OTEL_TRACES_SAMPLER_ARG": argument})

    policy = policy_of(TracingConfig(), defaults)

    assert (policy.bound, policy.follows_parent) == (bound, follows)
    assert bool(defaults.problems) == (name == "nonsense")
    assert policy_of(TracingConfig(sample=0.0, parent_based=True), defaults)[:2] == (0, True)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "secret"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "nan"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "br"),
        ("OTEL_TRACES_EXPORTER", "zipkin"),
        ("OTEL_PROPAGATORS", "jaeger"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "0"),
        ("OTEL_BSP_SCHEDULE_DELAY", "-1"),
        ("OTEL_BSP_EXPORT_TIMEOUT", "soon"),
        ("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "0"),
        ("OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS", "GET POST"),
    ],
)
def test_a_value_that_is_not_understood_is_reported_without_what_may_be_secret(name: str, value: str) -> None:
    (problem,) = read_environment({name: value}).problems

    assert problem.startswith(name)
    assert "secret" not in problem


def test_propagators_and_switches_are_read() -> None:
    found = read_environment(
        {
            "OTEL_PROPAGATORS": "baggage,b3multi,tracecontext",
            "OTEL_SDK_DISABLED": "TRUE",
            "OTEL_TRACES_EXPORTER": "none",
        }
    )

    assert (found.formats, found.is_disabled, found.is_exported) == (("b3multi", "w3c"), True, False)


def test_variables_bound_how_long_a_batch_is_sent_again_and_how_long_values_are() -> None:
    usual, given = (
        settings_of({}),
        settings_of({"OTEL_BSP_EXPORT_TIMEOUT": "2500", "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT": "64"}),
    )
    of_spans = settings_of({"OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT": "32", "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT": "64"})

    assert (usual.give_up, usual.longest) == (300.0, None)
    assert (given.give_up, given.longest, of_spans.longest) == (2.5, 64, 32)


def test_the_variable_of_known_methods_replaces_the_usual_ones() -> None:
    found = settings_of({"OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS": "GET, PROPFIND ,"})

    assert found.known_methods == {"GET", "PROPFIND"}
    assert "POST" in settings_of({}).known_methods


@pytest.mark.parametrize(
    "config",
    [
        {"otlp": {"url": "collector:4318"}},
        {"otlp": {"headers": {"Content-Type": "x"}}},
        {"otlp": {"key": "k.pem"}},
        {"sample": 1.5},
        {"propagate": ["jaeger"]},
    ],
)
def test_a_section_that_cannot_be_meant_is_refused(config: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        TracingConfig.model_validate(config)
