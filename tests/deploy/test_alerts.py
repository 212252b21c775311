"""The rules for Prometheus: what fires, what does not, and that each has a page that explains it."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from gateway_core.metrics.catalogue import CATALOGUE

from deploy.alert_catalogue import ALERTS, RECORDINGS
from deploy.prometheus_rules import FOLDER, PAGE, alert_rules, anchor, files, main, page
from tests.deploy.alert_cases import CASES, Case
from tests.programs import program

pytestmark = pytest.mark.timeout(120)


def promtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [program("promtool", "prometheus"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_files_and_page_are_made_from_the_table() -> None:
    found = {name: (FOLDER / name).read_text("utf-8") for name in files()}

    assert found == files(), "run: python -m deploy.prometheus_rules"
    assert PAGE.read_text("utf-8") == page(), "run: python -m deploy.prometheus_rules"


def test_prometheus_takes_the_rules() -> None:
    checked = promtool("check", "rules", "--lint=all", "--lint-fatal", *(FOLDER / name for name in files()))

    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_every_alert_has_cases_a_severity_and_a_runbook() -> None:
    headings = re.findall(r"^## (\w+)$", PAGE.read_text("utf-8"), re.MULTILINE)

    assert list(CASES) == [alert.name for alert in ALERTS]
    assert headings == [alert.name for alert in ALERTS]
    assert [name for name, case in CASES.items() if not case.quiet] == []
    for rule in alert_rules()["groups"][0]["rules"]:
        assert rule["labels"]["severity"] in {"critical", "warning"}
        assert rule["annotations"]["runbook_url"] == f"docs/alerts.md#{rule['alert'].lower()}"


def test_every_metric_of_a_rule_is_in_the_catalogue() -> None:
    known = {f"{name}_total" if family.kind == "counter" else name for name, family in CATALOGUE.items()}
    known |= {f"{name}_bucket" for name, family in CATALOGUE.items() if family.kind == "histogram"}
    recorded = {each.name for each in RECORDINGS}

    for expression in [*(each.expression for each in RECORDINGS), *(each.expression for each in ALERTS)]:
        names = set(re.findall(r"(?:[a-z_]+:)?gateway_\w+(?::\w+)?", expression))
        assert names - known - recorded == set(), expression


def test_links_of_the_page_lead_somewhere() -> None:
    for target, fragment in re.findall(r"\]\(([\w.]*)#([\w-]+)\)", PAGE.read_text("utf-8")):
        text = (PAGE.with_name(target) if target else PAGE).read_text("utf-8")
        headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
        anchors = {re.sub(r"[^\w -]", "", each).lower().replace(" ", "-") for each in headings}
        assert fragment in anchors, (target, fragment)


@pytest.mark.parametrize("interval", ["1m", "10m"])
def test_cases(tmp_path: Path, interval: str) -> None:
    """All of an interval in one run of promtool, which reports each that differs."""
    cases = {name: case for name, case in CASES.items() if case.interval == interval}
    tests = [_test(f"{name} fires", name, case, case.fires, case.labels) for name, case in cases.items()]
    tests += [
        _test(f"{name}, {quiet}", name, case, series, None)
        for name, case in cases.items()
        for quiet, series in case.quiet.items()
    ]
    (tmp_path / "alerts.yaml").write_text(yaml.safe_dump(_rules_of(cases)))
    # In this order: what was recorded a step of ten minutes before is stale.
    order = ["gateway-recording", "gateway-alerts"]
    rule_files = [str(FOLDER / "recording.yaml"), "alerts.yaml"]
    file = {"rule_files": rule_files, "group_eval_order": order, "evaluation_interval": interval}
    (tmp_path / "tests.yaml").write_text(yaml.safe_dump({**file, "tests": tests}))

    ran = promtool("test", "rules", tmp_path / "tests.yaml")

    assert ran.returncode == 0, ran.stdout + ran.stderr


def _rules_of(cases: Mapping[str, Case]) -> dict[str, Any]:
    """Return the alerts with the labels that the cases name, and without texts, which contain values."""
    rules = alert_rules()
    group = rules["groups"][0]
    group["rules"] = [rule for rule in group["rules"] if rule["alert"] in cases]
    for rule in group["rules"]:
        rule["expr"] = f"count by ({', '.join(cases[rule['alert']].labels)}) ({rule['expr']})"
        del rule["annotations"]
    return rules


def _test(
    title: str, name: str, case: Case, series: Mapping[str, str], labels: Mapping[str, str] | None
) -> dict[str, Any]:
    severity = next(alert.severity for alert in ALERTS if alert.name == name)
    return {
        "name": title,
        "interval": case.interval,
        "input_series": [{"series": key, "values": values} for key, values in series.items()],
        "alert_rule_test": [
            {
                "eval_time": case.at,
                "alertname": name,
                "exp_alerts": [] if labels is None else [{"exp_labels": {"severity": severity, **labels}}],
            }
        ],
    }


def test_job_and_runbooks_are_options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = "https://wiki.example.com/alerts"
    monkeypatch.setattr("sys.argv", ["rules", "--job", "edge", "--runbooks", base, "--into", str(tmp_path)])
    main()

    text = (tmp_path / "alerts.yaml").read_text("utf-8")
    assert 'absent(up{job="edge"})' in text
    assert f"runbook_url: {base}#{anchor(ALERTS[0])}" in text
    assert promtool("check", "rules", tmp_path / "alerts.yaml").returncode == 0
