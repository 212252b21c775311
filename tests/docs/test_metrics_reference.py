from __future__ import annotations

import gzip
import re
from pathlib import Path

from gateway_core.packages import PluginRegistry
from gateway_core.snapshot import load

from benchmarks import metrics as benchmark
from docs.metrics_reference import PAGE, page

CONFIGURATIONS = re.compile(r"```yaml\n((?:admin|metrics): .*?)```", re.DOTALL)


def test_the_page_is_made_from_the_catalogue() -> None:
    assert PAGE.read_text("utf-8") == page(), "run: python docs/metrics_reference.py"


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
