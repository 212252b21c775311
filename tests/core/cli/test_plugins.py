from __future__ import annotations

import json

import pytest
import yaml

from tests.core.cli.conftest import Invoke


def test_lists_name_distribution_version_hooks_and_state(invoke: Invoke) -> None:
    result = invoke("plugins", "list")

    (line,) = [line for line in result.output.splitlines() if line.startswith("ratelimit")]
    assert line.split()[:2] == ["ratelimit", "gateway-plugin-ratelimit"]
    assert "pre_proxy" in line
    assert line.endswith("loaded")


def test_lists_them_as_json(invoke: Invoke) -> None:
    rows = json.loads(invoke("plugins", "list", "--json").stdout)

    assert {"auth", "logger", "ratelimit"} <= {row["name"] for row in rows}
    assert all({"distribution", "version", "hooks", "state", "error", "schema"} <= row.keys() for row in rows)


def test_shows_documentation_and_schema(invoke: Invoke) -> None:
    output = invoke("plugins", "show", "ratelimit").output

    assert output.startswith("ratelimit ")
    assert "  burst " in output


def test_shows_them_as_json(invoke: Invoke) -> None:
    shown = json.loads(invoke("plugins", "show", "auth", "--json").stdout)

    assert shown["name"] == "auth"
    assert shown["schema"]["type"] == "object"


def test_shows_durations_as_configurations_have_them(invoke: Invoke) -> None:
    shown = json.loads(invoke("plugins", "show", "auth", "--json").stdout)["schema"]

    assert " a duration, default 1m. " in invoke("plugins", "show", "auth").output
    assert shown["properties"]["leeway"]["default"] == "1m"
    assert shown["properties"]["fetch"]["default"]["timeout"] == "5s"


def test_an_unknown_plugin_is_status_1_with_a_hint(invoke: Invoke) -> None:
    result = invoke("plugins", "show", "ratelimits")

    assert result.exit_code == 1
    assert 'did you mean "ratelimit"?' in result.stderr
    assert "pip install" not in invoke("plugins", "show", "zzz").stderr


@pytest.mark.parametrize("name", ["auth", "authorize", "headers", "ip", "mock", "ratelimit", "transform"])
def test_the_example_of_a_plugin_has_what_its_options_need_of_each_other(invoke: Invoke, name: str) -> None:
    shown = yaml.safe_load(invoke("plugins", "show", name).output.partition("\nexample:\n")[2])

    places = [shown, *shown.get("routes", [])]
    assert [
        each for place in places for each in place.get("plugins", []) if each["name"] == name and each.get("config")
    ]
