"""Certificates that are ordered, as the dashboard shows them: with a real authority, and with one that is away."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.async_api import Browser

from tests.end_to_end.dashboard.browser import open_dashboard
from tests.end_to_end.kit import Gateway
from tests.plugins.acme.pebble import run_pebble

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300), pytest.mark.usefixtures("api")]

CONFIG = """
listen:
  - {{address: "127.0.0.1:{http}"}}
  - address: "127.0.0.1:{tls}"
    tls:
      certificates:
        - name: acme
          config:
            names: [good.example.com]
            authorities: [{{url: "{url}", ca: "{ca}"}}]
            storage: {{directory: "{storage}/good"}}
            poll: 100ms
  - address: "127.0.0.1:0"
    tls:
      certificates:
        - name: acme
          config:
            names: [bad.example.com]
            authorities: [{{url: "https://127.0.0.1:1/dir", ca: "{ca}"}}]
            storage: {{directory: "{storage}/bad"}}
            without_certificate: refuse
            retry: 1h
            poll: 100ms
admin: {{listen: "127.0.0.1:{admin}"}}
routes:
  - {{id: all, path_prefix: /, respond: {{status: 200, body: served}}}}
"""


async def test_each_name_shows_expiry_last_success_and_last_failure_with_its_reason(
    start: Callable[..., Gateway], chromium: Browser, tmp_path: Path, unused_tcp_port: int
) -> None:
    with run_pebble(tmp_path / "pebble") as pebble:
        running = start(
            CONFIG.format(
                http=pebble.http_port, tls=pebble.tls_port, url=pebble.url, ca=pebble.ca, storage=tmp_path,
                admin=unused_tcp_port,
            )
        )  # fmt: skip
        await running.says("a certificate for good.example.com was issued")
        await running.says("no certificate for bad.example.com")
        dashboard = await open_dashboard(chromium, f"http://127.0.0.1:{unused_tcp_port}")
        await dashboard.goes("/health")

        rows = dashboard.page.get_by_role("table", name="Certificates").get_by_role("row")
        good, bad = rows.filter(has_text="good.example.com"), rows.filter(has_text="bad.example.com")
        await good.filter(has_text="valid").wait_for()
        await bad.filter(has_text="cannot be got").wait_for()

        titles = await rows.first.get_by_role("columnheader").all_inner_texts()
        served, missing = [
            dict(zip(titles[1:], await row.get_by_role("cell").all_inner_texts(), strict=True)) for row in (good, bad)
        ]
        assert served["Expires"].startswith("in ")
        assert served["Last issued"] != "never"
        assert served["Last failure"] == "none"
        assert missing["Last issued"] == "never"
        assert "in " not in missing["Expires"]
        assert "https://127.0.0.1:1/dir: the authority is away" in missing["Last failure"]
        assert "the next attempt is in " in missing["Last failure"]
        assert await dashboard.axe() == []
        assert await dashboard.complaints() == []
