"""examples/teams: each team has a document in etcd, and a bad one is its own affair."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.kit import PATIENCE, Gateway
from tests.examples.kit import Example
from tests.plugins.etcd.server import Etcd

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
SHOP, SEARCH = "shop.example.com", "search.example.com"


@pytest.fixture
def example(tmp_path: Path) -> Iterator[Example]:
    with Example("teams", tmp_path) as example:
        example.port("PORT")
        example.port("ADMIN_PORT")
        example.upstream("assets", "ASSETS_PORT")
        example.upstream("shop", "8081")
        example.upstream("search", "8082")
        yield example


def document(example: Example, name: str) -> str:
    """Return a team's document with the ports that this test chose."""
    text = (example.folder / "documents" / f"{name}.yaml").read_text()
    for port in ("8081", "8082"):
        text = text.replace(f":{port}", f":{example.environ[port]}")
    return text


async def started(example: Example, etcd: Etcd) -> tuple[Gateway, str]:
    example.environ["ETCD"] = etcd.host
    for team in ("shop", "search"):
        await etcd.put(f"/gateway/{team}.yaml", document(example, team))
    gateway = example.gateway("--state", str(example.folder / "state"))
    return gateway, await gateway.ready()


async def service(example: Example, url: str, path: str, host: str) -> str:
    """Return the name of the service that responds, or the status of a refusal."""
    async with example.async_client(url) as client:
        response = await client.get(path, headers={"Host": host})
    return str(response.json()["name"]) if response.status_code == 200 else str(response.status_code)


async def test_each_team_has_its_routes_and_uses_what_is_shared(example: Example, tmp_path: Path) -> None:
    async with Etcd(tmp_path / "etcd") as etcd:
        gateway, url = await started(example, etcd)

        assert await service(example, url, "/cart", SHOP) == "shop"
        assert await service(example, url, "/images/a", SHOP) == "assets"
        assert await service(example, url, "/cart", SEARCH) == "search"
        assert [await service(example, url, "/deep", SEARCH) for _ in range(8)].count("429") > 0
        assert await service(example, url, "/cart", "other.example.com") == "404"
        await gateway.stops()


async def test_a_bad_document_of_a_team_leaves_it_and_the_others_as_they_were(example: Example, tmp_path: Path) -> None:
    async with Etcd(tmp_path / "etcd") as etcd:
        gateway, url = await started(example, etcd)

        await etcd.put("/gateway/search.yaml", document(example, "search-with-an-error"))
        await gateway.says(r"/gateway/search\.yaml:4:\d+: .*serach")
        await etcd.put("/gateway/shop.yaml", document(example, "shop") + "  - {id: new, path: /new, target: assets}\n")

        deadline = time.monotonic() + PATIENCE
        while await service(example, url, "/new", SHOP) != "assets":
            assert time.monotonic() < deadline, gateway.text
            await asyncio.sleep(0.05)
        assert await service(example, url, "/cart", SEARCH) == "search"
        await gateway.stops()


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        ('  - {id: leak, path: /leak, respond: {body: "${file:/etc/hostname}"}}\n', "file"),
        ('  - {id: leak, path: /leak, respond: {body: "${ETCD}"}}\n', "env"),
    ],
)
async def test_a_document_of_a_team_reads_neither_files_nor_variables_of_the_machine(
    example: Example, tmp_path: Path, more: str, problem: str
) -> None:
    async with Etcd(tmp_path / "etcd") as etcd:
        gateway, url = await started(example, etcd)

        await etcd.put("/gateway/shop.yaml", document(example, "shop") + more)

        await gateway.says(rf"/gateway/shop\.yaml:9.*{problem}")
        assert [await service(example, url, "/leak", SHOP) for _ in range(2)] == ["shop", "shop"]
        await gateway.stops()


async def test_a_document_of_a_team_cannot_open_an_admin_listener(example: Example, tmp_path: Path) -> None:
    async with Etcd(tmp_path / "etcd") as etcd:
        gateway, url = await started(example, etcd)

        await etcd.put("/gateway/shop.yaml", document(example, "shop") + "admin: {listen: 127.0.0.1:9}\n")

        await gateway.says(r"shop\.yaml.*admin.*ignored|admin.*ignored.*shop\.yaml")
        assert [await service(example, url, "/cart", SHOP) for _ in range(2)] == ["shop", "shop"]
        await gateway.stops()
