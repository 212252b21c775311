from __future__ import annotations

import gzip
import re
import subprocess
from pathlib import Path

from gateway_core.packages import PluginRegistry
from gateway_core.snapshot import load

from benchmarks import metrics as benchmark
from docs.metrics_reference import PAGE, page
from tests.programs import program

RULES = re.compile(r"```yaml\n(groups:.*?)```", re.DOTALL)
CONFIGURATIONS = re.compile(r"```yaml\n((?:admin|metrics): .*?)```", re.DOTALL)


def test_the_page_is_made_from_the_catalogue() -> None:
    assert PAGE.read_text("utf-8") == page(), "run: python docs/metrics_reference.py"


def test_prometheus_takes_the_alert_rules(tmp_path: Path) -> None:
    (rules,) = RULES.findall(PAGE.read_text("utf-8"))
    file = tmp_path / "rules.yml"
    file.write_text(rules)

    checked = subprocess.run(
        [program("promtool", "prometheus"), "check", "rules", str(file)], capture_output=True, text=True, check=False
    )

    assert checked.returncode == 0, checked.stderr


def test_every_metric_of_an_alert_rule_is_in_the_catalogue() -> None:
    text = PAGE.read_text("utf-8")
    (rules,) = RULES.findall(text)
    table = set(re.findall(r"^\| `(\w+)` ", text, re.MULTILINE))

    named = {name.removesuffix("_bucket") for name in re.findall(r"gateway_\w+", rules)}

    assert named - table == set()


def test_the_configurations_are_valid(tmp_path: Path) -> None:
    for number, text in enumerate(CONFIGURATIONS.findall(PAGE.read_text("utf-8"))):
        file = tmp_path / f"{number}.yaml"
        file.write_text(text)

        load([file], registry=PluginRegistry(), environ={})


def test_the_budget_is_kept_at_10000_routes() -> None:
    series, text, _ = benchmark.scrape(10_000, 2)

    assert 10_000 < series <= benchmark.MOST_SERIES
    assert len(text) <= benchmark.MOST_BYTES
    assert len(gzip.compress(text, 1)) <= benchmark.MOST_COMPRESSED
    assert f"at most {benchmark.MOST_SERIES:,} series, {benchmark.MOST_BYTES // 10**6} MB" in PAGE.read_text("utf-8")
