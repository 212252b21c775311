"""The dashboards for Grafana, as files; `tests/end_to_end/test_dashboards.py` asks a Prometheus for what they show."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from gateway_core.metrics.catalogue import CATALOGUE

from deploy.dashboard_catalogue import DASHBOARDS
from deploy.grafana_dashboards import FOLDER, WIDTH, model, texts

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
