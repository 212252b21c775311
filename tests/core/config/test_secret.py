from __future__ import annotations

import copy
import json
import logging
import pickle
import traceback
from typing import Annotated, Any

import pytest
from gateway_core.config import ConfigModel, Secret, SecretUrl
from gateway_core.config.redaction import schema_secret_paths
from gateway_core.config.values import CANONICAL
from hypothesis import given
from hypothesis import strategies as st
from pydantic import AfterValidator, Field, ValidationError


class Options(ConfigModel):
    password: Secret
    spare: Annotated[Secret, Field(min_length=8)] | None = None
    headers: dict[str, Secret] = {}
    url: SecretUrl = SecretUrl("redis://:default-password@host")
    token: Secret = Secret("default-token")


@given(st.text().map(lambda text: f"Qq{text}"))
def test_only_reveal_shows_a_secret(text: str) -> None:
    secret = Secret(text)

    shown = [str(secret), repr(secret), f"{secret}", f"{secret!r:>40}", repr([secret])]
    shown += [json.dumps({"a": secret}, default=str), str(Options.model_construct(password=secret))]

    assert [each for each in shown if text in each] == []
    assert secret.reveal() == text


def test_an_empty_secret_is_false_and_shows_as_empty() -> None:
    assert not Secret("")
    assert str(Secret("")) == ""
    assert Secret("a")


def test_secrets_compare_by_value_and_type() -> None:
    assert Secret("ä") == Secret("ä")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert SecretUrl("a") != Secret("a") or hash(SecretUrl("a")) != hash(Secret("a"))
    assert len({Secret("a"), Secret("a"), Secret("b")}) == 2


def test_copies_keep_the_value() -> None:
    secret = SecretUrl("redis://:pw@host")

    assert copy.deepcopy(secret) == secret
    assert pickle.loads(pickle.dumps(secret)).reveal() == "redis://:pw@host"


def test_a_url_is_shown_without_its_credentials() -> None:
    assert str(SecretUrl("https://user:pw@host/path")) == "https://**********@host/path"
    assert repr(SecretUrl("https://host/path")) == "SecretUrl('https://host/path')"


def test_dumps_for_people_hide_and_the_canonical_form_carries_the_value() -> None:
    options = Options.model_validate({"password": "hunter2", "headers": {"authorization": "Bearer hunter2"}})

    assert "hunter2" not in options.model_dump_json()
    assert "hunter2" not in str(options.model_dump())
    canonical = options.model_dump(mode="json", context=CANONICAL)
    assert canonical["password"] == "hunter2"
    assert canonical["url"] == "redis://:default-password@host"
    assert Options.model_validate(json.loads(json.dumps(canonical)), context=CANONICAL) == options


def test_the_schema_marks_the_places_and_hides_defaults() -> None:
    schema = Options.model_json_schema()

    assert schema_secret_paths(schema) == {"password", "spare", "headers.*", "token"}
    assert schema["properties"]["url"]["x-may-hold-userinfo"] is True
    assert "default-" not in json.dumps(schema)


@pytest.mark.parametrize("value", [5, True, ["x"], {"a": "b"}, None])
def test_a_secret_is_a_text(value: Any) -> None:
    with pytest.raises(ValidationError) as caught:
        Options.model_validate({"password": value})

    assert caught.value.errors()[0]["type"] == "string_type"


def test_constraints_and_checks_see_the_value_and_errors_do_not_show_it(caplog: pytest.LogCaptureFixture) -> None:
    def refuse(_value: str) -> None:
        raise ValueError("the value is refused")

    class Checked(ConfigModel):
        password: Annotated[Secret, AfterValidator(Secret.checked(refuse))]

    for model, value in ((Options, {"password": "hunter2", "spare": "hunter2"}), (Checked, {"password": "hunter2"})):
        with pytest.raises(ValidationError) as caught:
            model.model_validate(value)
        logging.getLogger("gateway").error("refused", exc_info=caught.value)
        assert "hunter2" not in "".join(traceback.format_exception(caught.value))
    assert "hunter2" not in caplog.text
