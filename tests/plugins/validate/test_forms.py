from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from gateway_plugin_validate.bodies import Bodies
from gateway_plugin_validate.files import Files
from gateway_plugin_validate.schemas import Schemas

FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data"
SCHEMA = {
    "type": "object",
    "required": ["name"],
    "additionalProperties": False,
    "properties": {
        "name": {"type": "string", "maxLength": 5},
        "age": {"type": "integer"},
        "tags": {"type": "array", "items": {"type": "integer"}},
        "address": {"type": "object", "properties": {"zip": {"type": "integer"}}},
        "photo": {"type": "string", "format": "binary", "maxLength": 4},
    },
}


def keywords(kind: str, data: bytes, content_type: str | None = None, **encoding: Any) -> list[tuple[str, str]]:
    files = Files(Path("api.yaml"), {})
    node = {"content": {kind: {"schema": SCHEMA, "encoding": encoding}}}
    found = Bodies(Schemas(files, "3.1"), node, files.main, "request").find(content_type or kind)
    assert found is not None
    content, sent = found
    return [(each.pointer, each.keyword) for each in content.failures(data, sent)]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"name=Rex&age=3&tags=1&tags=2", []),
        (b"name=R%C3%A9x&address=%7B%22zip%22:1%7D", []),
        (b"age=3", [("#", "required")]),
        (b"name=Rex&age=x&tags=a", [("#/age", "type"), ("#/tags/0", "type")]),
        (b"name=Rex&name=Tom", [("#/name", "repeated")]),
        (b"name=Rex&more=1", [("#", "additionalProperties")]),
        (b"name=%ff", [("#", "syntax")]),
        (b"name=Rex&address=x", [("#/address", "syntax")]),
        (b"a&" * 1000, [("#", "syntax")]),
    ],
)
def test_a_form_is_an_object_of_its_fields(data: bytes, expected: list[tuple[str, str]]) -> None:
    assert keywords(FORM, data) == expected


def test_a_list_of_a_form_may_be_one_field() -> None:
    assert keywords(FORM, b"name=Rex&tags=1,2", tags={"explode": False}) == []
    assert keywords(FORM, b"name=Rex&tags=1,2") == [("#/tags/0", "type")]


def part(name: str, value: bytes, more: str = "", kind: str = "") -> bytes:
    line = f"Content-Type: {kind}\r\n" if kind else ""
    return f'--b\r\nContent-Disposition: form-data; name="{name}"{more}\r\n{line}\r\n'.encode() + value + b"\r\n"


NAME = part("name", b"Rex")


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (NAME + part("age", b"3"), []),
        (NAME + part("tags", b"1") + part("tags", b"2"), []),
        (NAME + part("address", b'{"zip": 1}', kind="application/json"), []),
        (NAME + part("photo", b"\xff\xfe\x00", '; filename="a.png"', "image/png"), []),
        (NAME + part("photo", b"\xff" * 5, '; filename="a.png"', "image/png"), [("#/photo", "maxLength")]),
        (NAME + part("photo", b"\xff", '; filename="a"', "text/html"), [("#/photo", "contentType")]),
        (NAME + part("address", b"{", kind="application/json"), [("#/address", "syntax")]),
        (NAME + NAME, [("#/name", "repeated")]),
        (part("name", b"\xff"), [("#/name", "syntax")]),
        (part("name", b"a", kind="text/plain; charset=utf-16"), [("#/name", "charset")]),
        (part("age", b"3"), [("#", "required")]),
        (b"", [("#", "syntax")]),
        (b"nothing", [("#", "syntax")]),
        (NAME.replace(b"\r\n", b"\n"), [("#", "syntax")]),
        (part("tags", b"1") * 1001, [("#", "syntax")]),
    ],
)
def test_multipart_is_an_object_of_its_parts(data: bytes, expected: list[tuple[str, str]]) -> None:
    end = b"--b--\r\n" if data and data != b"nothing" else b""

    found = keywords(MULTIPART, data + end, f"{MULTIPART}; boundary=b", photo={"contentType": "image/png, image/*"})

    assert found == expected


DISPOSITION = b'Content-Disposition: form-data; name="name"'


@pytest.mark.parametrize(
    "head",
    [
        b'Content-Disposition: form-data; name="other"; name="name"',
        b'Content-Disposition: form-data; name="name"; NAME=other',
        b"Content-Disposition: form-data; name=\"name\"; name*=utf-8''other",
        b"Content-Disposition: form-data; name=\"name\"; filename*=utf-8''a.png",
        DISPOSITION + b'; "',
        DISPOSITION + b'\r\nContent-Disposition: form-data; name="other"',
        DISPOSITION + b"\r\nContent-Type: text/plain\r\nContent-Type: application/json",
        DISPOSITION + b"\r\nContent-Transfer-Encoding: base64",
        DISPOSITION + b"\r\nContent-Transfer-Encoding: quoted-printable",
        b'Content-Disposition: attachment; name="name"',
        b"Content-Disposition: form-data",
        b"Content-Type: text/plain",
    ],
)
def test_a_part_that_readers_may_take_differently_is_an_error(head: bytes) -> None:
    data = b"--b\r\n" + head + b"\r\n\r\nRex\r\n"

    assert keywords(MULTIPART, NAME + data + b"--b--\r\n", f"{MULTIPART}; boundary=b") == [("#", "syntax")]


@pytest.mark.parametrize("more", [b"\r\nContent-Transfer-Encoding: 8bit", b"; x=y", b"\r\nX-Own: a"])
def test_a_part_may_have_what_changes_nothing(more: bytes) -> None:
    data = b"--b\r\n" + DISPOSITION + more + b"\r\n\r\nRex\r\n--b--\r\n"

    assert keywords(MULTIPART, data, f"{MULTIPART}; boundary=b") == []


@pytest.mark.parametrize("content_type", [MULTIPART, f"{MULTIPART}; boundary={'b' * 71}"])
def test_multipart_without_a_sound_boundary_is_an_error(content_type: str) -> None:
    assert keywords(MULTIPART, NAME + b"--b--", content_type) == [("#", "syntax")]


def test_text_is_a_value_of_its_schema() -> None:
    files = Files(Path("api.yaml"), {})
    node = {"content": {"text/plain": {"schema": {"type": "integer"}}}}
    found = Bodies(Schemas(files, "3.1"), node, files.main, "request").find("text/plain")
    assert found is not None
    content, sent = found

    assert [[each.keyword for each in content.failures(data, sent)] for data in (b"7", b"x", b"\xff")] == [
        [],
        ["type"],
        ["syntax"],
    ]


def test_media_types_that_clients_make_up_fill_no_memory() -> None:
    files = Files(Path("api.yaml"), {})
    bodies = Bodies(Schemas(files, "3.1"), {"content": {"text/*": {}}}, files.main, "request")

    for index in range(100):
        assert bodies.find(f"text/x{index}") is bodies.find(f"text/x{index}")
    assert bodies.find("text/x" + "y" * 100) is not None
    assert bodies.find("image/png") is None

    assert len(bodies._found) <= 16
