from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from gateway_tokens.documents import FetchError
from gateway_tokens.fetch import FetchOptions
from gateway_tokens.loaders import Client, value_from_file, value_from_url


def options_of(**options: Any) -> FetchOptions:
    return FetchOptions.model_validate(options)


async def test_a_document_and_its_cache_control_are_fetched(key_server: Any) -> None:
    key_server.documents["/a"] = "text"
    key_server.headers = {"Cache-Control": "max-age=5", "Set-Cookie": "a=b"}
    client = Client(FetchOptions())

    assert await client.fetch(f"{key_server.url}/a") == (b"text", "max-age=5")
    await client.fetch(f"{key_server.url}/a")

    assert "Cookie" not in key_server.requests[1].headers


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("/none", "the server responds 404"),
        ("http://127.0.0.1:1/", "no connection: Connection refused"),
        ("http://[x/", ""),
        ("https://127.0.0.1:1/", "no connection: Connection refused"),
        ("http://[::1]:1/", "no connection: "),
        ("http://keys.invalid/", "its name cannot be resolved: "),
    ],
)
async def test_what_cannot_be_fetched_is_named(key_server: Any, url: str, reason: str) -> None:
    url = key_server.url + url if url.startswith("/") else url

    with pytest.raises(FetchError) as error:
        await Client(FetchOptions()).fetch(url)

    assert (error.value.place, str(error.value).count(url)) == (url, 1)
    assert error.value.reason.startswith(reason)
    assert "Connect call" not in error.value.reason
    assert "annot connect to host" not in error.value.reason


@pytest.mark.parametrize(
    "source", [{"jwks_url": "http://127.0.0.1:1/jwks"}, {"issuer": "http://127.0.0.1:1", "discovery": True}]
)
async def test_a_server_that_is_away_is_one_plain_line(
    make_gate: Any, caplog: pytest.LogCaptureFixture, source: dict[str, Any]
) -> None:
    await make_gate(**source)

    place = source.get("jwks_url") or source["issuer"]
    assert [record.getMessage() for record in caplog.records if record.name == "gateway.plugin.auth"] == [
        f"cannot load {place}: no connection: Connection refused; there is no earlier one"
    ]


async def test_a_servers_certificate_is_verified_and_ours_is_shown(write_certificate: Any, tmp_path: Path) -> None:
    certificate, key = write_certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    context.load_verify_locations(certificate)
    context.verify_mode = ssl.CERT_REQUIRED

    async def answer(_request: web.BaseRequest) -> web.Response:
        return web.Response(text="secret document")

    runner = web.ServerRunner(web.Server(answer))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    url = f"https://127.0.0.1:{runner.addresses[0][1]}/"
    ours: dict[str, Any] = {"cert": str(certificate), "key": str(key)}

    text, _ = await Client(options_of(ca=str(certificate), **ours)).fetch(url)
    assert text == b"secret document"
    with pytest.raises(FetchError, match="its certificate is not accepted: self-signed certificate"):
        await Client(options_of(**ours)).fetch(url)
    with pytest.raises(FetchError):
        await Client(options_of(ca=str(certificate))).fetch(url)

    await runner.cleanup()


async def test_a_proxy_is_gone_through(key_server: Any) -> None:
    key_server.documents["/a"] = "through"

    text, _ = await Client(FetchOptions(proxy=key_server.url)).fetch("http://keys.example/a")

    assert text == b"through"
    assert key_server.requests[0].headers["Host"] == "keys.example"


async def test_a_document_that_trickles_is_given_up_in_time(stalling_server: Any) -> None:
    url = await stalling_server(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")

    with pytest.raises(FetchError, match=r"no response within 0.1 s .fetch.timeout."):
        await Client(FetchOptions.model_validate({"timeout": "100ms"})).fetch(url)


def read_number(text: bytes) -> int:
    return int(text)


def nine(_cache_control: str) -> float:
    return 9.0


async def test_a_text_is_read_as_asked_or_counts_as_missing(key_server: Any, tmp_path: Path) -> None:
    path = tmp_path / "number"
    path.write_text("5")
    key_server.documents |= {"/good": "7", "/bad": "x"}

    assert (await value_from_file(str(path), 9.0, read_number)()).value == 5
    assert (await value_from_url(f"{key_server.url}/good", FetchOptions(), nine, read_number)()).lifetime == 9
    path.write_text("x")
    with pytest.raises(FetchError, match="number: invalid literal"):
        await value_from_file(str(path), 9.0, read_number)()
    with pytest.raises(FetchError, match="/bad: invalid literal"):
        await value_from_url(f"{key_server.url}/bad", FetchOptions(), nine, read_number)()
    with pytest.raises(FetchError, match="No such file"):
        await value_from_file(str(tmp_path / "none"), 9.0, read_number)()
