from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import pytest
from gateway_plugin_ratelimit.stores.local import open_local_store, phase_of
from gateway_plugin_sdk import Request
from gateway_plugin_sdk.testing import ManualClock

from tests.plugins.ratelimit.conftest import MakeLimiter


async def test_workers_with_a_common_folder_count_together(
    limiter: MakeLimiter, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, clock: ManualClock
) -> None:
    from gateway_plugin_sdk import Metrics

    monkeypatch.setenv("GATEWAY_SHARED_DIR", str(tmp_path))
    config = {"limits": [{"name": "rate", "rate": 1, "burst": 4}, {"name": "at-once", "concurrency": 10}]}

    one = await limiter(config)
    other = await limiter(config, gateway=Metrics())

    assert await one.passed(3) == 3
    assert await other.passed(3) == 1


async def test_concurrency_is_counted_over_all_workers(
    limiter: MakeLimiter, request_of: Callable[..., Request], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from gateway_plugin_sdk import Metrics

    monkeypatch.setenv("GATEWAY_SHARED_DIR", str(tmp_path))
    one, other = await limiter({"concurrency": 1}), await limiter({"concurrency": 1}, gateway=Metrics())

    request = request_of()
    answer = await one.answer(request)
    assert (await other.call()).status == 429
    one.finish(request, answer)

    assert (await other.call()).status == 200


def test_a_folder_that_cannot_be_used_is_said_and_each_worker_counts_by_itself(
    clock: ManualClock, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    missing = tmp_path / "missing"

    store = open_local_store(100, clock, logging.getLogger("test"), {"GATEWAY_SHARED_DIR": str(missing)})

    assert store.sweep_steps == 0
    assert "each worker counts by itself" in caplog.text
    assert str(missing) in caplog.text


def test_days_of_the_phased_clock_begin_when_those_of_utc_do() -> None:
    midnight = 19_000 * 86400.0

    assert (1234.5 + phase_of(midnight, 1234.5)) % 86400 == 0


async def test_windows_of_a_day_begin_at_midnight_utc(limiter: MakeLimiter, clock: ManualClock) -> None:
    limited = await limiter({"quota": 5, "window": "1d", "fixed": True})
    clock.advance(86400 - 30 - (clock.wall() % 86400))

    answer = await limited.call()

    assert answer.headers["x-ratelimit-reset"] == "30"


def tables_of_places(folder: Path) -> list[Path]:
    return list(folder.glob("*.inflight"))


async def test_workers_without_a_limit_of_concurrency_keep_no_table_of_places(
    limiter: MakeLimiter, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GATEWAY_SHARED_DIR", str(tmp_path))

    await limiter({"rate": 1})
    assert not tables_of_places(tmp_path)

    await limiter({"concurrency": 1}, binding="other")
    assert len(tables_of_places(tmp_path)) == 1
