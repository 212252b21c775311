from __future__ import annotations

from typing import Any

import argon2
import pytest
from gateway_plugin_auth.config import BasicProvider
from pydantic import ValidationError

HASH = argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash("x")


@pytest.mark.parametrize(
    ("users", "problem"),
    [
        ([], "there are no users: give users or users_file"),
        ([{"name": "a", "password_hash": "plain"}], "not an argon2 or bcrypt hash: make one with htpasswd"),
        ([{"name": "a:b", "password_hash": HASH}], "name"),
        ([{"name": "", "password_hash": HASH}], "name"),
        ([{"name": "a", "password_hash": HASH}, {"name": "a", "password_hash": HASH}], "user 'a' is there twice"),
    ],
)
def test_users_that_are_none(users: list[dict[str, Any]], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        BasicProvider.model_validate({"scheme": "basic", "users": users})


def test_hashes_are_not_shown() -> None:
    provider = BasicProvider.model_validate({"scheme": "basic", "users": [{"name": "a", "password_hash": HASH}]})

    assert HASH not in repr(provider)
