from __future__ import annotations

from typing import Any

import pytest
from gateway_core.config import AdminConfig, GatewayConfig
from pydantic import ValidationError

HASH = f"sha256:{'0' * 64}"


def admin(**keys: Any) -> AdminConfig:
    config = GatewayConfig.model_validate({"admin": keys}).admin
    assert config is not None
    return config


def test_both_addresses_are_listened_on() -> None:
    assert list(admin(listen=":1").addresses()) == [("admin.listen", ":1")]
    assert list(admin(health_listen=":2").addresses()) == [("admin.health_listen", ":2")]
    assert len(list(admin(listen="127.0.0.1:1", health_listen=":2").addresses())) == 2


def test_a_token_is_given_by_its_hash_and_reads_unless_more_is_said() -> None:
    (token,) = admin(listen=":1", tokens=[{"name": "ops", "hash": HASH}]).tokens

    assert (token.role, token.tail, token.expires) == ("viewer", False, None)


@pytest.mark.parametrize(
    "keys",
    [
        {},
        {"listen": ":1", "tokens": [{"name": "ops", "hash": "secret"}]},
        {"listen": ":1", "tokens": [{"name": "", "hash": HASH}]},
        {"listen": ":1", "tokens": [{"name": "ops", "hash": HASH, "role": "root"}]},
        {"listen": ":1", "tokens": [{"name": "ops", "hash": HASH, "expires": "2030-01-01T00:00:00"}]},
        {"listen": ":1", "clients": [{"name": "ops"}]},
        {"listen": ":1", "tls": {"cert": "c", "key": "k"}, "clients": [{"name": "ops"}]},
        {"listen": "unix:/a", "tls": {"cert": "c", "key": "k"}},
        {"listen": ":1", "allow": ["network"]},
    ],
)
def test_what_cannot_be_meant_is_refused(keys: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        admin(**keys)
