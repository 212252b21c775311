from __future__ import annotations

from typing import Any

import pytest
from gateway_plugin_auth.config import ApiKeyEntry, ApiKeyProvider
from gateway_plugin_sdk import Secret
from pydantic import ValidationError


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        ({"subject": "a"}, "the key of 'a' is given by exactly one of key and sha256"),
        ({"subject": "a", "key": "k", "sha256": "0" * 64}, "exactly one of"),
        ({"subject": "a", "sha256": "0" * 63}, "sha256"),
        ({"subject": "", "key": "k"}, "subject"),
        ({"subject": "a", "key": ""}, "key"),
        (
            {"subject": "a", "key": "k", "expires": "soon"},
            "'soon' is not a time: write for example 2030-01-31T00:00:00Z",
        ),
        ({"subject": "a", "key": "k", "expires": "2030-01-31T00:00:00"}, "has no zone: end it with Z or an offset"),
    ],
)
def test_entries_that_are_no_keys(entry: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        ApiKeyEntry.model_validate(entry)


def test_a_time_is_a_moment() -> None:
    entries = [
        ApiKeyEntry(subject="a", key=Secret("k"), expires=text)
        for text in ("1970-01-01T01:00:00+01:00", "1970-01-01T00:00:00Z")
    ]

    assert [entry.expires_at() for entry in entries] == [0, 0]
    assert ApiKeyEntry(subject="a", key=Secret("k")).expires_at() is None


def test_a_key_and_its_hash_are_the_same_key() -> None:
    digest = ApiKeyEntry(subject="a", key=Secret("k")).digest().hex()

    assert ApiKeyEntry(subject="a", sha256=digest).digest() == ApiKeyEntry(subject="a", key=Secret("k")).digest()
    with pytest.raises(ValidationError, match="'a' and 'b' have the same key"):
        ApiKeyProvider.model_validate(
            {"scheme": "api-key", "keys": [{"subject": "a", "key": "k"}, {"subject": "b", "sha256": digest}]}
        )


def test_a_provider_has_keys() -> None:
    with pytest.raises(ValidationError, match="there are no keys: give keys or keys_file"):
        ApiKeyProvider.model_validate({"scheme": "api-key"})


def test_an_id_is_one_keys() -> None:
    keys = [{"subject": "a", "id": "i", "key": "k"}, {"subject": "a", "id": "i", "key": "l"}]

    with pytest.raises(ValidationError, match="two keys have the id 'i'"):
        ApiKeyProvider.model_validate({"scheme": "api-key", "keys": keys})


def test_a_key_without_an_id_is_called_by_the_beginning_of_its_hash() -> None:
    assert ApiKeyEntry(subject="a", sha256="0123456789abcdef" * 4).shown_id() == "sha256:0123456789ab"
    assert ApiKeyEntry(subject="a", sha256="0" * 64, id="i").shown_id() == "i"
