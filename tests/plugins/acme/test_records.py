"""What is stored: read by gateways of this version and of the one before it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from gateway_plugin_acme.records import ACCOUNTS, STATES, Account, Records, State
from gateway_plugin_acme.storage.directory import DirectoryStorage
from gateway_plugin_sdk import GatewayError


@pytest.fixture
async def records(tmp_path: Path) -> AsyncIterator[Records]:
    storage = DirectoryStorage(str(tmp_path / "acme"), lambda: 1_000.0)
    await storage.start()
    yield Records(storage, None)
    await storage.stop()


async def test_a_record_of_a_version_that_keeps_more_is_read(records: Records) -> None:
    """In a fleet that is upgraded gateway by gateway, an older one may read what a newer one wrote."""
    written = {"key": "k", "url": "https://authority.example/1", "profile": "shortlived"}
    await records.storage.put(f"{ACCOUNTS}/a", json.dumps(written).encode())

    assert await records.get(ACCOUNTS, "a", Account) == Account("k", "https://authority.example/1")


async def test_a_record_of_a_version_that_kept_less_is_read(records: Records) -> None:
    await records.storage.put(f"{STATES}/a", b'{"names": ["a.example"], "failures": 2}')

    assert await records.get(STATES, "a", State) == State(("a.example",), 2)


@pytest.mark.parametrize("text", ["", "[]", "7", '"names"', "{}"])
async def test_what_is_no_record_is_a_problem_that_names_it(records: Records, text: str) -> None:
    await records.storage.put(f"{ACCOUNTS}/a", text.encode())

    with pytest.raises(GatewayError, match="'account/a' in the storage cannot be read"):
        await records.get(ACCOUNTS, "a", Account)
