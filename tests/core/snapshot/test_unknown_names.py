"""What texts of a configuration name that is not there: path parameters, and values of other gateways."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from gateway_core.config import ConfigError, ConfigProblem
from gateway_core.hooks import Plugin
from gateway_core.packages import PluginRegistry
from gateway_core.snapshot import load


class Reads(Plugin[dict[str, Any]]):
    name = "reads"
    config_schema = {"type": "object", "properties": {"names": {"type": "array"}}}

    @classmethod
    def params_of(cls, config: Any) -> Iterable[tuple[tuple[str | int, ...], str]]:
        return [(("names", index), name) for index, name in enumerate(config["names"])]


def found(folder: Path, text: str) -> list[ConfigProblem]:
    registry = PluginRegistry(dict)
    registry.register(Reads)
    path = folder / "gateway.yaml"
    path.write_text(text)
    try:
        return list(load([path], registry=registry, environ={}).warnings)
    except ConfigError as error:
        return list(error.problems)


def route(paths: str, names: str, *, key: str = "plugins", target: str = "target: 'http://127.0.0.1:1'") -> str:
    return f"routes: [{{id: r, {paths}, {target}, {key}: [{{name: reads, config: {{names: [{names}]}}}}]}}]"


@pytest.mark.parametrize(
    ("paths", "name"),
    [
        ("path: /users/:id", "id"),
        ("path: /files/*rest", "rest"),
        ("path_regex: '/u/(?P<id>[0-9]+)'", "id"),
        ("path: /a, hosts: [':tenant.example.com']", "tenant"),
        ("path: [/users/:id, /me]", "id"),
    ],
)
def test_what_a_path_or_host_of_the_route_captures_may_be_read(tmp_path: Path, paths: str, name: str) -> None:
    assert found(tmp_path, route(paths, name)) == []


def test_what_the_route_does_not_capture_is_an_error_at_its_place_with_what_there_is(tmp_path: Path) -> None:
    (problem,) = found(tmp_path, route("path: /users/:id/:part", "id, user"))

    assert (problem.code, problem.key_path, problem.is_error) == (
        "param.unknown", "routes[0].plugins[0].config.names[1]", True,
    )  # fmt: skip
    assert "user" in problem.message
    assert problem.remedy == "there are id and part"


def test_a_name_that_is_close_is_suggested(tmp_path: Path) -> None:
    (problem,) = found(tmp_path, route("path: /users/:user_id", "userid"))

    assert problem.remedy == 'did you mean "user_id"?'


def test_bindings_of_targets_read_the_parameters_of_their_route(tmp_path: Path) -> None:
    binding = "plugins: [{name: reads, config: {names: [id, no]}}]"
    text = f"routes: [{{id: r, path: /:id, targets: [{{target: 'http://127.0.0.1:1', {binding}}}]}}]"

    assert [each.key_path for each in found(tmp_path, text)] == ["routes[0].targets[0].plugins[0].config.names[1]"]


def test_a_gateway_wide_binding_may_read_what_one_route_captures_and_else_is_a_warning(tmp_path: Path) -> None:
    routes = "routes: [{id: a, path: /:id, respond: {}}, {id: b, path: /b/b, respond: {}}]"
    text = f"plugins: [{{name: reads, config: {{names: [id, other]}}}}]\n{routes}"

    (problem,) = found(tmp_path, text)

    assert (problem.key_path, problem.is_error) == ("plugins[0].config.names[1]", False)


def test_a_binding_that_is_switched_off_reads_nothing(tmp_path: Path) -> None:
    text = route("path: /a", "no").replace("{name: reads", "{name: reads, enabled: false")

    assert "param.unknown" not in [each.code for each in found(tmp_path, text)]


def codes(folder: Path, text: str) -> list[tuple[str, str]]:
    return [(each.code, each.key_path) for each in found(folder, text)]


@pytest.mark.parametrize(
    "text",
    [
        "your address is $remote_addr", "$host", "$http_user_agent", "{http.request.host}", "{client_ip}",
        "hello {param:name}", "%REQ(:path)%", "%RESPONSE_CODE%", "%[src]", "%[req.hdr(host)]",
    ],
)  # fmt: skip
def test_what_stands_for_a_value_elsewhere_is_a_warning(tmp_path: Path, text: str) -> None:
    own = f"respond: {{body: '{text}', headers: {{x-a: '{text}'}}}}, error_pages: [{{statuses: [404], body: '{text}'}}]"
    config = f"error_pages: [{{statuses: [500], body: '{text}'}}]\nroutes: [{{id: r, path: /, {own}}}]"

    assert sorted(codes(tmp_path, config)) == [
        ("value.placeholder", "error_pages[0].body"),
        ("value.placeholder", "routes[0].error_pages[0].body"),
        ("value.placeholder", "routes[0].respond.body"),
        ("value.placeholder", "routes[0].respond.headers.x-a"),
    ]


@pytest.mark.parametrize("text", ["5 $", "$hosting", "{}", '{"host": "a"}', "100%", "%20%41", "a[b]", "{name}", "$$"])
def test_other_texts_with_such_signs_are_none(tmp_path: Path, text: str) -> None:
    path = tmp_path / "page.html"
    path.write_text(text)

    assert codes(tmp_path, "routes: [{id: r, path: /, respond: {body: '${file:page.html}'}}]") == []
