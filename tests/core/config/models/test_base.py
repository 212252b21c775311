from __future__ import annotations

import pytest
from gateway_core.config import ConfigModel
from gateway_core.config.models.base import Section
from pydantic import ValidationError


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
