from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import aiohttp
import jwt
import pytest
from gateway_core.cli.demo import secret_file, what_to_try, write_config
from gateway_core.cli.demo_token import demo_token
from gateway_core.cli.demo_upstream import start_upstream

REPOSITORY = Path(__file__).parents[3]


def test_the_example_is_the_demo(tmp_path: Path) -> None:
    example = REPOSITORY / "examples" / "demo.yaml"

    assert write_config(tmp_path / "demo").read_text() == example.read_text()


def test_an_edited_configuration_is_left_alone(tmp_path: Path) -> None:
    path = write_config(tmp_path)
    path.write_text("mine")

    assert write_config(tmp_path).read_text() == "mine"


def test_the_secret_is_random_kept_and_only_the_owners(tmp_path: Path) -> None:
    files = [secret_file(write_config(tmp_path / name)) for name in ("one", "two", "one")]
    one, two, again = (file.read_text() for file in files)

    assert one == again != two
    assert len(one.strip()) == 64
    assert files[0].stat().st_mode & 0o777 == 0o600


def test_the_token_is_valid_for_the_secret() -> None:
    secret = "s" * 32

    assert jwt.decode(demo_token(secret), secret, algorithms=["HS256"])["sub"] == "demo-user"


def test_five_lines_are_worth_trying(tmp_path: Path) -> None:
    text = what_to_try("http://127.0.0.1:8080", write_config(tmp_path))

    assert len([line for line in text.splitlines() if "curl" in line]) == 5
    assert str(tmp_path / "gateway.yaml") in text


async def test_the_upstream_counts_the_bytes_of_a_body() -> None:
    server, port = await start_upstream("red", 0)
    url = f"http://127.0.0.1:{port}/x"

    async def pieces() -> Any:
        for _ in range(3):
            yield b"y" * 10

    async with server, aiohttp.ClientSession() as session:
        async with session.post(url, data=b"x" * 100_000) as answer:
            assert await answer.json() == {"upstream": "red", "method": "POST", "target": "/x", "bytes": 100_000}
        async with session.post(url, data=pieces()) as answer:
            assert (await answer.json())["bytes"] == 30
        async with session.head(url) as answer:
            assert answer.status == 200


def test_what_the_demo_protects_is_reached_by_no_other_route(tmp_path: Path) -> None:
    config = write_config(tmp_path)
    secret_file(config)

    checked = subprocess.run(
        [sys.executable, "-m", "gateway_core.cli", "check", "--strict", "-c", str(config)],
        capture_output=True,
        text=True,
        check=False,
    )

    assert checked.returncode == 0, checked.stdout


async def test_an_upstream_takes_another_port_if_its_own_is_taken() -> None:
    one, port = await start_upstream("red", 0)
    other, another = await start_upstream("blue", port)

    assert another != port
    for server in (one, other):
        server.close()


@pytest.mark.slow
async def test_the_demo_does_what_it_says(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "gateway_core.cli", "demo", "--port", "0", "--folder", "demo"),
        cwd=tmp_path,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert process.stdout is not None
    try:
        text = (await asyncio.wait_for(process.stdout.readuntil(b"Ctrl-C"), 50)).decode()
        url = found(r"listens on (\S+);", text)
        token = found(r"TOKEN=(\S+)", text)
        async with aiohttp.ClientSession(url) as session:
            names = [(await json_of(session, "/hello"))["upstream"] for _ in range(4)]
            assert sorted(names) == ["blue", "red", "red", "red"]
            assert (await json_of(session, "/users/7"))["target"] == "/users/7"
            assert (await json_of(session, "/files/a/b.txt"))["target"] == "/public/a/b.txt"
            assert await status_of(session, "/private") == 401
            assert await status_of(session, "/private", token) == 200
            assert [await status_of(session, "/limited") for _ in range(4)][-1] == 429
    finally:
        process.send_signal(signal.SIGINT)
        rest, _ = await process.communicate()

    assert process.returncode == 0, rest
    assert len((tmp_path / "demo" / "access.log").read_text().splitlines()) == 12


def found(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    assert match, text
    return match[1]


async def json_of(session: aiohttp.ClientSession, path: str) -> dict[str, Any]:
    async with session.get(path) as answer:
        assert answer.status == 200
        body: dict[str, Any] = await answer.json()
        return body


async def status_of(session: aiohttp.ClientSession, path: str, token: str = "") -> int:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with session.get(path, headers=headers) as answer:
        return answer.status
