"""Write the rules for Prometheus and the page of their runbooks, from the table of alerts.

    python -m deploy.prometheus_rules [--job NAME] [--runbooks BASE] [--into FOLDER]

``--runbooks`` is where docs/alerts.md is to be read, for the links of the alerts; without it they are relative to this
repository.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import yaml

from deploy.alert_catalogue import ALERTS, JOB, MIN_FAILURES, OBJECTIVE, RECORDINGS, Alert

FOLDER = Path(__file__).with_name("prometheus")
PAGE = Path(__file__).parents[1] / "docs" / "alerts.md"
RUNBOOKS = "docs/alerts.md"
HEAD = "# Made by `python -m deploy.prometheus_rules`; do not edit.\n"

PAGE_HEAD = f"""# Alerts

Made from `deploy/alert_catalogue.py` by `python -m deploy.prometheus_rules`; do not edit.

`deploy/prometheus/` has rules for Prometheus: what is recorded (`recording.yaml`) and what is an alert (`alerts.yaml`).

```yaml
# prometheus.yml
rule_files: [recording.yaml, alerts.yaml]
scrape_configs:
  - job_name: {JOB}
    static_configs: [{{targets: ["127.0.0.1:9090"]}}]
```

The error budget is that of an objective of {OBJECTIVE:.1%}: requests with a status of 5xx count against it, those whose client
left do not. With little traffic a single failure is a large share, so fewer than {MIN_FAILURES} failures are no alert. An alert's
`severity` is `critical` where clients are concerned now, or will be within hours, and `warning` where it has time until working
hours; `runbook_url` leads to a section below. For another job or another address of this page:

```sh
python -m deploy.prometheus_rules --job edge --runbooks https://wiki.example.com/gateway/alerts.md --into /etc/prometheus
```

[Incidents](incidents.md) begins with what you see; [metrics](metrics.md) has every family. Dashboards for Grafana are in
`deploy/grafana/`; see [dashboards](dashboards.md).

| alert | severity | when |
|---|---|---|
"""


def anchor(alert: Alert) -> str:
    """Return the anchor of an alert's section, as GitHub makes it of the heading."""
    return alert.name.lower()


def recording_rules() -> dict[str, Any]:
    return {
        "groups": [
            {
                "name": "gateway-recording",
                "rules": [{"record": each.name, "expr": each.expression} for each in RECORDINGS],
            }
        ]
    }


def alert_rules(*, job: str = JOB, runbooks: str = RUNBOOKS) -> dict[str, Any]:
    rules = []
    for alert in ALERTS:
        rule: dict[str, Any] = {"alert": alert.name, "expr": alert.expression.replace(f'job="{JOB}"', f'job="{job}"')}
        if alert.wait:
            rule["for"] = alert.wait
        rule["labels"] = {"severity": alert.severity}
        rule["annotations"] = {"summary": alert.summary, "runbook_url": f"{runbooks}#{anchor(alert)}"}
        rules.append(rule)
    return {"groups": [{"name": "gateway-alerts", "rules": rules}]}


def text_of(rules: dict[str, Any]) -> str:
    return HEAD + yaml.safe_dump(rules, sort_keys=False, width=1000, allow_unicode=True)


def page() -> str:
    rows = "".join(f"| [{each.name}](#{anchor(each)}) | {each.severity} | {each.summary} |\n" for each in ALERTS)
    return PAGE_HEAD + rows + "".join(_section(each) for each in ALERTS)


def _section(alert: Alert) -> str:
    wait = f", for {alert.wait}" if alert.wait else ""
    return (
        f"\n## {alert.name}\n\n{alert.severity}{wait}:\n\n```promql\n{alert.expression}\n```\n\n"
        f"**It means**: {alert.meaning}\n\n**Do**: {alert.action}\n"
    )


def files(*, job: str = JOB, runbooks: str = RUNBOOKS) -> dict[str, str]:
    """Return the texts of the rule files by name."""
    return {
        "recording.yaml": text_of(recording_rules()),
        "alerts.yaml": text_of(alert_rules(job=job, runbooks=runbooks)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Write the rules for Prometheus.")
    parser.add_argument("--job", default=JOB, help="the job of the scrape configuration")
    parser.add_argument("--runbooks", default=RUNBOOKS, metavar="BASE", help="where docs/alerts.md is to be read")
    parser.add_argument("--into", type=Path, default=FOLDER, metavar="FOLDER")
    options = parser.parse_args()
    options.into.mkdir(parents=True, exist_ok=True)
    for name, text in files(job=options.job, runbooks=options.runbooks).items():
        (options.into / name).write_text(text, "utf-8")
    if options.into == FOLDER:
        PAGE.write_text(page(), "utf-8")


if __name__ == "__main__":
    main()
