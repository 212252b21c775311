from __future__ import annotations

from typing import Any

import pytest
from gateway_plugin_auth.config import AuthConfig
from gateway_plugin_auth.outcomes import verified
from gateway_plugin_auth.providers import make_provider


@pytest.mark.parametrize(
    ("config", "challenge"),
    [
        ({"secret": "s" * 32}, "Bearer"),
        ({"providers": {"a": {"scheme": "api-key", "keys": [{"subject": "a", "key": "k"}]}}}, "ApiKey"),
        ({"providers": {"a": {"scheme": "basic", "users_file": "f"}}}, "Basic"),
        ({"providers": {"a": {"scheme": "jwt", "secret": "s" * 32, "payload_header": "X-P"}}}, "Bearer"),
    ],
)
async def test_every_scheme_is_a_provider(context: Any, config: dict[str, Any], challenge: str) -> None:
    (options,) = AuthConfig.model_validate(config).provider_configs().values()

    provider = make_provider(options, context)

    assert provider.challenges == (challenge,)
    assert list(provider.header_names) == ([] if "payload_header" not in str(config) else ["X-P"])
    await provider.stop()


def test_nobody_can_change_what_is_said_of_a_caller() -> None:
    claims = {"sub": "alice"}
    caller = verified("alice", "jwt", claims)
    claims["sub"] = "bob"

    with pytest.raises(TypeError):
        caller.identity.claims["sub"] = "bob"  # type: ignore[index]
    assert caller.identity.claims == {"sub": "alice"}
