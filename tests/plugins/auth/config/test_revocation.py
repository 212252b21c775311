from __future__ import annotations

import pytest
from gateway_plugin_auth.config import CacheOptions
from pydantic import ValidationError


def test_defaults_are_those_that_the_readme_tells() -> None:
    assert (CacheOptions().size, CacheOptions().max_age) == (10_000, 300)


def test_a_cache_has_a_bound() -> None:
    with pytest.raises(ValidationError):
        CacheOptions(size=-1)
    with pytest.raises(ValidationError):
        CacheOptions(size=1_000_001)
