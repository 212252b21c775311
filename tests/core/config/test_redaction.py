from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from weakref import WeakSet

import pytest
from gateway_core.config.redaction import (
    HIDDEN,
    all_marked_paths,
    is_at_secret,
    is_marked_secret,
    marked_paths,
    masked,
    masked_line,
    masked_words,
    once_for_each_schema,
    schema_secret_paths,
    secret_texts,
    without_credentials,
)
from gateway_core.config.suggestions import quote
from gateway_core.packages import PluginRegistry
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, SecretStr


class Provider(BaseModel):
    name: str
    key: SecretStr


class Config(BaseModel):
    secret: SecretStr | None = None
    providers: list[Provider] = []
    by_name: dict[str, SecretStr] = {}


def test_secrets_of_pydantic_models_are_found_through_references() -> None:
    assert schema_secret_paths(Config.model_json_schema()) == {"secret", "providers.*.key", "by_name.*"}


def test_a_secret_is_found_in_a_model_within_models_within_a_mapping() -> None:
    def optional(name: str) -> dict[str, object]:
        return {"anyOf": [{"$ref": f"#/$defs/{name}"}, {"type": "null"}]}

    schema = {
        "properties": {"providers": {"additionalProperties": {"oneOf": [{"$ref": "#/$defs/Provider"}]}}},
        "$defs": {
            "Provider": {"properties": {"dpop": optional("Dpop")}},
            "Dpop": {"properties": {"server": optional("Server")}},
            "Server": {"properties": {"tls": optional("Tls")}},
            "Tls": {"properties": {"password": {"anyOf": [{"type": "string", "writeOnly": True}, {"type": "null"}]}}},
        },
    }  # fmt: skip

    assert schema_secret_paths(schema) == {"providers.*.dpop.server.tls.password"}


def test_recursive_schemas_end() -> None:
    schema = {
        "$ref": "#/$defs/n",
        "$defs": {"n": {"properties": {"next": {"$ref": "#/$defs/n"}, "s": {"writeOnly": True}}}},
    }

    assert "next.s" in schema_secret_paths(schema)


def test_texts_at_secret_paths() -> None:
    value = {
        "secret": "one",
        "providers": [{"name": "x", "key": "two"}],
        "by_name": {"a": ["three", 4, None, {"b": "five"}]},
    }

    assert list(secret_texts(value, ["secret", "providers.*.key", "by_name.*", "missing.x"])) == [
        "one",
        "two",
        "three",
        "4",
        "five",
    ]


def test_masks_keep_columns_and_spare_very_short_texts() -> None:
    assert masked("a: hunter2, b: no", ["hunter2", "no"]) == "a: *******, b: no"
    assert masked("first of two", ["first\nsecond"]) == "***** of two"


def test_marks_of_secrets() -> None:
    assert is_marked_secret({"writeOnly": True})
    assert is_marked_secret({"format": "password"})
    assert not is_marked_secret({"format": "uri"})
    assert not is_marked_secret(None)


def test_secrets_are_found_behind_patterns_tuples_conditions_and_dotted_keys() -> None:
    secret = {"type": "string", "writeOnly": True}
    schema = {
        "properties": {"a.b": secret, "pair": {"prefixItems": [{}, secret]}},
        "patternProperties": {"^x-": {"properties": {"deep": secret}}},
        "then": {"properties": {"later": {"$ref": "#/definitions/one~1two"}}},
        "definitions": {"one/two": secret},
    }

    assert schema_secret_paths(schema) == {"*", "pair.*", "*.deep", "later"}


def test_steps_that_name_an_alternative_of_a_union_hide_no_secret_place() -> None:
    places = [("providers", "*", "secret")]

    assert is_at_secret(places, ["providers", "0", "secret"])
    assert is_at_secret(places, ["providers", "0", "jwt", "secret", "str"])
    assert not is_at_secret(places, ["providers", "0", "name"])


def test_references_say_where_a_secret_is_and_are_shown() -> None:
    assert list(secret_texts({"a": "${TOKEN}", "b": "x${TOKEN}"}, ["a", "b"])) == ["x${TOKEN}"]
    assert masked_line("secret: ${file:/run/secret}") == "secret: ${file:/run/secret}"
    assert masked_line('- {token: "${TOKEN}", id: x}') == '- {token: "${TOKEN}", id: x}'


def test_a_message_shows_no_secret_and_short_ones_spare_other_words() -> None:
    assert masked_words("'hunter2' is no key", ["hunter2"]) == "'**********' is no key"
    assert masked_words("xyz: redis is not reached", ["red"]) == "xyz: redis is not reached"
    assert masked_words("in-a-very-long-secret-text", ["very-long-secret"]) == "in-a-**********-text"


@pytest.mark.parametrize(
    "secret",
    ["hunter2hunter2\n", 'hunter2"\\hunter2', "\x01hunter2-hunter2", "hunter2'hunter2\"", "hunter2" * 40],
)
@pytest.mark.parametrize("write", [quote, repr, lambda secret: repr(secret[:80]), lambda secret: f"{secret[:20]}..."])
def test_a_message_shows_no_secret_with_escapes_and_no_part_of_one_that_is_cut_off(
    secret: str, write: Callable[[str], str]
) -> None:
    message = masked_words(f"{write(secret)} is no key", [secret])

    assert "**********" in message
    assert "hunter2" not in message
    assert message.endswith(" is no key")


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("  password: hunter2  # mine", "  password: *******  # mine"),
        ('{name: x, client_secret: "hunter2, x", id: y}', '{name: x, client_secret: "*******, *", id: y}'),
        ("api-key = 'hunter2'", "api-key = '*******'"),
        ("tokens: [one, two]", "tokens: [***, ***]"),
        ("- secret: *hunter2", "- secret: ********"),
        ("password: !hunter}2,3 # mine", "password: *********,* # mine"),
        ("token: {hunter2", "token: ********"),
        ("token: ${A}hunter2", "token: ***********"),
        ("secret: 'it''s'", "secret: '**''*'"),
        ("{token: @hunter2, id: x}", "{token: ********, id: x}"),
        ("Authorization: Bearer hunter2", "Authorization: ****** *******"),
        ('"sentinel_password": "a"', '"sentinel_password": "*"'),
        ("url: redis://:hunter2@host/0", "url: redis://********@host/0"),
        ("token_file: /run/token", "token_file: /run/token"),
        ("secret_format: hex", "secret_format: hex"),
        ("token: {from: header}", "token: {from: header}"),
        ("key: client_ip", "key: client_ip"),
    ],
)
def test_lines_of_which_no_schema_is_known_hide_what_is_named_like_a_secret(line: str, shown: str) -> None:
    assert masked_line(line) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("redis://:hunter2@10.0.0.1/0", f"redis://{HIDDEN}@10.0.0.1/0"),
        ("https://user:pw@host/path?x=1", f"https://{HIDDEN}@host/path?x=1"),
        ("redis://user@host", f"redis://{HIDDEN}@host"),
        ("redis://:p@ss@host", f"redis://{HIDDEN}@host"),
        ("redis://:a/b@host:1/0", f"redis://{HIDDEN}@host:1/0"),
        ("https://host/in?token=abc&y=1", f"https://host/in?token={HIDDEN}&y=1"),
        ("unix:///run/redis?password=abc", f"unix:///run/redis?password={HIDDEN}"),
        ('no "https://u:p@h" and x://a:b@c', f'no "https://{HIDDEN}@h" and x://{HIDDEN}@c'),
    ],
)
def test_credentials_of_urls_are_hidden_in_any_text(text: str, shown: str) -> None:
    assert without_credentials(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "",
        "plain: text@example.com",
        "https://host/users/@me",
        "http://[::1]:80/@x",
        "http://host:8080/a@b",
        "unix:///a@b",
    ],
)
def test_texts_without_credentials_stay_as_they_are(text: str) -> None:
    assert without_credentials(text) == text


_WORD = st.text("abcXYZ019-._~%!$&()*+,;=:@", min_size=1, max_size=20).map(lambda text: f"Qq{text}qQ")


@given(_WORD, st.sampled_from(["host", "10.0.0.1:6379", "[::1]:80"]), st.sampled_from(["", "/", "/a?b#c"]))
def test_no_password_is_ever_shown(password: str, host: str, rest: str) -> None:
    text = f"cannot reach redis://user:{password}@{host}{rest} now"

    assert without_credentials(text).count("Qq") == 0
    kept = without_credentials(text, keep_length=True)
    assert len(kept) == len(text)
    assert "Qq" not in kept


@pytest.mark.parametrize("plugin", ["auth", "authorize", "logger", "oidc"])
def test_one_walk_finds_the_paths_of_every_mark(plugin: str) -> None:
    description = PluginRegistry().describe(plugin)
    assert description is not None

    found = all_marked_paths(description.schema)

    assert found
    assert found == {key: marked_paths(description.schema, key) for key in found}
    assert not marked_paths(description.schema, "x-nothing")


def test_what_is_found_in_a_schema_is_remembered_for_this_one_and_not_for_one_like_it() -> None:
    walked = []

    @once_for_each_schema
    def find(schema: Mapping[str, Any]) -> int:
        walked.append(schema)
        return len(walked)

    one, like_it = {"type": "object"}, {"type": "object"}

    assert [find(one), find(like_it), find(one), find(like_it)] == [1, 2, 1, 2]


def test_the_schemas_that_are_remembered_are_bounded() -> None:
    find = once_for_each_schema(len)
    alive: WeakSet[Schema] = WeakSet()
    for _ in range(1000):
        schema = Schema()
        alive.add(schema)
        find(schema)

    assert 1 < len(alive) < 100


class Schema(dict[str, Any]):
    """A mapping that a weak reference may be to."""

    __hash__ = object.__hash__  # type: ignore[assignment]  # a set of weak references needs one
