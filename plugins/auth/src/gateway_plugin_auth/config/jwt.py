"""Configuration of a provider of JSON Web Tokens."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, TypeAlias
from urllib.parse import urlsplit

from gateway_plugin_sdk import Duration, FileName, Secret, SecretUrl, Size
from gateway_tokens.algorithms import SECRET_ALGORITHMS, Algorithm
from gateway_tokens.claims import ClaimPolicy
from gateway_tokens.fetch import FetchOptions
from gateway_tokens.keyring import KeySource
from gateway_tokens.keys import KeySet, from_jwks, from_pem, from_secret
from gateway_tokens.texts import Header, OneOrMore, check_distinct, many, url_problem
from pydantic import Field, ValidationInfo, WithJsonSchema, field_validator, model_validator

from gateway_plugin_auth.config.alb import AlbOptions
from gateway_plugin_auth.config.possession import PossessionOptions
from gateway_plugin_auth.config.revocation import CacheOptions, RevocationOptions
from gateway_plugin_auth.config.rules import AccessOptions
from gateway_plugin_auth.config.sources import SourceConfig
from gateway_plugin_auth.credentials import Source
from gateway_plugin_auth.revocation_list import parse_entries

KEY_SOURCES: Final = (
    "secret", "public_key", "jwks", "jwks_file", "jwks_url", "certificates_url", "discovery", "aws_alb",
)  # fmt: skip

_TENANT: Final = "{tenantid}"

SecretFormat = Literal["text", "base64", "hex"]


SecretObject: TypeAlias = Annotated[dict[str, Any], WithJsonSchema({"type": "object", "writeOnly": True})]
"""An object that is not shown."""


def revealed(value: Secret | Mapping[str, Any]) -> str | Mapping[str, Any]:
    """Return a key set as it was given: its text, or the object itself."""
    return value.reveal() if isinstance(value, Secret) else value


def decode_secret(secret: str, form: SecretFormat) -> bytes:
    """Return the bytes of a secret; base64 may be of either alphabet, with or without padding.

    :raises ValueError: it is not of that form.
    """
    try:
        if form == "hex":
            return bytes.fromhex(secret)
        if form == "base64":
            standard = secret.strip().rstrip("=").replace("-", "+").replace("_", "/")
            return base64.b64decode(standard + "=" * (-len(standard) % 4), validate=True)
    except (ValueError, binascii.Error):
        raise ValueError(f"the secret is not {form}: write it so, or set secret_format") from None
    return secret.encode()


class JwtOptions(PossessionOptions, AccessOptions):
    """How tokens are found, verified and judged. Exactly one source of keys is given."""

    algorithms: tuple[Algorithm, ...] = ()
    """Algorithms that are accepted, each only with keys that it fits. By default one for each key: what a key set says
    of it, else HS256, RS256, EdDSA, or that of the curve. What a token says of its own is only compared with this."""

    secret_format: SecretFormat = "text"  # noqa: S105 - a format, not a secret
    """How ``secret`` is written: ``text``, ``base64`` or ``hex``."""

    secret: Secret | None = None
    """Shared secret of HS256, HS384 and HS512: 32 random bytes or more."""

    public_key: str | None = None
    """Public key or certificate in PEM."""

    jwks: Secret | SecretObject | None = Field(default=None, repr=False)
    """JSON Web Key Set, written out or as JSON text."""

    jwks_file: FileName | None = None
    """File with a JSON Web Key Set, read again when it changes or when a token's ``kid`` is not in it."""

    jwks_url: SecretUrl | None = None
    """URL of a JSON Web Key Set."""

    certificates_url: SecretUrl | None = None
    """URL of a JSON object of X.509 certificates in PEM by ``kid``, as Google and Firebase publish."""

    discovery: bool = False
    """Whether to find the key set through the issuer's metadata (OpenID Connect Discovery, RFC 8414)."""

    discovery_url: SecretUrl | None = None
    """URL of the issuer's metadata, if it is not at the well-known place below ``issuer``; with ``discovery``."""

    aws_alb: AlbOptions | None = None
    """Tokens are those that AWS's Application Load Balancers put into ``x-amzn-oidc-data``."""

    issuer: OneOrMore | None = None
    """Accepted ``iss``, or several. `{tenantid}` in it stands for each of ``tenants``."""

    tenants: tuple[Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]+$")], ...] = ()
    """Tenants whose tokens are accepted, if the issuer has `{tenantid}`: ``tid`` has to be the one of ``iss``."""

    numeric_subject: bool = False
    """Whether ``sub`` may be a number, which some issuers write against RFC 7519; the caller's name is its digits."""

    audience: OneOrMore | None = None
    """Accepted ``aud``, or several."""

    audience_match: Literal["any", "all"] = "any"
    """Whether a token must be for one of the audiences or for all."""

    leeway: Duration = 60.0
    """Difference of clocks that is allowed for at ``exp``, ``nbf`` and ``iat``; 0 allows none."""

    max_lifetime: Duration = 0.0
    """Refuse tokens without ``exp``, and those that are valid for longer than this from now; 0 is no bound."""

    max_age: Duration = 0.0
    """Refuse tokens without ``iat``, and those that were issued longer ago than this; 0 is no bound."""

    required_claims: tuple[str, ...] = ()
    """Claims that must be there. What is there of ``exp``, ``nbf`` and ``iat`` is always checked."""

    forbidden_claims: tuple[str, ...] = ()
    """Claims that must not be there."""

    types: tuple[str, ...] = ()
    """Accepted ``typ`` of the token's header, such as ``at+jwt`` (RFC 9068); none accepts all."""

    token_from: tuple[SourceConfig, ...] = Field(
        default=(SourceConfig(header="Authorization", scheme="Bearer"),), min_length=1
    )
    """Where the token is looked for; the first place that has one, and is not empty, counts. A
    wrong token there is refused, whatever is in the places behind it. With ``aws_alb`` it is ``x-amzn-oidc-data``."""

    max_token_bytes: Size = 16384
    """Longer tokens are refused unread."""

    identity_claim: OneOrMore = ("sub", "client_id", "azp")
    """The claim that names the caller, or several of which the first that is there counts. If this is set, a token
    without it is refused."""

    payload_header: Header | None = None
    """Header in which the upstream gets the verified payload, as base64url."""

    fetch: FetchOptions = FetchOptions()
    """How the key set and the revocation list are fetched."""

    cache: CacheOptions = CacheOptions()
    """The cache of verified tokens."""

    revocation: RevocationOptions | None = None
    """Tokens that are refused although they are valid."""

    @field_validator("secret")
    @classmethod
    def _secret_is_usable(cls, value: Secret | None, info: ValidationInfo) -> Secret | None:
        if value is not None:
            from_secret(
                decode_secret(value.reveal(), info.data.get("secret_format", "text")), info.data.get("algorithms", ())
            )
        return value

    @field_validator("public_key")
    @classmethod
    def _public_key_is_usable(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is not None:
            from_pem(value, info.data.get("algorithms", ()))
        return value

    @field_validator("jwks")
    @classmethod
    def _jwks_is_usable(cls, value: Any, info: ValidationInfo) -> Any:
        if value is not None:
            from_jwks(revealed(value), info.data.get("algorithms", ()), secrets_allowed=True)
        return value

    @field_validator("revocation")
    @classmethod
    def _entries_are_readable(cls, value: RevocationOptions | None) -> RevocationOptions | None:
        parse_entries(value.entries if value is not None else ())
        return value

    @model_validator(mode="after")
    def _urls_are_safe(self) -> JwtOptions:
        given = (
            self.jwks_url,
            self.certificates_url,
            self.aws_alb.keys_url if self.aws_alb is not None else None,
            self.revocation.url if self.revocation is not None else None,
        )
        urls = [url.reveal() for url in given if url is not None]
        if self.discovery:
            if len(many(self.issuer)) != 1:
                raise ValueError("discovery needs issuer, and only one: its metadata names the key set")
            urls.append(many(self.issuer)[0].replace(_TENANT, "tenant"))
            if self.discovery_url is not None:
                urls.append(self.discovery_url.reveal())
            if urlsplit(many(self.issuer)[0]).query:
                raise ValueError(f"{many(self.issuer)[0]!r} has a query: an issuer for discovery has none")
        if self.jwks_url is not None or self.certificates_url is not None or self.discovery:
            secret = [name for name in self.algorithms if name in SECRET_ALGORITHMS]
            if secret:
                raise ValueError(f"{', '.join(secret)} needs a secret, which no URL gives: remove it from algorithms")
        for url in urls:
            problem = url_problem(url, allow_http=self.fetch.allow_http)
            if problem is not None:
                raise ValueError(problem)
        return self

    @model_validator(mode="after")
    def _alb_signs_with_its_own(self) -> JwtOptions:
        if self.aws_alb is not None and set(self.algorithms) - {"ES256"}:
            raise ValueError("a token of aws_alb is signed with ES256: leave algorithms out")
        return self

    @model_validator(mode="after")
    def _tenants_are_listed(self) -> JwtOptions:
        if any(_TENANT in issuer for issuer in many(self.issuer)) != bool(self.tenants):
            raise ValueError(f"an issuer with {_TENANT} needs tenants, and only that: name those that are accepted")
        if self.discovery_url is not None and not self.discovery:
            raise ValueError("discovery_url without discovery: set discovery: true")
        if self.discovery and self.tenants and self.discovery_url is None:
            raise ValueError(f"discovery of an issuer with {_TENANT} needs discovery_url: that of any of the tenants")
        return self

    @model_validator(mode="after")
    def _is_satisfiable(self) -> JwtOptions:
        both = [name for name in self.required_claims if name in self.forbidden_claims]
        if both:
            raise ValueError(f"claim {both[0]!r} is required and forbidden, so no token could pass: remove it from one")
        if self.payload_header is not None:
            check_distinct([*self.claims_to_headers, self.payload_header])
        return self

    def given_key_sources(self) -> list[str]:
        """Return which of the sources of keys are given."""
        return [name for name in KEY_SOURCES if getattr(self, name) not in (None, False)]

    def claim_policy(self) -> ClaimPolicy:
        """Return what the registered claims must be."""
        return ClaimPolicy(
            issuers=frozenset(
                issuer.replace(_TENANT, tenant) for issuer in many(self.issuer) for tenant in self.tenants or (_TENANT,)
            ),
            tenants={
                issuer.replace(_TENANT, tenant): tenant
                for issuer in many(self.issuer)
                if _TENANT in issuer
                for tenant in self.tenants
            },
            numeric_subject=self.numeric_subject,
            audiences=frozenset(many(self.audience)),
            all_audiences=self.audience_match == "all",
            leeway=self.leeway,
            max_lifetime=self.max_lifetime,
            max_age=self.max_age,
            required=self.required_claims if self.aws_alb is None else (*self.required_claims, "exp"),
            forbidden=self.forbidden_claims,
            types=frozenset(name.lower().removeprefix("application/") for name in self.types),
        )

    def static_keys(self) -> KeySet | None:
        """Return the keys that the configuration has itself, or None if they come from elsewhere."""
        if self.secret is not None:
            return KeySet((from_secret(decode_secret(self.secret.reveal(), self.secret_format), self.algorithms),))
        if self.public_key is not None:
            return KeySet((from_pem(self.public_key, self.algorithms),))
        if self.jwks is not None:
            return from_jwks(revealed(self.jwks), self.algorithms, secrets_allowed=True)
        return None

    def token_sources(self) -> tuple[Source, ...]:
        """Return where the token is looked for."""
        if self.aws_alb is not None and "token_from" not in self.model_fields_set:
            return (Source("header", "X-Amzn-Oidc-Data"),)
        return tuple(source.compiled() for source in self.token_from)

    def key_source(self) -> KeySource:
        """Return where the keys are read from; not those of ``aws_alb``."""
        url = self.jwks_url or self.certificates_url
        return KeySource(
            algorithms=self.algorithms,
            static=self.static_keys(),
            file=self.jwks_file,
            url=url.reveal() if url is not None else None,
            has_certificates=self.certificates_url is not None,
            issuer=many(self.issuer)[0] if self.discovery else None,
            metadata_url=self.discovery_url.reveal() if self.discovery_url is not None else None,
            fetch=self.fetch,
        )


class JwtProvider(JwtOptions):
    """Callers who present a JSON Web Token (RFC 7519, RFC 6750)."""

    scheme: Literal["jwt"]
    """``jwt``."""

    @model_validator(mode="after")
    def _has_one_key_source(self) -> JwtProvider:
        check_key_source(self)
        return self


def check_key_source(options: JwtOptions) -> None:
    """Check that there is exactly one source of keys.

    :raises ValueError: there is not.
    """
    given = options.given_key_sources()
    if len(given) != 1:
        raise ValueError(f"exactly one of {', '.join(KEY_SOURCES)} gives the keys, not {' and '.join(given) or 'none'}")
