from __future__ import annotations

from typing import Any

import pytest
from gateway_plugin_acme.source import AcmeSource
from gateway_plugin_sdk.testing import factory_config


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"names": ["a.example.com", ["a.example.com"]]}, r"names has a\.example\.com more than once"),
        ({"names": ["192.0.2.1"]}, "is an address, not a name"),
        ({"authorities": [{"url": "ftp://x"}]}, "is not the URL of a server"),
        ({"authorities": [{"url": "https://me:hush@x/dir"}]}, "a user or a password"),
        ({"authorities": []}, "give each authority once"),
        ({"challenges": ["dns-01"]}, "there is no dns"),
        ({"challenges": []}, "challenges"),
        ({"dns": {}}, "dns needs one of command and name"),
        ({"dns": {"command": ["x"], "name": "y"}}, "dns needs one of command and name"),
        ({"storage": {"valkey": {"url": "valkey://h"}}}, "would hold private keys in clear: give seal"),
        ({"storage": {"etcd": {"urls": ["http://h:1"]}, "directory": "/x"}}, "keep one"),
        ({"storage": {"seal": "short"}}, "give at least 16 random characters"),
        ({"on_demand": {}}, "give allow or ask"),
        ({"email": "ops"}, "email"),
        ({"kye": "ec256"}, 'unknown key "kye"'),
    ],
)
def test_what_cannot_work_is_named_with_its_remedy(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        factory_config(AcmeSource, options)


def test_no_option_is_needed() -> None:
    config = factory_config(AcmeSource, {})

    assert config.authorities[0].url == "https://acme-v02.api.letsencrypt.org/directory"
    assert config.on_demand is None


def test_secrets_are_shown_nowhere() -> None:
    account = {"key_id": "k", "hmac_key": "hush-hush"}
    config = factory_config(
        AcmeSource, {"authorities": [{"external_account": account}], "storage": {"seal": "hush" * 8}}
    )

    assert "hush" not in repr(config)
