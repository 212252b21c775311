from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
from gateway_core.upstreams import EndpointSpec
from gateway_core.upstreams.discovery import Discovered
from gateway_core.upstreams.discovery.kept_endpoints import KeptEndpoints

A, B = EndpointSpec("http", "a", 80), EndpointSpec("https", "b", 443, weight=3)
FOUND = Discovered((A, B), strategy="least-requests")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "endpoints.json"


async def read(path: Path) -> KeptEndpoints:
    kept = KeptEndpoints(path)
    await kept.load()
    return kept


async def keep(path: Path, **found: Discovered) -> None:
    kept = await read(path)
    for key, each in found.items():
        kept.put(key, each)
    await kept.aclose()


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def keys(path: Path) -> list[str]:
    return list(json.loads(path.read_text())["found"])


def write(path: Path, text: str) -> None:
    path.parent.mkdir(mode=0o700)
    path.write_text(text)


async def test_what_was_found_last_is_known_after_a_restart(path: Path) -> None:
    await keep(path, users=FOUND)

    kept = await read(path)

    assert (kept.get("users"), kept.get("orders")) == (FOUND, None)
    assert mode(path) == 0o600


async def test_what_a_registry_does_not_confirm_changes_nothing(path: Path) -> None:
    await keep(path, users=FOUND)
    await keep(path, users=Discovered((A,), is_stale=True))

    assert (await read(path)).get("users") == FOUND


async def test_no_endpoints_are_nothing_to_begin_with(path: Path) -> None:
    await keep(path, users=FOUND)
    await keep(path, users=Discovered(()))

    assert (await read(path)).get("users") is None


async def test_a_discovery_that_is_asked_for_stays_while_its_registry_is_away_and_others_are_dropped(
    path: Path,
) -> None:
    await keep(path, users=FOUND, orders=FOUND)

    kept = await read(path)
    kept.get("users")
    kept.put("carts", FOUND)
    await kept.aclose()

    assert keys(path) == ["users", "carts"]


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"format": 2}', '{"format": 1, "found": {"users": {"endpoints": [1]}}}']
)
async def test_a_damaged_file_is_logged_and_replaced(path: Path, text: str, caplog: pytest.LogCaptureFixture) -> None:
    write(path, text)

    kept = await read(path)

    assert kept.get("users") is None
    assert f"endpoints that were found last cannot be read from {path}" in caplog.text
    kept.put("users", FOUND)
    await kept.aclose()
    assert (await read(path)).get("users") == FOUND


async def test_a_directory_that_cannot_be_written_is_no_fault(tmp_path: Path) -> None:
    write(tmp_path / "state" / "file", "")

    await keep(tmp_path / "state" / "file" / "endpoints.json", users=FOUND)
