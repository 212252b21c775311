"""The configurations of docs/listeners.md serve what the page says, asked by curl."""

from __future__ import annotations

import asyncio
import grp
import os
import pwd
import re
import shlex
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from gateway_core.admin.match import MatchRequest, MatchTable
from gateway_core.config import Document
from gateway_core.packages import PluginRegistry
from gateway_core.snapshot import load
from gateway_core.testing import RunningGateway
from gateway_core.testing.stream_server import StreamServer

from tests.core.process.certificates import make
from tests.docs.blocks import Block, blocks_of, shows

PAGE = Path(__file__).parents[2] / "docs" / "listeners.md"
BLOCKS = blocks_of(PAGE)
CONFIGS = {block.file_name: block for block in BLOCKS if block.language == "yaml"}


def commands_behind(config: Block) -> list[tuple[str, str]]:
    """Return the commands of the block behind a configuration, each with what it shows."""
    block = BLOCKS[BLOCKS.index(config) + 1]
    return [
        (command, shown) for command, shown in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", block.text, re.MULTILINE)
    ]


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with the certificates that the page names."""
    make(tmp_path, "www", "www.example.com")
    make(tmp_path, "www-rsa", "www.example.com", key="rsa")
    make(tmp_path, "shop", "shop.example.com")
    make(tmp_path, "partners", "partners.example.com")
    partner = make(tmp_path, "partner")
    (tmp_path / "partners-ca.crt").write_bytes(partner.cert.read_bytes())
    monkeypatch.chdir(tmp_path)
    return tmp_path


async def hello(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nhello\n")


async def run(command: str, port: int, folder: Path) -> str:
    """Run a command of the page against a gateway on another port."""
    curl, *arguments = shlex.split(command)
    host = urlsplit(arguments[-1]).hostname
    to = ["-sS", "--connect-to", f"{host}::127.0.0.1:{port}"]
    process = await asyncio.create_subprocess_exec(
        curl, *to, *arguments, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    out, _ = await process.communicate()
    return out.decode()


@pytest.mark.parametrize("name", ["tls.yaml", "shared.yaml", "proxy.yaml"])
async def test_a_configuration_serves_what_the_page_says(files: Path, name: str) -> None:
    server = StreamServer(hello)
    upstream = await server.start()
    try:
        text = re.sub(r'":8?443"', '"127.0.0.1:0"', CONFIGS[name].text).replace("8081", str(upstream))
        with RunningGateway(text) as gateway:
            for command, shown in commands_behind(CONFIGS[name]):
                assert shows(shown, await run(command, gateway.port, files)), command
    finally:
        await server.close()


def test_the_host_decides_which_routes_count() -> None:
    documents = [Document("routes.yaml", CONFIGS["routes.yaml"].text)]
    config = load([], documents=documents, registry=PluginRegistry(), environ={}).config
    table = re.findall(r"^\| `(\w+)` \| `(http\S+)` \| (.*) \|$", PAGE.read_text("utf-8"), re.MULTILINE)

    for listener, url, expected in table:
        found = MatchTable.of(config, listener).match(MatchRequest.of("GET", url, ()))["route"]
        assert (found or "no route") == expected.strip("`"), url
    assert len(table) == 5


def test_the_unix_socket_gets_its_mode(tmp_path: Path) -> None:
    owner = f"{pwd.getpwuid(os.getuid()).pw_name}:{grp.getgrgid(os.getgid()).gr_name}"
    text = CONFIGS["unix.yaml"].text.replace("/run/", f"{tmp_path}/").replace("www-data:www-data", owner)

    with RunningGateway(text):
        assert (tmp_path / "gateway.sock").stat().st_mode & 0o777 == 0o660
