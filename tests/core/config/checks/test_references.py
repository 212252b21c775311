from __future__ import annotations

import pytest
from gateway_core.config import ENVIRONMENT_KEY, ConfigError, ConfigModel, Document, Secret, load_config
from gateway_core.config.documents import Right
from gateway_core.packages import PluginRegistry
from pydantic import Field

from tests.core.config.conftest import Load

UPSTREAM = "upstreams: [{name: users, endpoints: [{url: 'http://h'}]}]\n"


@pytest.mark.parametrize(
    "route",
    [
        "target: users",
        "target: 'http://h'",
        "targets: [{target: users}, {target: 'https://h'}]",
        "target: users, mirror: {target: users}",
    ],
)
def test_targets_that_exist(load: Load, route: str) -> None:
    load(UPSTREAM + f"routes: [{{id: a, path: /, {route}}}]")


@pytest.mark.parametrize(
    "route", ["target: usrs", "targets: [{target: users}, {target: usrs}]", "target: users, mirror: {target: usrs}"]
)
def test_targets_that_do_not_exist_have_a_suggestion(load: Load, route: str) -> None:
    with pytest.raises(ConfigError, match=r'"usrs" is not an upstream: did you mean "users"\?'):
        load(UPSTREAM + f"routes: [{{id: a, path: /, {route}}}]")


@pytest.mark.parametrize("target", ["localhost:3000", "10.0.0.7:80", "users.internal:8080"])
def test_a_target_without_a_scheme_is_written_with_one(load: Load, target: str) -> None:
    with pytest.raises(ConfigError, match=f"is not an upstream: write http://{target}"):
        load(UPSTREAM + f"routes: [{{id: a, path: /, target: '{target}'}}]")


@pytest.mark.parametrize(
    ("target", "remedy"),
    [
        ("grpc://users:50051", "protocol: http2"),
        ("h2c://users:80", "protocol: http2"),
        ("ws://users:80", "write http://, WebSockets pass without a setting"),
        ("lb://USERS", "write the name of an upstream"),
    ],
)
def test_schemes_of_other_gateways_are_explained(load: Load, target: str, remedy: str) -> None:
    with pytest.raises(ConfigError, match=f"is not an http or https URL: .*{remedy}"):
        load(UPSTREAM + f"routes: [{{id: a, path: /, target: '{target}'}}]")


def test_upstream_that_is_itself_invalid_still_counts_as_known(load: Load) -> None:
    with pytest.raises(ConfigError) as caught:
        load("upstreams: [{name: users}]\nroutes: [{id: a, path: /, target: users}]")

    assert len(caught.value.problems) == 1


def test_strategies_and_discoveries_must_be_provided_by_something(load: Load) -> None:
    with pytest.raises(ConfigError) as caught:
        load("upstreams: [{name: a, strategy: fastest, discovery: {name: consul}}]")

    assert [problem.key_path for problem in caught.value.problems] == [
        "upstreams[0].strategy",
        "upstreams[0].discovery.name",
    ]


def test_config_of_the_dns_discovery_is_checked(load: Load) -> None:
    load("upstreams: [{name: a, discovery: {name: dns, config: {host: users.example.com, port: 80}}}]")

    with pytest.raises(ConfigError, match=r'config.hots: unknown key "hots": did you mean "host"\? \(dns discovery\)'):
        load("upstreams: [{name: a, discovery: {name: dns, config: {hots: x}}}]")


E = '{url: "http://127.0.0.1:8081"}'


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "routes: [{id: a, path: /, target: 'http://h'}, {id: a, path: /b, target: 'http://h'}]",
            '"a" is already a route\'s id at',
        ),
        (
            f"upstreams: [{{name: a, endpoints: [{E}]}}, {{name: a, endpoints: [{E}]}}]",
            '"a" is already an upstream\'s name at',
        ),
        (
            "upstreams: [{name: a, endpoints: [{id: x, url: 'http://h'}, {id: x, url: 'http://i'}]}]",
            "an endpoint's id at",
        ),
        ("plugins: [{name: logger}, {name: logger}]", '"logger" is already a binding in this list at'),
        ("plugins: [{name: logger, id: a}, {name: cors, id: a}]", '"a" is already a binding in this list at'),
        ("listen: [{name: a, address: ':80'}, {name: a, address: ':81'}]", '"a" is already a listener\'s name at'),
        (
            f"upstreams: [{{name: a, endpoints: [{E}], plugins: [{{name: logger}}, {{name: logger}}]}}]",
            '"logger" is already a binding in this list at',
        ),
        (
            "routes: [{path: /, targets: [{target: 'http://h', plugins: [{name: logger}, {name: logger}]}]}]",
            '"logger" is already a binding in this list at',
        ),
        (
            "upstreams: [{name: a, endpoints: [{url: 'unix:/run/a.sock'}, {url: 'unix:/run/a.sock'}]}]",
            '"/run/a.sock" is already an endpoint\'s id at',
        ),
    ],
)
def test_names_are_unique(load: Load, text: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=r"gateway\.yaml:1:") as caught:
        load(text)

    assert [item.text for item in caught.value.problems if problem in item.text]


@pytest.mark.parametrize(
    "text",
    [
        "plugins: [{name: logger}, {name: logger, id: second}]",
        "listen: ['127.0.0.1:0', '127.0.0.2:0']",
        f"upstreams: [{{name: a, endpoints: [{E}]}}, {{name: b, endpoints: [{E}]}}]",
    ],
)
def test_what_differs_or_may_repeat_is_fine(load: Load, text: str) -> None:
    load(text)


def test_same_url_twice_needs_ids(load: Load) -> None:
    with pytest.raises(ConfigError, match=r'"127\.0\.0\.1:8081" is already an endpoint'):
        load(f"upstreams: [{{name: a, endpoints: [{E}, {E}]}}]")


class CredentialOptions(ConfigModel):
    token: Secret | None = Field(None, json_schema_extra={ENVIRONMENT_KEY: True})


class Asking:
    """A discovery that takes a token from the environment unless there is one."""

    config_model = CredentialOptions


@pytest.mark.parametrize(
    ("rights", "given", "expected"),
    [
        ((), "{}", {"token": ""}),
        ((), "null", {"token": ""}),
        ((), "{token: null}", {"token": ""}),
        ((), "{token: }", {"token": ""}),
        (("files",), "{}", {"token": ""}),
        (("env",), "{}", {}),
        ((), "{token: own}", {"token": "own"}),
    ],
)
def test_a_source_without_the_right_to_the_environment_has_no_credential_of_it_sent(
    rights: tuple[Right, ...], given: str, expected: dict[str, str]
) -> None:
    text = f"upstreams: [{{name: u, discovery: {{name: asking, config: {given}}}}}]\nroutes: []\n"

    found = load_config(
        [],
        environ={},
        catalog=PluginRegistry(find=dict),
        extra_documents=[Document("etcd://h/a", text, rights=frozenset(rights))],
        discoveries=["asking"],
        factories={("discovery", "asking"): Asking()},
    ).config

    assert found.upstreams[0].discovery is not None
    assert found.upstreams[0].discovery.config == expected


TRACING = "tracing: {otlp: {url: 'https://collector.example:4318'}}\nroutes: []\n"


@pytest.mark.parametrize("variable", ["OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS"])
def test_a_source_without_the_right_to_the_environment_names_no_collector_for_its_header_fields(variable: str) -> None:
    environ = {variable: "api-key=secret"}

    def load(*rights: Right, environ: dict[str, str] = environ, text: str = TRACING) -> None:
        remote = Document("etcd://h/a", text, rights=frozenset(rights))
        load_config([], environ=environ, catalog=PluginRegistry(find=dict), extra_documents=[remote])

    with pytest.raises(ConfigError) as caught:
        load("files")

    (problem,) = caught.value.problems
    assert (problem.code, problem.key_path) == ("substitution.not-allowed", "tracing.otlp.url")
    assert variable in problem.text
    assert "secret" not in problem.text
    load("env")
    load(environ={})
    load(text="tracing: {sample: 0.1}\nroutes: []\n")


def test_what_a_route_says_of_its_traces_has_no_effect_without_the_section(load: Load) -> None:
    first = "{id: r, path: /, target: 'http://a', tracing: {sample: 1.0}}"
    routes = f"routes: [{first}, {{id: s, path: /s, target: 'http://a'}}]"
    shared = "route_defaults: {tracing: {sample: 1.0}}\n" + routes.replace(", tracing: {sample: 1.0}", "")

    assert [(each.key_path, each.code) for each in load(routes).warnings] == [
        ("routes[0].tracing", "setting.no-effect")
    ]
    assert len(load(shared).warnings) == 1
    assert load("tracing: {}\n" + routes).warnings == ()
