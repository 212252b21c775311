from __future__ import annotations

import base64
import json

import pytest
from gateway_plugin_consul.documents import KeysError, documents_of
from gateway_plugin_sdk import DocumentFormat
from hypothesis import given
from hypothesis import strategies as st


def body(**values: bytes | None) -> bytes:
    entries = [
        {"Key": key, "Value": None if value is None else base64.b64encode(value).decode()}
        for key, value in values.items()
    ]
    return json.dumps(entries).encode()


def test_documents_are_ordered_by_key_and_have_the_format_of_their_key() -> None:
    keys = {
        "gateway/z.yml": b"z",
        "gateway/a/b.toml": b"",
        "gateway/ca.pem": b"no document",
        "gateway/": None,
        "gateway2": b"no",
        "gateway": b"g",
        "gateway/empty.json": None,
    }

    found = documents_of(body(**keys), "gateway", "consul://host")

    assert [(each.name, each.text, each.format) for each in found] == [
        ("consul://host/gateway", "g", DocumentFormat.YAML),
        ("consul://host/gateway/a/b.toml", "", DocumentFormat.TOML),
        ("consul://host/gateway/empty.json", "", DocumentFormat.JSON),
        ("consul://host/gateway/z.yml", "z", DocumentFormat.YAML),
    ]


def test_without_a_prefix_every_key_is_wanted() -> None:
    assert [each.name for each in documents_of(body(a=b"", b=b""), "", "consul://h")] == [
        "consul://h/a",
        "consul://h/b",
    ]


def test_nothing_is_no_documents() -> None:
    assert documents_of(b"", "gateway", "consul://h") == ()


@pytest.mark.parametrize("text", [b"{}", b"[", b'"x"', b"null", b"[1]", b"[{}]", b'[{"Key": 1}]'])
def test_an_answer_that_is_no_list_is_refused(text: bytes) -> None:
    with pytest.raises(KeysError, match="no list of keys"):
        documents_of(text, "", "consul://h")


def test_a_value_that_is_no_text_is_refused_by_its_key() -> None:
    with pytest.raises(KeysError, match="'gateway/a' is not UTF-8"):
        documents_of(body(**{"gateway/a": b"\xff"}), "gateway", "consul://h")


@given(
    st.lists(
        st.none() | st.dictionaries(st.sampled_from(["Key", "Value"]), st.none() | st.integers()),
        min_size=1, max_size=4,
    )
)  # fmt: skip
def test_a_list_of_anything_else_is_refused_rather_than_taken_for_no_documents(entries: list[object]) -> None:
    with pytest.raises(KeysError, match="no list of keys"):
        documents_of(json.dumps(entries).encode(), "gateway", "consul://h")
