from __future__ import annotations

from typing import Any

import pytest
from gateway_core.config import ConfigModel
from gateway_core.config.models.base import Section
from gateway_core.config.secret import Secret
from gateway_core.regex import Pattern, SearchPattern
from pydantic import ValidationError, create_model


class Part(Section):
    count: int = 1


class Plugin(ConfigModel):
    count: int | None = 1


def test_known_key_of_a_section_with_nothing_after_it_counts_as_not_given() -> None:
    assert Part.model_validate({"count": None}).count == 1


def test_unknown_key_of_a_section_is_refused_even_then() -> None:
    with pytest.raises(ValidationError):
        Part.model_validate({"cuont": None})


def test_plugin_models_see_null_as_it_is() -> None:
    assert Plugin.model_validate({"count": None}).count is None


def test_models_do_not_change() -> None:
    with pytest.raises(ValidationError):
        Plugin().count = 2


@pytest.mark.parametrize("annotation", [Secret, Secret | None, Pattern, SearchPattern])
def test_a_text_is_no_default_of_a_secret_or_a_pattern(annotation: Any) -> None:
    with pytest.raises(TypeError, match=r"^the default of Options\.key is text: write \w+\(\.\.\.\)$"):
        create_model("Options", __base__=ConfigModel, key=(annotation, "abc"))
