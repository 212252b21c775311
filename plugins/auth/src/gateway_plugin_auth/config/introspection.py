"""Configuration of a provider that asks an authorization server about each token."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from gateway_plugin_sdk import (
    ConfigModel,
    Duration,
    SecretHeaderValue,
    SecretUrl,
    Size,
    UpstreamName,
)
from gateway_tokens.claims import ClaimPolicy
from gateway_tokens.client_key_options import ClientKeyOptions
from gateway_tokens.client_secret import ClientSecretOptions
from gateway_tokens.texts import Header, OneOrMore, many, url_problem
from pydantic import Field, model_validator

from gateway_plugin_auth.config.possession import PossessionOptions
from gateway_plugin_auth.config.rules import AccessOptions
from gateway_plugin_auth.config.sources import SourceConfig
from gateway_plugin_auth.credentials import Source


class IntrospectionCache(ConfigModel):
    """What is remembered of the authorization server's responses."""

    size: Annotated[int, Field(ge=0, le=1_000_000)] = 10_000
    """Tokens at most, and as many that are not active; 0 remembers none. Together they take at most 4 KiB of memory for
    each of these: of tokens with many claims fewer are remembered."""

    max_age: Duration = 60.0
    """How long an active token is remembered, which is how late its revocation is noticed; never longer than its
    ``exp``. 0 asks about each request's token."""

    inactive_max_age: Duration = 10.0
    """How long it is remembered that a token is not active."""


class IntrospectionKey(ClientKeyOptions):
    """A key of ours, in place of a secret: the server has its public half (``private_key_jwt``, RFC 7523)."""

    audience: str | None = Field(default=None, min_length=1)
    """Whom what is signed names as its recipient, such as the server's issuer; by default the URL of the endpoint."""


class IntrospectionProvider(ClientSecretOptions, PossessionOptions, AccessOptions):
    """Callers who present a token that only its authorization server can read (RFC 7662)."""

    scheme: Literal["introspection"]
    """``introspection``."""

    endpoint: SecretUrl | None = None
    """URL of the introspection endpoint."""

    target: UpstreamName | None = None
    """In place of ``endpoint``, the upstream that has it."""

    path: str = Field(default="/introspect", pattern=r"^/[!-\"$-~]*$")
    """With ``target``, the path of the introspection endpoint."""

    allow_http: bool = False
    """Whether ``http`` is accepted to other machines. To this machine it always is."""

    client_id: str | None = Field(default=None, min_length=1)
    """Our name at the authorization server."""

    client_auth: Literal["basic", "post", "private_key_jwt", "none"] = "basic"
    """How we authenticate: by HTTP Basic, in the form (``post``), or by a signed assertion (RFC 7523). ``none`` is for
    a server that knows us otherwise, such as by ``headers``."""

    client_key: IntrospectionKey | None = None
    """Our key, in place of a secret (``private_key_jwt``)."""

    headers: dict[Header, SecretHeaderValue] = {}
    """More header fields to send, such as ``Authorization``."""

    token_type_hint: str = Field(default="access_token", pattern=r"^[!-~]*$")
    """`token_type_hint` (RFC 7662 section 2.1) that is sent with the token; empty for none."""

    timeout: Annotated[Duration, Field(gt=0)] = 5.0
    """How long the server may take for a response, all in all."""

    max_concurrent: Annotated[int, Field(ge=1, le=1000)] = 64
    """Requests to the server at once. 256 more wait, 64 of one client."""

    cache: IntrospectionCache = IntrospectionCache()
    """What is remembered."""

    issuer: OneOrMore | None = None
    """Accepted ``iss``, or several; if this is set, a response without is refused."""

    audience: OneOrMore | None = None
    """Accepted ``aud``, or several; if this is set, a response without is refused."""

    audience_match: Literal["any", "all"] = "any"
    """Whether a token must be for one of the audiences or for all."""

    leeway: Duration = 60.0
    """Difference of clocks that is allowed for at ``exp``, ``nbf`` and ``iat``; 0 allows none."""

    required_claims: tuple[str, ...] = ()
    """Members that a response must have."""

    forbidden_claims: tuple[str, ...] = ()
    """Members that a response must not have."""

    numeric_subject: bool = False
    """Whether ``sub`` may be a number; the caller's name is its digits."""

    token_from: tuple[SourceConfig, ...] = Field(
        default=(SourceConfig(header="Authorization", scheme="Bearer"),), min_length=1
    )
    """Where the token is looked for; the first place that has one, and is not empty, counts."""

    max_token_bytes: Size = 4096
    """Longer tokens are refused, and the server is not asked."""

    identity_claim: OneOrMore = ("sub", "username", "client_id")
    """The member that names the caller, or several of which the first that is there counts. If this is set, a token
    without it is refused."""

    @model_validator(mode="after")
    def _endpoint_is_one(self) -> Self:
        if (self.endpoint is None) == (self.target is None):
            raise ValueError("the introspection endpoint is given by exactly one of endpoint and target")
        if self.endpoint is not None and "path" in self.model_fields_set:
            raise ValueError("path goes with target: write it into endpoint")
        url = self.endpoint.reveal() if self.endpoint is not None else str(self.target)
        problem = url_problem(url, allow_http=self.allow_http) if self.endpoint is not None or "://" in url else None
        if problem is not None:
            raise ValueError(problem.replace("fetch.allow_http", "allow_http"))
        if self.endpoint is not None:
            parts = urlsplit(url)
            if parts.username is not None or parts.password is not None:
                raise ValueError("endpoint has a user: give client_id and client_secret")
            if "#" in url:
                raise ValueError("endpoint has a fragment: remove it")
            if not url.isascii():
                raise ValueError("endpoint has characters outside ASCII: percent-encode them")
        return self

    @model_validator(mode="after")
    def _client_is_known(self) -> Self:
        has_secret = self.has_client_secret
        method = self.client_auth
        if method != "none" and self.client_id is None:
            raise ValueError(f"client_auth: {method} needs client_id")
        if (method in {"basic", "post"}) != has_secret:
            what = "needs" if method in {"basic", "post"} else "does not go with"
            raise ValueError(f"client_auth: {method} {what} client_secret or client_secret_file")
        if (method == "private_key_jwt") != (self.client_key is not None):
            raise ValueError("client_key and client_auth: private_key_jwt go together")
        if method == "basic" and any(name.lower() == "authorization" for name in self.headers):
            raise ValueError("headers has Authorization, which client_auth: basic sends: set client_auth: none")
        return self

    def token_sources(self) -> tuple[Source, ...]:
        """Return where the token is looked for."""
        return tuple(source.compiled() for source in self.token_from)

    def place(self) -> tuple[str, str]:
        """Return the upstream, or the URL of scheme, host and port, and the path of the endpoint."""
        if self.endpoint is None:
            return str(self.target), self.path
        parts = urlsplit(self.endpoint.reveal())
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        return f"{parts.scheme}://{parts.netloc}", path

    def claim_policy(self) -> ClaimPolicy:
        """Return what the registered members of a response must be."""
        return ClaimPolicy(
            issuers=frozenset(many(self.issuer)),
            audiences=frozenset(many(self.audience)),
            all_audiences=self.audience_match == "all",
            leeway=self.leeway,
            required=self.required_claims,
            forbidden=self.forbidden_claims,
            numeric_subject=self.numeric_subject,
        )

    def asked_alike(self) -> Hashable:
        """Return what two providers have in common that may use each other's responses. Blocks."""
        key = self.client_key
        return (
            self.place(),
            self.client_id,
            self.client_secret_text(),
            self.client_auth,
            None if key is None else (key.model_dump_json(), key.file.read_bytes()),
            None if key is None or key.certificate is None else key.certificate.read_bytes(),
            tuple(sorted((name, value.reveal()) for name, value in self.headers.items())),
            self.token_type_hint,
            self.timeout,
            self.max_concurrent,
            self.cache.model_dump_json(),
        )
