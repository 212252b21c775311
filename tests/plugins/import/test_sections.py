"""What no importer asks for is known at the end, and what has another type is a failure with its line."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from gateway_import.failures import CannotImportError
from gateway_import.files import SourceText
from gateway_import.nodes import read_nodes
from gateway_import.sections import Section


def section(text: str) -> Section:
    return Section(read_nodes(SourceText("f", text)), "service 'users'")


def test_what_was_not_read_is_left() -> None:
    read = section("name: a\nport: 80\nid: 7\nextra: {x: 1}\nnothing: null\n")

    assert (read.text("name"), read.integer("port"), read.text("missing")) == ("a", 80, None)
    read.ignore("id")

    assert [(key, str(node.origin)) for key, node in read.rest()] == [("extra", "f:4")]


def test_null_is_no_key() -> None:
    read = section("a: null\nb: 1\n")

    assert ("a" in read, "b" in read, read.names()) == (False, True, ["b"])


def test_values_are_read_as_they_may_be_written() -> None:
    read = section("a: yes\nb: off\nc: true\nd: '12'\ne: 1.0\nf: x\ng: [x, 2]\nh: {k: 1, l: true}\n")

    assert (read.boolean("a"), read.boolean("b"), read.boolean("c")) == (True, False, True)
    assert (read.number("d"), read.integer("e"), read.texts("f"), read.texts("g")) == (12, 1, ["x"], ["x", "2"])
    assert section("a: [1, '2', 3.0]").integers("a") == [1, 2, 3]
    assert (read.texts_by_key("h"), read.texts("missing"), read.sections("missing")) == (
        {"k": "1", "l": "true"},
        [],
        [],
    )


@pytest.mark.parametrize(
    ("take", "message"),
    [
        (lambda read: read.text("list"), "f:1: 'list' of service 'users' must be a text, not a list"),
        (lambda read: read.texts("deep"), "f:2: 'deep' of service 'users' must be a text, not a mapping"),
        (lambda read: read.boolean("word"), "f:3: 'word' of service 'users' must be true or false, not a text"),
        (lambda read: read.number("word"), "f:3: 'word' of service 'users' must be a number of usual size, not a text"),
        (lambda read: read.integer("half"), "f:4: 'half' of service 'users' must be a whole number, not a number"),
        (
            lambda read: read.integers("deep"),
            "f:2: 'deep' of service 'users' must be a number of usual size, not a mapping",
        ),
        (lambda read: read.section("word"), "f:3: 'word' of service 'users' must be a mapping, not a text"),
        (lambda read: read.sections("word"), "f:3: 'word' of service 'users' must be a list, not a text"),
        (
            lambda read: read.sections("list"),
            "f:1: an entry of 'list' of service 'users' must be a mapping, not a number",
        ),
    ],
)
def test_another_type_is_a_failure_with_its_line(take: Callable[[Section], object], message: str) -> None:
    read = section("list: [1]\ndeep: [{a: 1}]\nword: maybe\nhalf: 1.5\n")

    with pytest.raises(CannotImportError) as failure:
        take(read)

    assert str(failure.value) == message
