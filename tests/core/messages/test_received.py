from __future__ import annotations

from collections.abc import Callable

import pytest
from gateway_core.messages import FieldNames, Headers

from tests.core.messages.test_request import make


@pytest.mark.parametrize("name", ["method", "target", "headers"])
def test_the_received_head_cannot_be_changed(name: str) -> None:
    request = make("/a?b", "Host: a")

    with pytest.raises(TypeError, match="read-only"):
        setattr(request.received, name, "other")
    with pytest.raises(TypeError, match="read-only"):
        delattr(request.received, name)
    request.method, request.headers["Host"] = "POST", "b"

    assert (request.received.method, request.received.target) == ("GET", "/a?b")
    assert request.received.headers["host"] == "a"


@pytest.mark.parametrize("line", ["Origin: https://a", "ORIGIN:https://a ", "origin:\thttps://a"])
def test_the_first_value_of_a_field_is_the_one_that_was_sent(line: str) -> None:
    request = make("/cb?code=1", "Host: a", line, "Origin: https://b")
    request.headers.remove("origin")
    request.forget_query()

    assert request.received.first_value("Origin") == b"https://a"
    assert request.received.first_value("Referer") is None


@pytest.mark.parametrize(
    "change",
    [
        lambda headers: headers.add("A", "1"),
        lambda headers: headers.extend({"A": "1"}),
        lambda headers: headers.remove("Host"),
        lambda headers: headers.remove_any(FieldNames(["host"])),
        lambda headers: headers.pop("Host"),
        lambda headers: headers.setdefault("A", "1"),
        lambda headers: headers.__setitem__("A", "1"),
        lambda headers: headers.__delitem__("Host"),
    ],
)
def test_received_headers_cannot_be_changed_but_copied(change: Callable[[Headers], object]) -> None:
    received = make("/", "Host: a").received

    with pytest.raises(TypeError, match="read-only"):
        change(received.headers)
    copied = received.headers.copy()
    change(copied)

    assert received.headers.items() == [("Host", "a")]
    assert copied.items() != [("Host", "a")] or "A" not in copied
