"""Values on a real Valkey server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from gateway_tokens.valkey import ServerOptions, StoreAwayError, ValkeyValues

from tests.plugins.ratelimit.stores.conftest import Valkey


@pytest.fixture(scope="module")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    server = Valkey(Path(tmp_path_factory.mktemp("valkey")))
    yield server
    server.kill()


async def test_values_come_and_go(valkey: Valkey) -> None:
    options = {"url": valkey.url, "prefix": "test:", "timeout": "20s"}
    values = ValkeyValues(ServerOptions.model_validate(options))
    await values.start()

    assert await values.get("a") is None
    assert [await values.add("a", b"\x00\xff", ttl=60), await values.add("a", b"2")] == [True, False]
    assert await values.get("a") == b"\x00\xff"
    assert valkey.command("EXISTS", "test:a") == ":1\r\n"
    await values.put("a", b"3")
    assert await values.get("a") == b"3"
    await values.delete("a")
    assert await values.get("a") is None
    await values.stop()


async def test_a_server_that_is_away_is_named_without_the_password() -> None:
    options = {"url": "valkey://:hush@127.0.0.1:1/0", "timeout": "100ms"}
    values = ValkeyValues(ServerOptions.model_validate(options))
    await values.start()

    with pytest.raises(StoreAwayError) as error:
        await values.get("a")

    assert "hush" not in str(error.value)
    await values.stop()


@pytest.mark.parametrize("scheme", ["valkeys", "rediss"])
async def test_the_name_of_a_server_is_compared_with_its_certificate(scheme: str) -> None:
    values = ValkeyValues(ServerOptions.model_validate({"url": f"{scheme}://127.0.0.1:1/0"}))
    await values.start()

    settings = values._client.connection_pool.connection_kwargs  # the default differs by version

    assert (settings["ssl_cert_reqs"], settings["ssl_check_hostname"]) == ("required", True)
    await values.stop()
