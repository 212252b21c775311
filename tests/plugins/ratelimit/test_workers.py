"""The real command with several workers: a limit holds over all of them."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.workers import running, statuses, upstream_port

CONFIG = """
listen: 127.0.0.1:0
workers: 2
routes:
  - id: limited
    path_prefix: /
    target: http://127.0.0.1:{upstream}
    plugins:
      - {{name: ratelimit, config: {{quota: 50, window: 1d, key: constant, refusal: {{detail: "{detail}"}}}}}}
"""


@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_a_limit_holds_over_all_workers_and_over_a_reload(tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"

    async with upstream_port() as upstream:
        file.write_text(CONFIG.format(upstream=upstream, detail="before"))
        async with running(file) as (gateway, port):
            first = await statuses(port, 40)
            file.write_text(CONFIG.format(upstream=upstream, detail="after"))
            gateway.signal(signal.SIGHUP)
            await gateway.says("changed")
            second = await statuses(port, 80)

    assert first == {"200": 40}
    assert second == {"200": 10, "429": 70}
