"""A real Prometheus scrapes a real gateway under traffic: every query of dashboards and rules finds something."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml
from aiohttp import web
from gateway_core.metrics.catalogue import CATALOGUE

from tests.collector import Collector
from tests.end_to_end.kit import PATIENCE, Gateway, Upstream, get
from tests.end_to_end.test_tls import certificate
from tests.ports import free_port
from tests.programs import program

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

ROOT = Path(__file__).parents[2]
DASHBOARDS = sorted((ROOT / "deploy" / "grafana").glob("*.json"))
_SELECTOR = re.compile(r"label_values\((.*), \w+\)")
RULES = [ROOT / "deploy" / "prometheus" / name for name in ("recording.yaml", "alerts.yaml")]

CONFIG = """
listen:
  - {{name: web, address: "127.0.0.1:0"}}
  - {{name: tls, address: "127.0.0.1:{tls}", tls: {{cert: {folder}/a.crt, key: {folder}/a.key}}}}
workers: 2
server_timing: true
tracing: {{otlp: {{url: "{collector}"}}, queue: {{delay: 100ms}}}}
admin: {{listen: "127.0.0.1:{admin}"}}
plugins: [{{name: headers, config: {{response: {{set: {{x-seen: "yes"}}}}}}}}]
upstreams:
  - name: shop
    endpoints: [{{url: "{url}"}}]
    health_check: {{path: /health, interval: 1s}}
    circuit_breaker: {{}}
  - {{name: away, endpoints: [{{url: "http://127.0.0.1:9"}}], retries: {{attempts: 1}}}}
  - {{name: found, discovery: {{name: dns, config: {{host: localhost, port: {port}, interval: 1s}}}}}}
routes:
  - {{id: shop, path_prefix: /shop, target: shop}}
  - {{id: away, path_prefix: /away, target: away}}
  - {{id: found, path_prefix: /found, target: found}}
"""


class Prometheus:
    def __init__(self, url: str) -> None:
        self.url = url

    async def get(self, path: str, **parameters: str) -> Any:
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"{self.url}/api/v1/{path}", params=parameters) as response,
        ):
            answer = json.loads(await response.text())
            assert answer["status"] == "success", (parameters, answer)
            return answer["data"]

    async def finds(self, expression: str) -> bool:
        return bool((await self.get("query", query=expression))["result"])


@pytest.fixture
def prometheus(tmp_path: Path) -> Iterator[Callable[[int], Prometheus]]:
    """Start a Prometheus that scrapes this port once a second, with our rules."""
    running: list[subprocess.Popen[bytes]] = []

    def begin(port: int) -> Prometheus:
        own = free_port()
        settings = {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(path) for path in RULES],
            "scrape_configs": [{"job_name": "gateway", "static_configs": [{"targets": [f"127.0.0.1:{port}"]}]}],
        }
        (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(settings))
        command = [
            program("prometheus", "prometheus"),
            f"--config.file={tmp_path}/prometheus.yml",
            f"--storage.tsdb.path={tmp_path}/data",
            f"--web.listen-address=127.0.0.1:{own}",
            "--log.level=error",
        ]
        running.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        return Prometheus(f"http://127.0.0.1:{own}")

    yield begin
    for process in running:
        process.kill()
        process.wait()


@pytest.fixture
def collector() -> Iterator[Collector]:
    """A collector that refuses the first spans."""
    found = Collector()
    found.replies.append(lambda: web.Response(status=503))
    found.replies.append(lambda: web.Response(status=400))
    found.start()
    yield found
    found.close()


@pytest.fixture
async def watched(
    start: Callable[..., Gateway],
    upstream: Upstream,
    prometheus: Callable[[int], Prometheus],
    collector: Collector,
    tmp_path: Path,
) -> AsyncIterator[Prometheus]:
    """A gateway with traffic on all routes, which Prometheus has scraped several times."""
    certificate(tmp_path, "a.test", "a")
    admin = free_port()
    port = upstream.url.rpartition(":")[2]
    named = {"folder": tmp_path, "admin": admin, "tls": free_port(), "url": upstream.url, "port": port}
    gateway = start(CONFIG.format(collector=collector.url, **named))
    url = await gateway.ready()
    await gateway.rewrites("listen: []", "configuration")  # a change that is refused
    watching = prometheus(admin)

    async def send() -> None:
        while True:
            for path in ("/shop", "/away", "/found", "/none"):
                await get(url, path)
            await asyncio.sleep(0.05)

    sending = asyncio.ensure_future(send())  # noqa: TID251
    try:
        async with asyncio.timeout(3 * PATIENCE):
            while not await _has_scraped(watching):  # noqa: ASYNC110 - each look is a request of its own
                await asyncio.sleep(0.5)
        yield watching
    finally:
        sending.cancel()
    await gateway.stops()


async def _has_scraped(prometheus: Prometheus) -> bool:
    try:
        return await prometheus.finds('count_over_time(gateway_requests_total{route="shop"}[1m]) > 5')
    except (aiohttp.ClientError, json.JSONDecodeError):
        return False  # it begins to listen


def expressions(dashboard: dict[str, Any]) -> list[tuple[str, str]]:
    """Return queries by the name of their panel, annotation or variable, with a value for each variable."""
    variables = dashboard["templating"]["list"][1:]
    found = [(panel["title"], target["expr"]) for panel in dashboard["panels"] for target in panel.get("targets", ())]
    found += [(each["name"], each["expr"]) for each in dashboard["annotations"]["list"]]
    found += [(each["name"], _SELECTOR.sub(r"\1", each["query"]["query"])) for each in variables]
    names = [each["name"] for each in variables]
    return [(title, _filled(expression, names)) for title, expression in found]


def _filled(expression: str, names: list[str]) -> str:
    expression = expression.replace("$__rate_interval", "20s")
    return re.sub(r"\$(\w+)", lambda each: ".*" if each[1] in names else each[0], expression)


async def test_every_query_of_dashboards_and_rules_returns_data(watched: Prometheus) -> None:
    asked = [
        (f"{path.name}: {title}", expression)
        for path in DASHBOARDS
        for title, expression in expressions(json.loads(path.read_text("utf-8")))
    ]
    rules = yaml.safe_load(RULES[0].read_text("utf-8"))["groups"][0]["rules"]
    asked += [(rule["record"], rule["record"]) for rule in rules]

    empty = [(title, expression) for title, expression in asked if not await watched.finds(expression)]

    assert [expression for _, expression in asked if "$" in expression] == []
    assert not empty, "\n".join(f"{title}: {expression}" for title, expression in empty)


async def test_every_metric_that_an_alert_asks_for_has_series(watched: Prometheus) -> None:
    """An alert whose metric never comes would be silent for another reason than that all is well."""
    rules = yaml.safe_load(RULES[1].read_text("utf-8"))["groups"][0]["rules"]
    known = {f"{name}_total" if family.kind == "counter" else name for name, family in CATALOGUE.items()}
    known |= {f"{name}_bucket" for name, family in CATALOGUE.items() if family.kind == "histogram"}
    names = {name for rule in rules for name in re.findall(r"\b(?:[\w:]+:)?gateway_[\w:]+|\bup\b", rule["expr"])}

    assert not {name for name in names if ":" not in name} - known - {"up"}
    assert {name for name in sorted(names) if not await watched.finds(name)} == NEEDS_MORE


NEEDS_MORE = {
    "gateway_certificate_last_failure_timestamp_seconds",
    "gateway_certificate_last_success_timestamp_seconds",
    "gateway_revocation_list_expiry_timestamp_seconds",
    "gateway_source_documents_rejected",
    "gateway_source_stale",
}
"""Metrics of what this gateway has not: certificates by ACME, a list of revoked ones, a source over the network."""
