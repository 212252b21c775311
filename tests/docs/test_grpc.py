"""The examples of docs/grpc.md load, and do what the page says of them."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from click.testing import CliRunner
from gateway_core.cli.root import gateway

from tests.core.proxy.kit import run_proxy
from tests.docs.blocks import Block, blocks_of, shows
from tests.integration.grpc_kit import Echo, served

PAGE = Path(__file__).parents[2] / "docs" / "grpc.md"
BLOCKS = blocks_of(PAGE)


@pytest.mark.parametrize("block", [each for each in BLOCKS if each.language == "yaml"], ids=lambda block: block.place)
def test_every_example_loads(block: Block, tmp_path: Path) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_text(block.text)

    result = CliRunner().invoke(gateway, ["check", "-c", str(path)])

    assert result.exit_code == 0, result.output


def test_the_route_of_a_call_is_the_one_that_the_page_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    configuration, command, output = BLOCKS[:3]
    (tmp_path / "gateway.yaml").write_text(configuration.text)
    monkeypatch.chdir(tmp_path)

    result = CliRunner().invoke(gateway, [*shlex.split(command.text)[1:], "-c", "gateway.yaml"])

    assert shows(output.text, result.output)


EXAMPLE = Path(__file__).parents[2] / "examples" / "grpc.yaml"


@pytest.mark.parametrize(("method", "route"), [("Get", "users"), ("Watch", "watch")])
def test_calls_take_the_route_that_the_example_means(method: str, route: str) -> None:
    arguments = ["match", "POST", f"/users.v1.Users/{method}", "-H", "content-type: application/grpc+proto"]

    result = CliRunner().invoke(gateway, [*arguments, "-c", str(EXAMPLE), "--json"])

    assert json.loads(result.output)["route"] == route


async def test_the_example_serves_calls(tmp_path: Path) -> None:
    service = Echo()
    async with served(service) as url:
        config = EXAMPLE.read_text().replace("http://127.0.0.1:50051", url).replace("127.0.0.1:8080", "127.0.0.1:0")
        config = config.replace(', {url: "http://127.0.0.1:50052"}', "").replace("users.v1.Users", "echo")
        async with (
            run_proxy(config, tmp_path) as running,
            grpc.aio.insecure_channel(f"127.0.0.1:{running.port}") as channel,
        ):
            unary: Any = channel.unary_unary("/echo/Unary")
            assert await unary(b"a") == b"a"
