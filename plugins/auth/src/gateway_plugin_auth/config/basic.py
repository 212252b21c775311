"""Configuration of a provider of names and passwords."""

from __future__ import annotations

from typing import Any, Literal

from gateway_plugin_sdk import ConfigModel, Duration, FileName, Secret
from pydantic import Field, field_validator, model_validator

from gateway_plugin_auth.config.rules import AccessOptions
from gateway_plugin_auth.passwords import check_hash


class BasicUser(ConfigModel):
    """One user."""

    name: str = Field(min_length=1, pattern="^[^:]+$")
    """The user's name; it has no colon (RFC 7617)."""

    password_hash: Secret
    """Hash of the password: argon2 (``$argon2id$...``) or bcrypt (``$2b$...``). The weak ones of old htpasswd files
    (apr1, SHA-1) are accepted with a warning."""

    claims: dict[str, Any] = {}
    """What is to be known of the user: scopes, roles and whatever rules and headers ask for."""

    @field_validator("password_hash")
    @classmethod
    def _hash_is_known(cls, value: Secret) -> Secret:
        check_hash(value.reveal())
        return value


class BasicProvider(AccessOptions):
    """Callers who present a name and a password (RFC 7617)."""

    scheme: Literal["basic"]
    """``basic``."""

    users: tuple[BasicUser, ...] = ()
    """The users."""

    users_file: FileName | None = None
    """File with more users, ``name:hash`` a line as htpasswd writes it, read again when it changes."""

    remember: Duration = 300.0
    """How long a password that was right is not hashed again; 0 hashes it for each request, at 20 to 250 ms each."""

    @model_validator(mode="after")
    def _users_differ(self) -> BasicProvider:
        if not self.users and self.users_file is None:
            raise ValueError("there are no users: give users or users_file")
        names = [user.name for user in self.users]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"user {twice[0]!r} is there twice")
        return self
