"""Write the dashboards for Grafana, from the table of them.

    python -m deploy.grafana_dashboards

Where a panel stands follows from its row.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from deploy.dashboard_catalogue import DASHBOARDS, FLEET, Dashboard, Panel

FOLDER: Final = Path(__file__).with_name("grafana")

SCHEMA_VERSION: Final = 39
"""Of Grafana 11; later ones migrate it when they load it."""

WIDTH: Final = 24
"""Columns of Grafana's grid."""

HEIGHT: Final = 7
STAT_HEIGHT: Final = 5

SOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}


def model(dashboard: Dashboard) -> dict[str, Any]:
    """Return a dashboard as Grafana's JSON model."""
    return {
        "uid": dashboard.uid,
        "title": dashboard.title,
        "tags": ["gateway"],
        "schemaVersion": SCHEMA_VERSION,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "links": [{"type": "dashboards", "tags": ["gateway"], "asDropdown": False, "includeVars": True, "keepTime": True,
                   "title": "", "icon": "external link"}],
        "annotations": {"list": [
            _annotation("Reloads", "gateway_config_last_reload_success_timestamp_seconds", "blue", "configuration in force"),
            _annotation("Refused changes", "gateway_config_last_reload_failure_timestamp_seconds", "red", "change refused"),
        ]},
        "templating": {"list": [_source_variable(), *_variables(dashboard)]},
        "panels": _panels(dashboard),
    }  # fmt: skip


def _annotation(name: str, metric: str, color: str, text: str) -> dict[str, Any]:
    """Mark the times that a gauge has as its value."""
    return {
        "name": name,
        "enable": True,
        "iconColor": color,
        "datasource": SOURCE,
        "expr": f"1000 * {metric}{{{FLEET}}} > 0",
        "useValueForTime": True,
        "titleFormat": text,
        "textFormat": "{{instance}}",
    }


def _source_variable() -> dict[str, Any]:
    return {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus"}


def _variables(dashboard: Dashboard) -> list[dict[str, Any]]:
    queries = {
        "job": "label_values(gateway_build_info, job)",
        "instance": 'label_values(gateway_build_info{job=~"$job"}, instance)',
        **dashboard.variables,
    }
    return [
        {
            "name": name,
            "label": name.capitalize(),
            "type": "query",
            "datasource": SOURCE,
            "query": {"query": query, "refId": name},
            "refresh": 2,
            "includeAll": True,
            "multi": True,
            "allValue": ".*",
            "current": {"text": ["All"], "value": ["$__all"]},
            "sort": 1,
        }
        for name, query in queries.items()
    ]


def _panels(dashboard: Dashboard) -> list[dict[str, Any]]:
    panels: list[dict[str, Any]] = []
    top = 0
    for row in dashboard.rows:
        position = {"x": 0, "y": top, "w": WIDTH, "h": 1}
        panels.append(
            {"id": len(panels) + 1, "type": "row", "title": row.title, "collapsed": False, "gridPos": position}
        )
        top += 1
        height = STAT_HEIGHT if row.panels[0].kind == "stat" else HEIGHT
        edges = [WIDTH * number // len(row.panels) for number in range(len(row.panels) + 1)]
        for panel, left, right in zip(row.panels, edges, edges[1:], strict=False):
            position = {"x": left, "y": top, "w": right - left, "h": height}
            panels.append(_panel(panel, len(panels) + 1, position))
        top += height
    return panels


def _panel(panel: Panel, number: int, position: dict[str, int]) -> dict[str, Any]:
    steps: list[dict[str, Any]] = [{"color": "text" if panel.red_above is None else "green", "value": None}]
    if panel.red_above is not None:
        steps.append({"color": "red", "value": panel.red_above})
    made: dict[str, Any] = {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.text,
        "datasource": SOURCE,
        "gridPos": position,
        "fieldConfig": {
            "defaults": {"unit": panel.unit, "min": 0, "thresholds": {"mode": "absolute", "steps": steps}},
            "overrides": [],
        },
        "targets": [
            {
                "refId": chr(ord("A") + index),
                "datasource": SOURCE,
                "expr": query.expression,
                "legendFormat": query.legend or "__auto",
                "instant": query.is_instant,
                "range": not query.is_instant,
            }
            for index, query in enumerate(panel.queries)
        ],
    }
    if panel.kind == "stat":
        made["options"] = {"colorMode": "value", "graphMode": "none", "reduceOptions": {"calcs": ["lastNotNull"]}}
    else:
        made["options"] = {
            "legend": {"displayMode": "list", "placement": "bottom"},
            "tooltip": {"mode": "multi", "sort": "desc"},
        }
    return made


def texts() -> dict[str, str]:
    """Return the dashboards as files, by name."""
    return {f"{each.uid}.json": json.dumps(model(each), indent=2) + "\n" for each in DASHBOARDS}


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for name, text in texts().items():
        (FOLDER / name).write_text(text, "utf-8")


if __name__ == "__main__":
    main()
