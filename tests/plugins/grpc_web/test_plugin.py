"""Calls of gRPC-Web in a plugin's harness: what would be sent, and what comes back."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from gateway_plugin_grpc_web import GrpcWeb
from gateway_plugin_grpc_web.plugin import WebBody
from gateway_plugin_sdk import Headers, Response
from gateway_plugin_sdk.testing import PluginHarness, one_route

MESSAGE = b"\0\0\0\0\2\x08\x01"
OK = b"\x80\0\0\0\x10grpc-status: 0\r\n"


def call(
    response: Response, body: bytes = MESSAGE, content_type: str = "application/grpc-web+proto", **config: Any
) -> Any:
    with PluginHarness(GrpcWeb, config) as harness:
        headers = {"content-type": content_type, "x-grpc-web": "1", "accept": "application/grpc-web"}
        return harness.request("POST", "/a.B/C", headers=headers, body=body, upstream_response=response)


def grpc(body: bytes = MESSAGE, **headers: str) -> Response:
    return Response(200, body, headers={"content-type": "application/grpc+proto", **headers})


def test_a_request_becomes_one_of_grpc() -> None:
    result = call(grpc())

    headers = result.request.headers
    assert headers["content-type"] == "application/grpc+proto"
    assert ("x-grpc-web" in headers, "accept" in headers) == (False, False)
    assert result.sent_body == MESSAGE


@pytest.mark.parametrize("text", [base64.b64encode(MESSAGE), b"AAAA\nAAI=CAE="])
def test_the_text_form_is_decoded(text: bytes) -> None:
    result = call(grpc(), text, "application/grpc-web-text")

    assert result.request.headers["content-type"] == "application/grpc"
    assert result.sent_body == MESSAGE


def test_what_is_no_base64_is_the_clients_fault_each_time(gateway: Any, upstream: Any) -> None:
    quarantine = {"failures": 2, "clients": 1, "window": "60s", "open_for": "60s"}
    running = gateway(one_route(upstream.url, {"name": "grpc-web", "quarantine": quarantine}), plugins=[GrpcWeb])

    found = [running.post("/a.B/C", body=b"!", headers={"Content-Type": "application/grpc-web-text"}) for _ in range(4)]

    assert {base64.b64decode(each.body)[5:] for each in found} == {b"grpc-status: 13\r\ngrpc-message: Bad Request\r\n"}
    assert upstream.requests == []


def test_a_response_whose_trailers_are_missing_says_so() -> None:
    result = call(grpc())

    assert result.response.headers["content-type"] == "application/grpc-web+proto"
    assert result.response.body.startswith(MESSAGE + b"\x80")
    assert b"grpc-status: 2\r\ngrpc-message: the response has no grpc-status\r\n" in result.response.body


def test_a_call_that_ends_without_a_message_has_its_status_in_the_body() -> None:
    result = call(grpc(b"", **{"grpc-status": "5", "grpc-message": "no%0A", "x-own": "1"}))

    assert result.response.body[5:] == b"grpc-status: 5\r\ngrpc-message: no%0A\r\n"
    assert "grpc-status" not in result.response.headers
    assert result.response.headers["x-own"] == "1"


@pytest.mark.parametrize(("status", "code"), [(404, 12), (503, 14), (302, 2)])
def test_a_response_of_http_has_the_status_that_stands_for_it(status: int, code: int) -> None:
    result = call(Response(status, b"<html>", headers={"content-type": "text/html", "retry-after": "3"}))

    assert (result.response.status, result.response.headers["retry-after"]) == (200, "3")
    assert result.response.body[5:].startswith(b"grpc-status: %d\r\n" % code)


@pytest.mark.parametrize("content_type", ["application/grpc", "application/json"])
def test_other_requests_pass_as_they_are(content_type: str) -> None:
    result = call(grpc(), content_type=content_type)

    assert result.request.headers["content-type"] == content_type
    assert (result.response.headers["content-type"], result.response.body) == ("application/grpc+proto", MESSAGE)


def test_trailers_become_the_last_frame_and_are_sent_only_there() -> None:
    trailers = Headers({"grpc-status": "0"})
    body = WebBody(is_text=False)

    assert body.feed(MESSAGE) + body.flush() + body.finish(trailers) == MESSAGE + OK
    assert trailers.items() == []


def test_in_the_text_form_each_message_can_be_read_when_nothing_follows_it_for_now() -> None:
    body = WebBody(is_text=True)

    first = body.feed(MESSAGE) + body.flush()
    rest = body.feed(MESSAGE) + body.finish(Headers({"grpc-status": "0"}))

    assert base64.b64decode(first) == MESSAGE
    assert base64.b64decode(rest) == MESSAGE + OK
