from __future__ import annotations

import pytest
from gateway_tokens.fetch import FetchOptions
from pydantic import ValidationError


def test_defaults_are_those_that_the_readme_tells() -> None:
    options = FetchOptions()

    assert (options.timeout, options.refresh, options.cooldown, options.stale_for) == (5, 900, 30, 86400)


def test_a_key_needs_its_certificate() -> None:
    with pytest.raises(ValidationError, match="key is given without cert: give both"):
        FetchOptions.model_validate({"key": __file__})
    assert FetchOptions.model_validate({"cert": __file__}).key is None


@pytest.mark.parametrize("proxy", ["socks5://proxy:1080", "proxy:3128", "http://", "http://a b:3128"])
def test_a_proxy_has_a_url(proxy: str) -> None:
    with pytest.raises(ValidationError, match="is not the URL of an HTTP proxy"):
        FetchOptions.model_validate({"proxy": proxy})
