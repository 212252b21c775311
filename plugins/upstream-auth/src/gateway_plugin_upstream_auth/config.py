"""The options of the plugin."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal, Self
from urllib.parse import SplitResult, urlsplit

from gateway_plugin_sdk import (
    ConfigModel,
    Duration,
    HeaderName,
    Secret,
    SecretHeaderValue,
    SecretUrl,
    Size,
    UpstreamName,
)
from pydantic import AfterValidator, Field, model_validator

_TOKEN68: Final = re.compile(r"[A-Za-z0-9._~+/-]+=*")
_PRINTABLE: Final = re.compile(r"[!-~]+")


def _check_token(value: str) -> None:
    if not _TOKEN68.fullmatch(value):
        raise ValueError("is not a bearer token (RFC 6750): letters, digits and -._~+/ only, without white space")


def _check_text(value: str) -> None:
    if not value or any(character in value for character in "\r\n\0"):
        raise ValueError("is empty, or has a line break: is there one at the end of the file that it was read from?")


def _check_username(value: str) -> str:
    if ":" in value:
        raise ValueError("has a colon, which ends a user name of basic authentication (RFC 7617)")
    _check_text(value)
    return value


def _check_url(value: str) -> None:
    try:
        parts = urlsplit(value)
        is_valid = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_valid, parts = False, SplitResult("", "", "", "", "")
    if not is_valid or not _PRINTABLE.fullmatch(value) or parts.fragment:
        raise ValueError("is not a URL: write for example https://login.example.com/oauth/token")
    if "@" in parts.netloc:
        raise ValueError("has a user in it: write client_id and client_secret")


def _check_name(value: str) -> str:
    if not _PRINTABLE.fullmatch(value):
        raise ValueError("is not a name that AWS gives: visible characters of ASCII only")
    return value


SecretText = Annotated[Secret, AfterValidator(Secret.checked(_check_text))]
AwsName = Annotated[str, AfterValidator(_check_name)]


class BasicConfig(ConfigModel):
    """A name and a password (RFC 7617)."""

    username: Annotated[str, AfterValidator(_check_username)]
    """The name, without a colon."""

    password: SecretText
    """The password."""


class BearerConfig(ConfigModel):
    """A token that does not change by itself (RFC 6750)."""

    token: Annotated[Secret, AfterValidator(Secret.checked(_check_token))]
    """The token, without the word Bearer."""


class ApiKeyConfig(ConfigModel):
    """A key in a header field or a query parameter."""

    value: SecretHeaderValue
    """The key."""

    header: HeaderName | None = None
    """The field that the upstream wants it in."""

    prefix: str = ""
    """What stands before the key in the field, such as ``Token``; a space follows it."""

    query: Annotated[str, Field(min_length=1)] | None = None
    """The query parameter that the upstream wants it in. Logs of the gateway do not show it."""

    @model_validator(mode="after")
    def _has_one_place(self) -> Self:
        if (self.header is None) == (self.query is None):
            raise ValueError("wants one place for the key: write header or query")
        if self.query is not None and self.prefix:
            raise ValueError("prefix goes with header: leave it out, or write it into value")
        if not self.value.reveal():
            raise ValueError("value is empty: the upstream would get no key")
        if not self.prefix.isascii() or not (self.prefix or "x").isprintable():
            raise ValueError("prefix is not a word of visible characters of ASCII")
        return self


class OAuth2Config(ConfigModel):
    """A token that the gateway gets by OAuth 2 client credentials (RFC 6749 section 4.4), and keeps fresh."""

    token_url: Annotated[SecretUrl, AfterValidator(SecretUrl.checked(_check_url))]
    """The token endpoint."""

    upstream: UpstreamName | None = None
    """An upstream to reach it by, for its TLS, timeouts and limits; the URL's own host unless given."""

    client_id: Annotated[str, Field(min_length=1)]
    """The gateway's name there."""

    client_secret: SecretText
    """The gateway's password there."""

    authentication: Literal["basic", "post"] = "basic"
    """How both are sent: in Authorization, or in the form (RFC 6749 section 2.3.1)."""

    scopes: tuple[Annotated[str, Field(pattern=r"^[!#-\[\]-~]+$")], ...] = ()
    """What the token is to allow."""

    audience: str | None = None
    """For whom the token is to be, where the server wants that (Auth0)."""

    params: dict[str, str] = {}
    """Other parameters of the form, such as ``resource``; nothing secret."""

    refresh_ahead: Duration = 60.0
    """How long before its end a token is replaced, with some jitter; at most a quarter of its lifetime."""

    default_lifetime: Annotated[Duration, Field(gt=0)] = 300.0
    """The lifetime of a token of which the server does not say it."""

    timeout: Annotated[Duration, Field(gt=0)] = 5.0
    """How long the server may take."""

    retry_unauthorized: bool = True
    """Whether a 401 of the upstream replaces the token, and safe requests are sent once more with the new one."""

    @model_validator(mode="after")
    def _has_own_params(self) -> Self:
        taken = {"grant_type", "client_id", "client_secret", "scope", "audience"}.intersection(self.params)
        if taken:
            raise ValueError(f"params has {min(taken)!r}, for which there is an option of its own")
        return self


class AwsConfig(ConfigModel):
    """A signature of AWS (Signature Version 4)."""

    access_key_id: AwsName
    """The name of the key."""

    secret_access_key: SecretText
    """The key."""

    session_token: SecretHeaderValue | None = None
    """The token that belongs to a key of limited life."""

    region: AwsName
    """The region, such as ``eu-central-1``."""

    service: AwsName
    """The service, such as ``s3`` or ``execute-api``."""

    payload: Literal["signed", "unsigned"] = "signed"
    """Whether the body is signed, for which it is read whole first; ``unsigned`` streams it, and is for ``s3``."""

    max_body: Size = 1 << 20
    """Bytes of a body that is signed; a longer one gets 413."""


class UpstreamAuthConfig(ConfigModel):
    """Credentials that requests to an upstream carry in place of the client's: one of five kinds."""

    basic: BasicConfig | None = None
    """A name and a password."""

    bearer: BearerConfig | None = None
    """A token."""

    api_key: ApiKeyConfig | None = None
    """A key in a header field or a query parameter."""

    oauth2: OAuth2Config | None = None
    """A token by OAuth 2 client credentials."""

    aws: AwsConfig | None = None
    """A signature of AWS."""

    remove: tuple[HeaderName, ...] = ("Authorization", "Proxy-Authorization")
    """Fields with credentials of the client, which never go upstream; ``Cookie`` is one more candidate."""

    @model_validator(mode="before")
    @classmethod
    def _is_one_kind(cls, value: Any) -> Any:
        if isinstance(value, dict):
            kinds = ("basic", "bearer", "api_key", "oauth2", "aws")
            given = [kind for kind in kinds if value.get(kind) is not None]
            if len(given) != 1:
                what = f"has {' and '.join(given)}" if given else "has no credentials"
                raise ValueError(f"{what}: write one of {', '.join(kinds)}")
        return value
