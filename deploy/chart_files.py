"""Copy rules and dashboards into the chart, which can only use files of its own folder.

python -m deploy.chart_files
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from deploy import grafana_dashboards, prometheus_rules

CHART: Final = Path(__file__).parent / "helm" / "gateway"


def files() -> dict[str, str]:
    """Return the texts of the files by their path in the chart."""
    rules = {f"files/prometheus/{name}": text for name, text in prometheus_rules.files().items()}
    dashboards = {f"files/grafana/{name}": text for name, text in grafana_dashboards.texts().items()}
    return rules | dashboards


def main() -> None:
    for name, text in files().items():
        path = CHART / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")


if __name__ == "__main__":
    main()
