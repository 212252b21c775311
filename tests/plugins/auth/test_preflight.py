from __future__ import annotations

import pytest
from gateway_core.messages.headers import headers_of_block
from gateway_plugin_auth.preflight import is_preflight
from gateway_plugin_sdk import Headers, Request
from hypothesis import given
from hypothesis import strategies as st

FIELDS = [("Host", "a.example"), ("Origin", "https://b.example"), ("Access-Control-Request-Method", "PUT")]


def seen(*fields: tuple[str, str], method: str = "OPTIONS") -> bool:
    return is_preflight(Request(method, "/", headers=Headers(fields)))


@pytest.mark.parametrize("origin", ["https://b.example", "http://localhost:3000", "null", "capacitor://localhost"])
def test_what_browsers_send_is_one(origin: str) -> None:
    usual = [
        ("Host", "a"), ("Accept", "*/*"), ("Access-Control-Request-Method", "PATCH"), ("Origin", origin),
        ("Access-Control-Request-Headers", "authorization,content-type"), ("User-Agent", "x"),
        ("Sec-Fetch-Mode", "cors"),
        ("Access-Control-Request-Private-Network", "true"), ("Content-Length", "0"), ("X-Request-Id", "1"),
    ]  # fmt: skip

    assert seen(*usual)


@pytest.mark.parametrize("method", ["GET", "POST", "options", "OPTIONSX", ""])
def test_another_method_is_none(method: str) -> None:
    assert not seen(*FIELDS, method=method)


@pytest.mark.parametrize("left_out", ["Origin", "Access-Control-Request-Method"])
@pytest.mark.parametrize("instead", [[], [""], ["a b"], ["PUT, GET"], ["https://b.example", "https://b.example"]])
def test_both_fields_are_there_once_and_valid(left_out: str, instead: list[str]) -> None:
    fields = [field for field in FIELDS if field[0] != left_out]

    assert not seen(*fields, *((left_out, value) for value in instead))


@pytest.mark.parametrize("origin", ["b.example", "https://", "https://b.example/path", "https://u@b", "*", "Null"])
def test_an_origin_is_a_scheme_and_a_host(origin: str) -> None:
    assert not seen(*[field for field in FIELDS if field[0] != "Origin"], ("Origin", origin))


@pytest.mark.parametrize(
    "field",
    [
        ("X-HTTP-Method-Override", "DELETE"), ("x-http-method", "DELETE"), ("X-Method-Override", "PUT"),
        ("X_HTTP_Method_Override", "PUT"), ("X.HTTP.Method.Override", "PUT"), ("X-HTTP-MethodOverride", "PUT"),
        ("X-Http-Verb", "PUT"),
        ("Content-Length", "1"), ("Content-Length", "00"), ("Transfer-Encoding", "chunked"), ("Content-Type", "a/b"),
        ("Authorization", "Basic x"), ("Cookie", "a=b"), ("Proxy-Authorization", "Basic x"), ("Upgrade", "websocket"),
        ("Expect", "100-continue"), ("Access-Control-Request-Method", "GET"), ("ORIGIN", "https://c.example"),
    ],
)  # fmt: skip
def test_a_body_credentials_or_another_method_in_a_field_are_in_none(field: tuple[str, str]) -> None:
    assert seen(*FIELDS)
    assert not seen(*FIELDS, field)
    assert not seen(field, *FIELDS)


@given(st.binary())
def test_any_head_is_one_or_not(block: bytes) -> None:
    is_preflight(Request("OPTIONS", "/", headers=headers_of_block(b"\r\n" + block)))
