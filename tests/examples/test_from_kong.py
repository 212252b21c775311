"""examples/from-kong: the import is what the command makes, and what came of it by hand serves as Kong did."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from gateway_core.cli.root import gateway as command_line

from tests.examples.kit import EXAMPLES, Example, stops

KEYS = {
    "KONG_SHOP_API_KEY": "shop-key-of-some-length-for-a-test",
    "KONG_VISITOR_API_KEY": "visitor-key-of-some-length-for-a-test",
}
HOST = "api.example.com"


def test_the_import_is_what_the_command_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(EXAMPLES / "from-kong")

    result = CliRunner().invoke(command_line, ["import", "kong", "kong.yaml"])

    assert (result.exit_code, result.stdout) == (1, Path("imported.yaml").read_text())
    assert "ldap-auth" in result.stderr
    for name in ("imported.yaml", "gateway.yaml"):
        checked = CliRunner().invoke(command_line, ["check", "-c", name], env=KEYS)
        assert checked.exit_code == 0, checked.output


@pytest.fixture
def example(tmp_path: Path) -> Iterator[Example]:
    with Example("from-kong", tmp_path) as example:
        example.port("PORT")
        example.environ |= KEYS
        example.upstream("orders", "ORDERS_PORT")
        yield example


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize(("directory", "admin"), [("200", 200), ("401", 401)])
def test_routes_respond_as_kongs_did_and_the_closed_one_asks_the_directory(
    example: Example, directory: str, admin: int
) -> None:
    example.upstream("directory", "DIRECTORY_PORT", "--status", directory)
    gateway, url = example.ready()

    with example.client(url, host=HOST) as client:
        shop = client.get("/orders/7", headers={"apikey": KEYS["KONG_SHOP_API_KEY"], "X-Consumer-Username": "mallory"})
        statuses = [
            client.get("/orders/7").status_code,
            client.get("/orders/7", headers={"apikey": KEYS["KONG_VISITOR_API_KEY"]}).status_code,
            client.get("/orders/admin/x", headers={"apikey": KEYS["KONG_SHOP_API_KEY"]}).status_code,
            client.get("/status").status_code,
        ]

    assert statuses == [401, 403, admin, 200]
    assert (shop.json()["path"], shop.json()["headers"]["x-consumer-username"]) == ("/v1/7", "shop")
    assert "apikey" not in shop.json()["headers"]
    stops(gateway)
