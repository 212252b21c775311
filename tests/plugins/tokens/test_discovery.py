from __future__ import annotations

import json
from typing import Any

import pytest
from gateway_tokens.discovery import endpoint_of, fetch_metadata, metadata_urls, read_metadata
from gateway_tokens.documents import FetchError
from gateway_tokens.fetch import FetchOptions
from gateway_tokens.loaders import Client


def test_an_issuer_with_a_path_has_metadata_behind_it_and_before_it() -> None:
    assert metadata_urls("https://a.example/t/") == (
        "https://a.example/t/.well-known/openid-configuration",
        "https://a.example/.well-known/oauth-authorization-server/t",
    )


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"<html>", "line 1 column 1"),
        (b"[]", "not the metadata of an issuer"),
        (b"{}", "metadata of no issuer, not of 'https://a.example'"),
        (b'{"issuer": ["https://a.example"]}', "metadata of no issuer, not of 'https://a.example'"),
        (b'{"issuer": "https://a.example/"}', "metadata of 'https://a.example/', not of 'https://a.example'"),
    ],
)
def test_metadata_of_another_issuer_is_refused(text: bytes, reason: str) -> None:
    with pytest.raises(FetchError, match=reason):
        read_metadata(text, "https://a.example/m", "https://a.example")


def test_of_metadata_of_another_issuer_a_short_line_is_shown() -> None:
    hostile = "https://evil.example/\n" + "a" * 100_000

    with pytest.raises(FetchError) as caught:
        read_metadata(json.dumps({"issuer": hostile}).encode(), "https://a.example/m", "https://a.example")

    assert len(str(caught.value)) < 500
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [None, 1, "", "ftp://a", "http://a.example/token", "https://a b", "https://a.example/token#x", "https://a.example/#",
     "https://a.example/" + "a" * 100_000],
    ids=lambda url: str(url)[:30],
)  # fmt: skip
def test_an_endpoint_that_cannot_be_trusted_is_refused(url: object) -> None:
    with pytest.raises(FetchError, match="token_endpoint") as caught:
        endpoint_of({"token_endpoint": url}, "token_endpoint", "https://a.example/m", allow_http=False)

    assert len(str(caught.value)) < 500


async def test_metadata_is_read_from_another_url_and_still_has_to_name_the_issuer(key_server: Any) -> None:
    key_server.documents["/elsewhere"] = json.dumps({"issuer": "https://a.example", "jwks_uri": "x"})
    client = Client(FetchOptions())

    found, place = await fetch_metadata(client, "https://a.example", f"{key_server.url}/elsewhere?secret=1")

    assert found["jwks_uri"] == "x"
    assert place == f"{key_server.url}/elsewhere"
    with pytest.raises(FetchError, match=r"not of 'https://b\.example'"):
        await fetch_metadata(client, "https://b.example", f"{key_server.url}/elsewhere")
