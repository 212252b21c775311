from __future__ import annotations

from typing import Any

import pytest
from gateway_plugin_logger.bodies.capture import make_capture
from gateway_plugin_logger.bodies.text import TRUNCATED, MediaType
from gateway_plugin_logger.config.bodies import BodyOptions
from gateway_plugin_sdk import Record, Request, Response


def as_it_is(text: str, media_type: MediaType, is_cut: bool) -> str:
    return text


def answer_with(*pieces: bytes, status: int = 200, **fields: str) -> tuple[Request, Response, Any]:
    headers = {name.replace("_", "-"): value for name, value in fields.items()}
    return Request("GET", "/"), Response(status, b"", headers), pieces


def logged(options: BodyOptions, given: tuple[Request, Response, Any]) -> str | None:
    request, response, pieces = given
    capture = make_capture("response_body", options, "logger", as_it_is)
    capture.watch(request, response)
    assert all(spec.observe for spec in response.body_filters)
    observers = [spec.factory() for spec in response.body_filters]
    for piece in pieces:
        for observer in observers:
            observer.feed(piece)
    return capture.text(request, response, Record())


def test_the_pieces_of_a_body_become_one_text() -> None:
    assert logged(BodyOptions(), answer_with(b'{"a"', b":1}", content_type="application/json")) == '{"a":1}'


@pytest.mark.parametrize("pieces", [[b"123456"], [b"1234", b"56"], [b"123", b"4", b"56"]])
def test_no_more_than_the_limit_is_kept(pieces: list[bytes]) -> None:
    given = answer_with(*pieces, content_type="text/plain")

    assert logged(BodyOptions(max_bytes=4), given) == "1234" + TRUNCATED


def test_a_body_of_exactly_the_limit_is_whole() -> None:
    assert logged(BodyOptions(max_bytes=4), answer_with(b"1234", content_type="text/plain")) == "1234"


@pytest.mark.parametrize("kind", ["image/png", "", "application/octet-stream", "multipart/form-data; boundary=x"])
def test_bodies_of_other_types_are_not_touched(kind: str) -> None:
    request, response, _ = given = answer_with(b"x", content_type=kind)

    assert logged(BodyOptions(), given) is None
    assert not response.body_filters
    assert not request.state


def test_types_are_patterns_without_case() -> None:
    options = BodyOptions(content_types=("application/vnd.*",))

    assert logged(options, answer_with(b"x", content_type="Application/VND.acme; v=1")) == "x"
    assert logged(BodyOptions(content_types=()), answer_with(b"x", content_type="text/plain")) is None


def test_a_body_is_said_only_of_requests_for_which_the_condition_holds() -> None:
    options = BodyOptions(when="status >= 400")

    assert logged(options, answer_with(b"x", content_type="text/plain")) is None
    assert logged(options, answer_with(b"x", status=500, content_type="text/plain")) == "x"


def test_an_empty_body_is_none() -> None:
    assert logged(BodyOptions(), answer_with(content_type="text/plain")) is None
