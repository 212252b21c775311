from __future__ import annotations

from collections.abc import Callable

from gateway_core.messages import FieldBlock, Response
from gateway_core.messages.response_lines import added_lines, lines_of_hooks, response_block

CAME = b"\r\nA: 1"
ADDED = FieldBlock({"B": "2"})


def streamed() -> Response:
    return Response.streamed(200, "OK", CAME, (b"\r\nVia: 1.1 gw", b"\r\nX-Request-Id: 7\r\n\r\n"), CAME.lower())


def added_to(change: Callable[[Response], object], are_gateways: bool = False) -> bytes | None:
    response = streamed()
    change(response)
    return added_lines(response, 200, response.reason, lambda _: are_gateways)


def test_what_hooks_add_behind_the_fields_that_came_is_told_from_other_changes() -> None:
    assert added_to(lambda response: response.headers) == b""
    assert added_to(lambda response: response.headers.add("B", "2")) == b"\r\nB: 2"
    assert added_to(lambda response: response.add_fields(ADDED)) == b"\r\nB: 2"
    assert added_to(lambda response: response.headers.remove("A")) is None
    assert added_to(lambda response: setattr(response, "status", 201)) is None
    assert added_to(lambda response: setattr(response, "body", b"other")) is None


def test_lines_that_only_the_gateway_may_write_are_no_addition() -> None:
    assert added_to(lambda response: response.headers.add("Content-Length", "2"), are_gateways=True) is None


def test_the_block_has_what_came_what_the_gateway_adds_and_what_hooks_add() -> None:
    whole = CAME + b"\r\nVia: 1.1 gw\r\nX-Request-Id: 7"
    untouched, quick, general = streamed(), streamed(), streamed()
    quick.add_fields(ADDED)
    general.headers.extend(ADDED)

    assert response_block(untouched) == whole
    assert response_block(quick) == response_block(general) == whole + b"\r\nB: 2"
    assert lines_of_hooks(untouched) == b""
    assert lines_of_hooks(quick) == lines_of_hooks(general) == b"\r\nB: 2"
