from __future__ import annotations

import json
from pathlib import Path

from tests.core.cli.conftest import Invoke


def test_says_that_a_good_configuration_is_fine(invoke: Invoke, config: Path) -> None:
    result = invoke("check", "-c", config)

    assert result.exit_code == 0
    assert result.output.endswith("fine, 5 routes, 1 upstream\n")


def test_prints_every_problem_and_exits_with_1(invoke: Invoke, config: Path) -> None:
    config.write_text("workers: many\nlimits: {nonsense: 1}\n")

    result = invoke("check", "-c", config)

    assert result.exit_code == 1
    assert "gateway.yaml:1:10: workers" in result.stderr
    assert "gateway.yaml:2:10: limits.nonsense" in result.stderr
    assert result.stderr.endswith("2 problems found\n")
    assert result.stdout == ""


def test_prints_problems_as_json(invoke: Invoke, config: Path) -> None:
    config.write_text("workers: many\n")

    result = invoke("check", "-c", config, "--json")

    assert result.exit_code == 1
    told = json.loads(result.stdout)
    assert told["ok"] is False
    (problem,) = told["problems"]
    assert (problem["line"], problem["column"], problem["key"]) == (1, 10, "workers")


def test_a_good_configuration_is_json_too(invoke: Invoke, config: Path) -> None:
    told = json.loads(invoke("check", "-c", config, "--json").stdout)

    assert told["ok"] is True
    assert told["files"] == [str(config)]


def test_missing_empty_and_unreadable_files_are_one_clear_line(invoke: Invoke, tmp_path: Path) -> None:
    empty = tmp_path / "empty.yaml"
    empty.touch()
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"\xff\xfe\x00\x01")

    for path, words in ((tmp_path / "nowhere.yaml", "does not exist"), (empty, "empty"), (binary, "binary.yaml")):
        result = invoke("check", "-c", path)
        assert result.exit_code == 1
        assert words in result.stderr
        assert "Traceback" not in result.output


def test_several_files_are_one_configuration(invoke: Invoke, config: Path, tmp_path: Path) -> None:
    more = tmp_path / "more.yaml"
    more.write_text("routes: [{id: more, path: /more, target: users}]\n")

    result = invoke("check", "-c", config, "-c", more)

    assert result.output.endswith("fine, 6 routes, 1 upstream\n")


def test_wrong_usage_exits_with_2(invoke: Invoke) -> None:
    assert invoke("check", "--nonsense").exit_code == 2


def test_certificate_files_that_run_could_not_read_are_problems(invoke: Invoke, config: Path, tmp_path: Path) -> None:
    missing, nonsense = tmp_path / "missing.pem", tmp_path / "nonsense.pem"
    nonsense.write_text("nonsense")
    files = {"127.0.0.1:0": missing, "127.0.0.2:0": nonsense}
    tls = [f'{{address: "{at}", tls: {{cert: "{cert}", key: "{cert}"}}}}' for at, cert in files.items()]
    config.write_text(f"listen:\n  - {tls[0]}\n  - {tls[1]}\n{config.read_text()}")

    result = invoke("check", "-c", config)

    assert result.exit_code == 1
    for key in ("cert", "key"):
        column = config.read_text().splitlines()[1].index(f'{key}: "') + len(f"{key}: ") + 1
        assert f"gateway.yaml:2:{column}: listen[0].tls.{key}: the file '{missing}' does not exist" in result.stderr
    assert f"gateway.yaml:3:5: listen[1].tls: '{nonsense}' is not a PEM certificate" in result.stderr


def test_files_for_connections_to_upstreams_that_cannot_be_used_are_problems(
    invoke: Invoke, config: Path, tmp_path: Path
) -> None:
    upstream = f"{{name: secret, endpoints: [{{url: 'https://127.0.0.1:1'}}], tls: {{ca: '{tmp_path}/missing.pem'}}}}"
    config.write_text(f"upstreams:\n  - {upstream}\nroutes: [{{id: r, path: /, target: secret}}]\n")

    result = invoke("check", "-c", config)

    assert result.exit_code == 1
    assert f"upstreams[0].tls.ca: the file '{tmp_path}/missing.pem' does not exist" in result.stderr


def test_a_file_may_be_named_without_its_option(invoke: Invoke, config: Path, tmp_path: Path) -> None:
    more = tmp_path / "more.yaml"
    more.write_text("routes: [{id: more, path: /more, target: users}]")

    assert invoke("check", config).stdout == invoke("check", "-c", config).stdout
    assert invoke("check", config, more).stdout == invoke("check", "-c", config, more).stdout
    assert "6 routes" in invoke("check", config, more).stdout


def test_the_codes_to_explain_are_named(invoke: Invoke, config: Path) -> None:
    config.write_text("routes: [{path: /, target: nope}]")

    assert invoke("check", config).stderr.endswith(
        "`gateway explain CODE` says more: upstream.unknown\n1 problem found\n"
    )
