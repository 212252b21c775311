"""``gateway record`` as a process, beside real gateways of two workers."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.admin_kit import Api
from tests.end_to_end.kit import Gateway, Upstream, get
from tests.end_to_end.test_follow import CONFIG, Command, following

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

READY = b"gateway: recording into"


async def ready(command: Command) -> None:
    assert command.process.stderr is not None
    line = await command.process.stderr.readline()
    assert line.startswith(READY), line + await command.process.stderr.read()


def requests_of(path: Path) -> list[dict[str, Any]]:
    first, *others = [json.loads(line) for line in path.read_text().splitlines()]
    assert (first["type"], first["format"]) == ("recording", 1)
    return [each for each in others if each["type"] == "request"]


async def test_requests_are_recorded_without_credentials_for_the_owner_alone_until_ctrl_c(
    start: Callable[..., Gateway], upstream: Upstream, api: Api, tmp_path: Path
) -> None:
    running = start(CONFIG.format(url=upstream.url))
    url = await running.ready()
    file, bounded = tmp_path / "file.jsonl", tmp_path / "bounded.jsonl"
    secrets = "Authorization: Bearer hidden-1\r\nCookie: a=hidden-2\r\nX-Api-Key: hidden-3\r\nAccept: a/b\r\n"
    async with following("record", str(file)) as command, following("record", str(bounded), "--count", "2") as other:
        await ready(command)
        await ready(other)
        for _ in range(3):
            assert (await get(url, "/users/1?api_key=hidden-4&page=2", headers=secrets))[0] == 200

        status, said = await other.ends()
        assert (status, "2 requests are recorded" in said) == (0, True)
        while len(requests_of(file)) < 3:
            await get(url, "/nothing")
        command.process.send_signal(signal.SIGINT)
        status, said = await command.ends()
    await running.stops()

    assert (status, f"requests in {file}" in said) == (0, True)
    assert (file.stat().st_mode & 0o777, "hidden" in file.read_text(), "127.0.0.1" in file.read_text()) == (
        0o600, False, False,
    )  # fmt: skip
    users = [each for each in requests_of(file) if each["route"] == "users"]
    assert [(each["method"], each["host"], each["path"], each["query"], each["status"]) for each in users] == [
        ("GET", "test", "/users/1", "api_key=REDACTED&page=2", 200)
    ] * 3
    assert users[0]["headers"] == {"accept": "a/b"}
    assert len(requests_of(bounded)) == 2


async def test_it_ends_with_its_time_its_size_and_its_gateway(
    start: Callable[..., Gateway], upstream: Upstream, api: Api, tmp_path: Path
) -> None:
    running = start(CONFIG.format(url=upstream.url))
    url = await running.ready()
    async with following("record", str(tmp_path / "time"), "--for", "100ms") as command:
        status, said = await command.ends()
        assert (status, "the time is over" in said) == (0, True)
    async with following("record", str(tmp_path / "size"), "--max-bytes", "1000", "--path", "/users") as command:
        await ready(command)
        for _ in range(10):
            await get(url, "/users/1")
        status, said = await command.ends()
        assert (status, "1000 bytes are not enough" in said) == (0, True)
        assert 500 < (tmp_path / "size").stat().st_size <= 1000
    async with following("record", str(tmp_path / "size"), "--force", "--until-stop") as command:
        await ready(command)
        await running.stops()
        status, said = await command.ends()
        assert (status, "the gateway is stopping" in said) == (0, True)
        assert requests_of(tmp_path / "size") == []


async def test_without_a_gateway_there_is_no_file_and_wrong_usage_is_refused(api: Api, tmp_path: Path) -> None:
    file, there = tmp_path / "file", tmp_path / "there"
    there.write_text("mine")
    async with (
        following("record", str(file)) as alone,
        following("record", str(there)) as exists,
        following("record", str(file), "--header", "Authorization") as secret,
    ):
        status, said = await alone.ends()
        assert (status, "no gateway of this user runs" in said, file.exists()) == (3, True, False)
        status, said = await exists.ends()
        assert (status, "give --force" in said, there.read_text()) == (2, True, "mine")
        status, said = await secret.ends()
        assert (status, "may hold credentials" in said) == (2, True)
