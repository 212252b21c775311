from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import pytest
from gateway_core.config import (
    ConfigError,
    ConfigProblem,
    Document,
    DocumentFormat,
    GatewayConfig,
    PlaceOf,
    load_config,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.config.conftest import Catalogue, Load

COMPLETE = (Path(__file__).parent / "examples" / "complete.yaml").read_text()


def problems_of(load: Load, text: str, **more: object) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(text, **more)
    return [str(problem) for problem in caught.value.problems]


def test_the_complete_example_loads(load: Load) -> None:
    loaded = load(COMPLETE, environ={"JWT_SECRET": "x"})

    route = loaded.config.routes[0]
    assert route.id == "users"
    assert route.headers["x-version"].value == "2"
    assert [binding.id for binding in route.plugins] == ["auth", "per-user", "logger"]
    assert loaded.config.upstreams[0].endpoints[0].weight == 2
    assert loaded.config.limits.idle_timeout == 75.0


def test_json_and_toml_mean_the_same_as_yaml(load: Load) -> None:
    yaml = load("workers: 2\nroutes:\n  - {id: a, path: /a, target: 'http://h', max_body_bytes: 1KiB}")
    json_text = '{"workers": 2, "routes": [{"id": "a", "path": "/a", "target": "http://h", "max_body_bytes": "1KiB"}]}'
    toml = 'workers = 2\n[[routes]]\nid = "a"\npath = "/a"\ntarget = "http://h"\nmax_body_bytes = "1KiB"\n'

    assert load(json_text, kind="json").config == yaml.config
    assert load(toml, kind="toml").config == yaml.config


def test_keys_with_nothing_after_them_count_as_not_given(load: Load) -> None:
    loaded = load("listen:\nplugins:\nlimits:\nroutes:\n  - {id: , path: /a, methods: , target: 'http://h'}")

    assert loaded.config.routes[0].id == "/a"
    assert loaded.config.listen[0].address == "127.0.0.1:8080"


def test_unknown_keys_are_found_even_if_nothing_is_after_them(load: Load) -> None:
    assert 'unknown key "rutes": did you mean "routes"?' in problems_of(load, "rutes:\n")[0]


def test_everything_that_is_wrong_is_told_at_once_and_in_order(load: Load) -> None:
    plugins = "[{name: ratelimit, config: {rate: -1}}]"
    text = f"workers: x\nroutes:\n  - {{id: a, path: /a, target: gone, plugins: {plugins}}}\nz: 1"

    assert [problem.split(": ")[1] for problem in problems_of(load, text)] == [
        "workers", "routes[0].target", "routes[0].plugins[0].config.rate", "z",
    ]  # fmt: skip


def test_plugin_problems_name_plugin_and_version(load: Load) -> None:
    text = "plugins:\n  - name: ratelimit\n    config:\n      rate: -1"

    assert problems_of(load, text) == [
        "gateway.yaml:4:13: plugins[0].config.rate: -1 is less than the minimum of 0 (ratelimit 1.0.0)"
    ]


def patterns(config: GatewayConfig, place_of: PlaceOf) -> Iterable[ConfigProblem]:
    for index, route in enumerate(config.routes):
        if any("::" in path for path in route.path):
            key_path = f"routes[{index}].path"
            yield ConfigProblem(
                place_of(key_path), key_path, f"{route.id} has a parameter without a name", code="route.path-invalid"
            )


def test_other_layers_may_check_too(load: Load) -> None:
    text = "routes:\n  - {id: a, path: '/::', target: 'http://h'}"

    with pytest.raises(ConfigError) as caught:
        load(text, extra_checks=[patterns])

    problem = caught.value.problems[0]
    assert str(problem) == "gateway.yaml:2:19: routes[0].path: a has a parameter without a name"
    assert problem.excerpt == "  - {id: a, path: '/::', target: 'http://h'}"


def test_other_layers_check_what_is_valid_beside_what_is_not(load: Load) -> None:
    text = "routes:\n  - {id: bad}\n  - {id: b, path: '/::', target: 'http://h'}\nlog: 1"

    problems = problems_of(load, text, extra_checks=[patterns])

    assert "gateway.yaml:3:19: routes[1].path: b has a parameter without a name" in problems
    assert len(problems) == 3


def test_extensions_add_strategies_and_discoveries(load: Load) -> None:
    text = "upstreams:\n  - {name: a, strategy: fastest, discovery: {name: consul, config: {service: x}}}"

    loaded = load(text, strategies=["fastest"], discoveries=["consul"])

    assert loaded.config.upstreams[0].strategy == "fastest"
    assert len(problems_of(load, text)) == 2


def test_files_that_were_read_are_named(tmp_path: Path, load: Load) -> None:
    (tmp_path / "secret").write_text("s3cret\n")
    path = tmp_path / "gateway.yaml"
    path.write_text("plugins: [{name: auth, config: {secret: '${file:secret}'}}]")

    loaded = load(path)

    assert loaded.files == (path, tmp_path / "secret")
    assert loaded.config.plugins[0].config == {"secret": "s3cret"}


def test_missing_file_is_one_clear_problem(tmp_path: Path, load: Load) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / "gateway.yaml")

    assert [str(problem) for problem in caught.value.problems] == [
        f"{tmp_path / 'gateway.yaml'}: does not exist: name the configuration with -c"
    ]


def test_values_of_the_environment_are_not_shown(load: Load) -> None:
    text = (
        "upstreams: [{name: a, strategy: '${X}', discovery: {name: '${X}'}}]\n"
        "routes: [{id: a, path: '/${X}', target: '${X}', priority: '${X}', hosts: ['${X}/'], "
        "plugins: [{name: '${X}'}, {name: auth, config: {secret: ['${X}'], leeway: '${X}', algorithms: ['${X}']}}]}]"
    )

    problems = problems_of(load, text, environ={"X": "VERY-SECRET"})

    assert len(problems) >= 8
    assert not [problem for problem in problems if "VERY-SECRET" in problem]


def test_number_from_the_environment_in_quotes_is_told_its_remedy(load: Load) -> None:
    text = 'workers: "${N}"\nplugins: [{name: ratelimit, config: {rate: "${N}"}}]'
    remedy = (
        '"${N}" is text, where a %s is expected: write ${N} without quotes in a YAML document, outside of { } and [ ]'
    )

    problems = problems_of(load, text, environ={"N": "12"})

    assert problems == [
        f"gateway.yaml:1:10: workers: {remedy % 'whole number'}",
        f"gateway.yaml:2:44: plugins[0].config.rate: {remedy % 'number'} (ratelimit 1.0.0)",
    ]


def assert_loads_or_has_problems(document: Document) -> None:
    problems = ["none"]
    try:
        load_config([], environ={"X": "1"}, catalog=Catalogue(), extra_documents=[document])
    except ConfigError as error:
        problems = error.render().splitlines()
    assert problems


FRAGMENTS = st.sampled_from(
    ["routes:", "listen", ": ", "\n", "  ", "- ", "{", "}", "[", "]", "id", "a", '"', "'", "&a ", "*a", "<<", "!!", "|",
     ">", "${X}", "${", "plugins", "name", "auth", "#", "\t", "0x", "---", "%", "?", ",", "null", "-1",
     "\ud800", "\0", "é", "="]
)  # fmt: skip


@settings(max_examples=300)
@given(st.lists(FRAGMENTS, max_size=25).map("".join) | st.text(max_size=60), st.sampled_from(DocumentFormat))
def test_any_text_loads_or_has_problems(text: str, kind: DocumentFormat) -> None:
    document = Document("g", text, kind)
    assert_loads_or_has_problems(document)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
    | st.sampled_from(["http://h", "/a", "5s", "auth", "users", "${X}", "dns", "consistent-hash"]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(
            ["routes", "upstreams", "plugins", "listen", "name", "id", "config", "path", "target", "targets", "headers",
             "endpoints", "url", "enabled", "discovery", "include", "limits", "tls",
             "secret", "rate", "key", "mirror"]
        ),
        inner,
        max_size=4,
    ),
    max_leaves=20,
)  # fmt: skip


@settings(max_examples=300)
@given(
    st.dictionaries(
        st.sampled_from(["routes", "upstreams", "plugins", "listen", "limits", "admin"]), VALUES, max_size=4
    )
)
def test_any_structure_loads_or_has_problems(value: object) -> None:
    document = Document("g.json", json.dumps(value), DocumentFormat.JSON)
    assert_loads_or_has_problems(document)
