from __future__ import annotations

import pytest
from gateway_core.config import ENVIRONMENT_KEY, ConfigError, ConfigModel, Document, Secret, load_config
from gateway_core.config.documents import Right
from gateway_core.packages import PluginRegistry
from pydantic import Field


class CredentialOptions(ConfigModel):
    token: Secret | None = Field(None, json_schema_extra={ENVIRONMENT_KEY: True})


class Asking:
    """A discovery that takes a token from the environment unless there is one."""

    config_model = CredentialOptions


@pytest.mark.parametrize(
    ("rights", "given", "expected"),
    [
        ((), "{}", {"token": ""}),
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
