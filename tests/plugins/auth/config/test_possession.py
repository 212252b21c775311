from __future__ import annotations

from typing import Any

import pytest
from gateway_plugin_auth.config import AuthConfig
from pydantic import ValidationError

from tests.plugins.auth.conftest import SECRET


def config(**options: Any) -> AuthConfig:
    return AuthConfig.model_validate({"secret": SECRET, **options})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dpop": {"algorithms": ["HS256"]}}, "algorithms"), ({"dpop": {"algorithms": []}}, "at least 1"),
        ({"dpop": {"max_age": "0s"}}, "greater than or equal to 1"), ({"dpop": {"max_age": "2h"}}, "3600"),
        ({"dpop": {"origin": "api.example.com"}}, "is not where clients see the gateway"),
        ({"dpop": {"origin": "https://api.example.com/?a"}}, "is not where clients see the gateway"),
        ({"dpop": {"origin": "https://api.example.com/a/"}}, "without a slash at the end"),
        ({"dpop": {"valkey": {"url": "http://a"}}}, "is not that of a server"),
        ({"mtls": {"certificate_header": "X-Cert"}}, "Client-Cert"),
        ({"step_up": {}}, "give acr_values or max_age"), ({"step_up": {"acr_values": ['"']}}, "pattern"),
        ({"dpop": {"nonces": True}}, "nonces"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        config(**options)


@pytest.mark.parametrize(
    "origin", ["https://API.example.com", "https://api.example.com/", "https://api.example.com:443"]
)
def test_an_origin_is_kept_in_one_form(origin: str) -> None:
    found = config(dpop={"origin": origin}).dpop

    assert found is not None
    assert found.origin == "https://api.example.com"


def test_by_default_every_asymmetric_algorithm_is_accepted_and_no_secret_one() -> None:
    found = config(dpop={}).dpop

    assert found is not None
    assert {"ES256", "RS256", "PS256", "EdDSA"} < set(found.algorithms)
    assert not [name for name in found.algorithms if name.startswith("HS")]
