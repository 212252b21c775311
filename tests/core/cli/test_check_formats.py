from __future__ import annotations

import json
from pathlib import Path

import pytest
from gateway_core.cli.check_formats import as_annotations, as_sarif
from gateway_core.cli.examination import Examination
from gateway_core.config import ConfigProblem, Place

from tests.core.cli.conftest import Invoke

BAD = "listen: 8080\nroutes: [{id: a, path: /, target: nope}, {id: a, path: /b, target: 'http://x'}]\n"


def test_each_form_goes_to_standard_output_alone_and_the_status_is_the_same(invoke: Invoke, config: Path) -> None:
    config.write_text(BAD)

    results = {form: invoke("check", "--output", form, config) for form in ("text", "json", "github", "sarif")}

    assert {result.exit_code for result in results.values()} == {1}
    assert results["text"].stdout == ""
    assert {form: result.stderr for form, result in results.items() if form != "text"} == dict.fromkeys(
        ("json", "github", "sarif"), ""
    )
    found = json.loads(results["json"].stdout)["problems"]
    assert len(found) == len(results["github"].stdout.splitlines())
    assert len(found) == len(json.loads(results["sarif"].stdout)["runs"][0]["results"])


def test_json_is_short_for_the_output(invoke: Invoke, config: Path) -> None:
    assert invoke("check", "--json", config).stdout == invoke("check", "--output", "json", config).stdout


def test_every_problem_of_json_has_a_remedy(invoke: Invoke, config: Path) -> None:
    config.write_text(BAD)

    problems = json.loads(invoke("check", "--json", config).stdout)["problems"]

    assert [problem["code"] for problem in problems if not problem["remedy"]] == []


PROBLEM = ConfigProblem(
    Place("a,b:c.yaml", 3, 7),
    "routes[0]",
    "100 % wrong\nreally",
    code="name.duplicate",
    severity="warning",
    related=(Place("d.yaml", 1, 1),),
)


def test_annotations_are_escaped_as_the_runner_reads_them() -> None:
    assert list(as_annotations(Examination(None, (PROBLEM,)))) == [
        "::warning file=a%2Cb%3Ac.yaml,line=3,col=7,title=name.duplicate::routes[0]: 100 %25 wrong%0Areally"
    ]


def test_a_sarif_result_names_rule_level_place_and_related_places() -> None:
    (run,) = as_sarif(Examination(None, (PROBLEM,)))["runs"]

    (result,) = run["results"]
    assert (result["ruleId"], result["level"]) == ("name.duplicate", "warning")
    assert result["locations"][0]["physicalLocation"]["region"] == {"startLine": 3, "startColumn": 7}
    assert result["relatedLocations"][0]["physicalLocation"]["artifactLocation"] == {"uri": "d.yaml"}
    assert [rule["id"] for rule in run["tool"]["driver"]["rules"]] == ["name.duplicate"]


def test_places_are_relative_to_the_working_directory(
    invoke: Invoke, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config.write_text(BAD)
    monkeypatch.chdir(config.parent)

    lines = invoke("check", "--output", "github", config).stdout.splitlines()

    assert all(" file=gateway.yaml," in line for line in lines)


@pytest.mark.parametrize(
    ("file", "uri"),
    [
        ("d.yaml", "d.yaml"),
        ("my files/d #1.yaml", "my%20files/d%20%231.yaml"),
        ("/etc/gateway/d é.yaml", "file:///etc/gateway/d%20%C3%A9.yaml"),
        ("etcd://10.0.0.1:2379/gateway?x=a b", "etcd://10.0.0.1:2379/gateway?x=a%20b"),
    ],
)
def test_a_place_in_sarif_is_a_uri(file: str, uri: str) -> None:
    problem = ConfigProblem(Place(file, 0, 0), "", "wrong", code="name.duplicate")

    (result,) = as_sarif(Examination(None, (problem,)))["runs"][0]["results"]

    # Section 3.29.3 of SARIF 2.1.0 wants a URI, and 3.30.5 a line of at least 1: what has none has no region.
    assert result["locations"] == [{"physicalLocation": {"artifactLocation": {"uri": uri}}}]


def test_sarif_has_what_its_schema_requires(invoke: Invoke, config: Path) -> None:
    config.write_text(BAD)

    log = json.loads(invoke("check", "--output", "sarif", config).stdout)

    assert (log["version"], len(log["runs"])) == ("2.1.0", 1)
    (run,) = log["runs"]
    rules = run["tool"]["driver"]["rules"]
    assert run["tool"]["driver"]["name"]
    assert len({rule["id"] for rule in rules}) == len(rules)
    for result in run["results"]:
        assert result["message"]["text"]
        assert result["level"] in {"none", "note", "warning", "error"}
        assert result["ruleId"] in {rule["id"] for rule in rules}
        for location in [*result["locations"], *result.get("relatedLocations", ())]:
            region = location["physicalLocation"].get("region", {"startLine": 1, "startColumn": 1})
            assert min(region.values()) >= 1
    assert run["results"]
