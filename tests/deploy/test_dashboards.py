"""The dashboards for Grafana, as files; `tests/end_to_end/test_dashboards.py` asks a Prometheus for what they show."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from gateway_core.metrics.catalogue import CATALOGUE
from gateway_core.reasons import REASONS

from deploy.dashboard_catalogue import DASHBOARDS, OVERVIEW, UPSTREAM_REASONS
from deploy.grafana_dashboards import FOLDER, WIDTH, model, texts
from tests.programs import program

dashboards = pytest.mark.parametrize(
    "dashboard", [model(each) for each in DASHBOARDS], ids=lambda each: str(each["uid"])
)


def test_the_files_are_made_from_the_code() -> None:
    found = {path.name: path.read_text("utf-8") for path in FOLDER.glob("*.json")}

    assert found == texts(), "run: python -m deploy.grafana_dashboards"


@dashboards
def test_panels_have_a_place_of_their_own_a_unit_and_a_data_source(dashboard: dict[str, Any]) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken
        assert max(x for x, _ in cells) < WIDTH
        taken |= cells
        if panel["type"] != "row":
            assert panel["fieldConfig"]["defaults"]["unit"]
            assert {target["datasource"]["uid"] for target in panel["targets"]} == {"${datasource}"}
    numbers = [panel["id"] for panel in dashboard["panels"]]
    assert len(numbers) == len(set(numbers))


@dashboards
def test_queries_take_the_variables_and_name_metrics_that_exist(dashboard: dict[str, Any]) -> None:
    known = {f"{name}_total" if family.kind == "counter" else name for name, family in CATALOGUE.items()}
    known |= {f"{name}_bucket" for name, family in CATALOGUE.items() if family.kind == "histogram"}
    known |= {f"{name}_info" for name, family in CATALOGUE.items() if family.kind == "info"}
    variables = {each["name"] for each in dashboard["templating"]["list"]} | {"__rate_interval"}
    expressions = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ())]
    expressions += [each["expr"] for each in dashboard["annotations"]["list"]]

    for expression in expressions:
        assert set(re.findall(r"\bgateway_\w+", expression)) <= known, expression
        assert set(re.findall(r"\$(\w+)", expression)) <= variables, expression
        for selector in re.findall(r"gateway_\w+\{([^}]*)\}", expression):
            assert selector.startswith('job=~"$job",instance=~"$instance"'), expression
        assert len(re.findall(r"gateway_\w+", expression)) == expression.count("{"), expression
        assert re.findall(r"\[([^]]*)\]", expression) == ["$__rate_interval"] * expression.count("["), expression


def test_names_are_unique_and_every_file_is_json() -> None:
    assert len({each.uid for each in DASHBOARDS}) == len(DASHBOARDS)
    for text in texts().values():
        assert json.loads(text)["uid"].startswith("gateway-")


@pytest.mark.parametrize(
    ("status", "origin", "reason", "shares"),
    [
        ("404", "gateway", "no-route", (0.5, 0, 0)),
        ("500", "gateway", "internal", (0, 0.5, 0)),
        ("503", "plugin", "plugin.failed", (0, 0.5, 0)),
        ("500", "upstream", None, (0, 0, 0.5)),
        ("502", "gateway", "upstream.connect-failure", (0, 0, 0.5)),
        ("503", "gateway", "upstream.unavailable", (0, 0, 0.5)),
        ("200", "upstream", "upstream.truncated", (0, 0, 0.5)),
    ],
)
def test_the_top_row_tells_whose_trouble_it_is(
    tmp_path: Path, status: str, origin: str, reason: str | None, shares: tuple[float, float, float]
) -> None:
    labels = 'job="gateway",instance="one"'
    series = {
        f'gateway_requests_total{{{labels},status="204",origin="upstream"}}': "0+30x60",
        f'gateway_requests_total{{{labels},status="{status}",origin="{origin}"}}': "0+30x60",
    } | {
        f'gateway_request_failures_total{{{labels},reason="{each}"}}': "0+30x60" if each == reason else "0x60"
        for each in REASONS
    }
    tests = [
        {
            "expr": _filled(panel.queries[0].expression),
            "eval_time": "30m",
            "exp_samples": [{"labels": "{}", "value": share}],
        }
        for panel, share in zip(OVERVIEW.rows[0].panels, shares, strict=False)
    ]
    given = [{"series": name, "values": values} for name, values in series.items()]
    file = {"tests": [{"interval": "1m", "input_series": given, "promql_expr_test": tests}]}
    (tmp_path / "tests.yaml").write_text(yaml.safe_dump(file))

    command = [program("promtool", "prometheus"), "test", "rules", str(tmp_path / "tests.yaml")]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)

    assert ran.returncode == 0, ran.stdout + ran.stderr


def _filled(expression: str) -> str:
    return expression.replace("$__rate_interval", "5m").replace("$job", ".*").replace("$instance", ".*")


def test_reasons_of_upstreams_are_those_of_the_catalogue() -> None:
    found = re.fullmatch(r'reason=~"(.*)"', UPSTREAM_REASONS)

    assert found is not None
    # Limits, names of upstreams, credentials for them and a shortage of its own are the gateway's.
    own = {"upstream.overloaded", "upstream.unknown", "upstream.no-credentials", "upstream.local-error"}
    assert {each for each in REASONS if each.startswith("upstream.")} - own == {
        each for each in REASONS if re.fullmatch(found[1], each)
    }
