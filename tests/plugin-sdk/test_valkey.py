"""Values on a real Valkey server."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from gateway_plugin_sdk import GatewayError
from gateway_plugin_sdk.valkey import ServerOptions, StoreAwayError, ValkeyValues
from pydantic import ValidationError

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


@pytest.mark.parametrize(
    "url",
    [
        "valkey://:hush@h:abc/0", "valkey://:hush@h:99999/0", "valkey://:hush@h:0", "valkey://:hush@/0",
        "valkey://:hush@[::1/0", "valkey://:hush@h/cache", "valkey://:hush@h/-1", "valkey://:hush@h/0/1", "http://:hush@h",
        "unix://",
    ],
)  # fmt: skip
def test_a_url_that_cannot_be_used_is_refused_before_the_start(url: str) -> None:
    with pytest.raises(ValidationError) as error:
        ServerOptions.model_validate({"url": url})

    assert "hush" not in str(error.value)


@pytest.mark.parametrize(
    "url", ["valkey://h", "valkey://h/", "redis://:p%2Fw@h:1/15", "valkeys://[::1]:6379/0", "unix:///run/v.sock"]
)
def test_a_url_may_leave_out_port_and_database(url: str) -> None:
    assert ServerOptions.model_validate({"url": url}).url.reveal() == url


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


def test_the_options_do_not_need_the_library() -> None:
    code = "import sys, gateway_plugin_sdk.valkey; print('redis' in sys.modules)"

    shown = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)

    assert shown.stdout.strip() == "False"


async def test_a_library_that_is_missing_is_named_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "redis.asyncio", None)
    values = ValkeyValues(ServerOptions.model_validate({"url": "valkey://127.0.0.1:1"}))

    with pytest.raises(GatewayError, match=r"pip install 'gateway-plugin-sdk\[valkey\]'"):
        await values.start()
