"""Configuration of tokens that are bound to a key or certificate of their client, and of how it must have logged in."""

from __future__ import annotations

from typing import Annotated, Final, Literal, TypeAlias, get_args

from gateway_plugin_sdk import ConfigModel, Duration
from gateway_plugin_sdk.valkey import ServerOptions
from gateway_tokens.uris import normalized
from pydantic import AfterValidator, Field, model_validator

ProofAlgorithm: TypeAlias = Literal[
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519", "Ed448"
]
CertificateHeader: TypeAlias = Literal[
    "Client-Cert", "X-Forwarded-Client-Cert", "X-Forwarded-Tls-Client-Cert", "X-SSL-Client-Cert", "X-Client-Cert",
    "X-ARR-ClientCert",
]  # fmt: skip

_ORIGIN_FORM: Final = "write https://api.example.com, or https://api.example.com/prefix without a slash at the end"


def _check_origin(value: str) -> str:
    plain = normalized(value)
    if plain is None or "?" in value or "#" in value or (value.endswith("/") and plain.count("/") > 3):
        raise ValueError(f"{value!r} is not where clients see the gateway: {_ORIGIN_FORM}")
    return plain.rstrip("/")


class ValkeyOptions(ServerOptions):
    """A Valkey or Redis server that all gateways share."""

    prefix: Annotated[str, Field(pattern=r"^[^\s{}]*$")] = "gateway:auth:"
    """What the names of our keys begin with."""


class DpopOptions(ConfigModel):
    """Proofs of possession in the field ``DPoP`` (RFC 9449), for tokens with ``cnf.jkt``."""

    required: bool = False
    """Whether tokens that are not bound to a key (``cnf.jkt``) are refused."""

    algorithms: tuple[ProofAlgorithm, ...] = Field(default=get_args(ProofAlgorithm), min_length=1)
    """Algorithms that proofs may have; challenges name them."""

    max_age: Annotated[Duration, Field(ge=1, le=3600)] = 60.0
    """How old a proof may be, by its ``iat``. For so long its ``jti`` is remembered."""

    leeway: Annotated[Duration, Field(le=300)] = 5.0
    """Difference of clocks that is allowed for at ``iat``, between clients and gateways and among gateways."""

    nonce: bool = False
    """Whether a proof must have a nonce of ours: clients get one with a 401, or with a response when theirs is old."""

    nonce_lifetime: Annotated[Duration, Field(ge=1, le=86400)] = 300.0
    """How long a nonce is accepted at least; at most twice as long."""

    origin: Annotated[str, AfterValidator(_check_origin)] | None = None
    """Scheme and host, and a path prefix if there is one, under which clients see the gateway. By default those of the
    request; behind a trusted proxy X-Forwarded-Proto and X-Forwarded-Host."""

    hide_proof: bool = False
    """Whether to take the field ``DPoP`` out before the request goes upstream."""

    valkey: ValkeyOptions | None = None
    """A server that all gateways share: a proof that one of them accepted is then refused by the others. Without it the
    workers of one gateway share what they know."""


class MtlsOptions(ConfigModel):
    """Tokens that are bound to the client's certificate (RFC 8705), by ``cnf.x5t#S256``."""

    required: bool = False
    """Whether tokens that are not bound to a certificate are refused."""

    certificate_header: Annotated[CertificateHeader | None, Field(json_schema_extra={"x-from-trusted-peer": True})] = (
        None
    )
    """Field in which a trusted proxy, which ends TLS, sends the client's certificate. Then that field alone counts: the
    certificate of the connection is the proxy's."""


class StepUpOptions(ConfigModel):
    """How a user must have logged in (RFC 9470)."""

    acr_values: tuple[Annotated[str, Field(pattern=r"^[!#-\[\]-~]+$")], ...] = ()
    """Accepted ``acr``, the preferred one first."""

    max_age: Annotated[Duration, Field(ge=0)] | None = None
    """How long ago the user may have logged in, by ``auth_time``; 0 is within ``leeway``."""

    @model_validator(mode="after")
    def _asks_for_something(self) -> StepUpOptions:
        if not self.acr_values and self.max_age is None:
            raise ValueError("nothing is asked for: give acr_values or max_age")
        return self


class PossessionOptions(ConfigModel):
    """Options of every provider of tokens."""

    dpop: DpopOptions | None = None
    """Accept tokens with the scheme ``DPoP``, and verify the proofs that come with them (RFC 9449). Without it a token
    that is bound to a key is refused."""

    mtls: MtlsOptions = MtlsOptions()
    """Tokens that are bound to the client's certificate (RFC 8705)."""

    step_up: StepUpOptions | None = None
    """How the user must have logged in; else 401 with ``insufficient_user_authentication`` (RFC 9470)."""
