from __future__ import annotations

from typing import Any

import pytest
from gateway_plugin_logger.config import Redaction
from gateway_plugin_logger.config.redaction import DeleteRule, HashRule, MaskIpRule, ReplaceRule
from pydantic import ValidationError


def test_the_action_tells_which_rule_it_is() -> None:
    actions = ["delete", "replace", "hash", "mask_ip"]

    redaction = Redaction.model_validate({"rules": [{"action": action, "fields": ["path"]} for action in actions]})

    assert [type(rule) for rule in redaction.rules] == [DeleteRule, ReplaceRule, HashRule, MaskIpRule]


@pytest.mark.parametrize(
    "rule",
    [
        {"action": "delete", "fields": []},
        {"action": "delete"},
        {"action": "delete", "fields": ["path"], "pattern": "x"},
        {"action": "replace", "fields": ["path"], "pattern": "("},
        {"action": "replace", "fields": ["path"], "pattern": "a", "replacement": "\\1"},
        {"action": "mask_ip", "fields": ["client_ip"], "ipv4": 33},
        {"action": "mask_ip", "fields": ["client_ip"], "ipv6": -1},
        {"fields": ["path"]},
    ],
)
def test_rules_that_say_nothing_or_the_impossible_are_refused(rule: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Redaction.model_validate({"rules": [rule]})


def test_credentials_are_hidden_by_default() -> None:
    assert Redaction().show == ()
    assert {"token", "access_token", "password"} <= set(Redaction().query)
