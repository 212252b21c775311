"""The options of ``tls.certificates[].config``."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

from gateway_plugin_sdk import ConfigFile, ConfigModel, Duration, OutputFile, Secret
from gateway_plugin_sdk.unstable import PROGRAM_KEY, is_server_url
from gateway_plugin_sdk.valkey import ServerOptions
from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from gateway_plugin_acme.names import name_problem

LETS_ENCRYPT: Final = "https://acme-v02.api.letsencrypt.org/directory"

ChallengeKind = Literal["http-01", "tls-alpn-01", "dns-01"]
KeyKind = Literal["ec256", "ec384", "rsa2048", "rsa4096"]


def _check_url(value: str) -> str:
    if "@" in urlsplit(value).netloc:
        raise ValueError("the url has a user or a password, which would be shown: leave them out")
    if not is_server_url(value):
        raise ValueError(f"{value!r} is not the URL of a server: write https://host/path")
    return value


def _check_name(value: str) -> str:
    if problem := name_problem(value.lower()):
        raise ValueError(f"{value!r} {problem}")
    return value.lower()


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


ServerUrl = Annotated[str, AfterValidator(_check_url)]
HostName = Annotated[str, AfterValidator(_check_name)]
NameGroup = Annotated[
    tuple[HostName, ...],
    BeforeValidator(_as_list, json_schema_input_type=str | list[str]),
    Field(min_length=1, max_length=100),
]
"""A name, or several that share a certificate."""


class ExternalAccount(ConfigModel):
    """An account at the authority's site that ours is bound to (RFC 8555 section 7.3.4)."""

    key_id: Annotated[str, Field(min_length=1)]
    """Its identifier."""

    hmac_key: Secret
    """Its key, as the authority shows it: base64url."""


class AuthorityConfig(ConfigModel):
    """An authority that issues certificates."""

    url: ServerUrl = LETS_ENCRYPT
    """Its directory; that of Let's Encrypt unless given."""

    profile: str | None = None
    """The profile of certificates to ask for, such as ``shortlived``; the authority's choice unless given."""

    external_account: ExternalAccount | None = None
    """Needed by authorities that know their customers."""

    ca: ConfigFile | None = None
    """File of the authorities that its own TLS certificate is verified with; those of the system unless given. With
    one, names need not be public: the authority is a private one."""

    timeout: Annotated[Duration, Field(gt=0)] = 30.0
    """How long one response may take."""


class DnsConfig(ConfigModel):
    """What creates the records of DNS-01 challenges."""

    command: tuple[Annotated[str, Field(min_length=1, json_schema_extra={PROGRAM_KEY: True})], ...] = ()
    """A program with arguments, run without a shell and with three more: ``present`` or ``cleanup``, the record's name
    and its value. Any status but 0 is a failure."""

    name: str | None = None
    """Instead of a command: a provider of an installed package (entry-point group ``gateway.acme.dns``)."""

    config: dict[str, Any] = Field(default_factory=dict, repr=False)
    """The provider's configuration."""

    timeout: Annotated[Duration, Field(gt=0)] = 60.0
    """How long creating a record may take."""

    propagation: Annotated[Duration, Field(ge=0)] = 10.0
    """How long to wait until the name's servers know the record."""

    @model_validator(mode="after")
    def _check(self) -> DnsConfig:
        if bool(self.command) is (self.name is not None):
            raise ValueError("dns needs one of command and name: give exactly one")
        if self.config and self.name is None:
            raise ValueError("dns has a config without a name: give the provider's name, or leave config out")
        return self


class EtcdOptions(ConfigModel):
    """An etcd cluster that all gateways share."""

    urls: Annotated[tuple[ServerUrl, ...], Field(min_length=1)]
    """Its members: ``http://10.0.0.1:2379``."""

    prefix: Annotated[str, Field(min_length=1)] = "/gateway/acme/"
    """What the names of our keys begin with."""

    username: str = ""
    """The user to log in as."""

    password: Secret | None = None
    """Its password."""

    ca: ConfigFile | None = None
    """File of the authorities that the members' certificates are verified with."""

    timeout: Annotated[Duration, Field(gt=0)] = 5.0
    """How long one call may take."""


class StorageConfig(ConfigModel):
    """Where accounts, keys and certificates are kept; exactly one key besides ``seal``."""

    directory: OutputFile | None = None
    """A directory, which is created with mode 0700; ``/var/lib/gateway/acme`` unless a storage is given. All processes
    of a machine share it."""

    valkey: ServerOptions | None = None
    """A Valkey or Redis server, for a fleet. Needs ``seal``."""

    etcd: EtcdOptions | None = None
    """An etcd cluster, for a fleet. Needs ``seal``."""

    seal: Secret | None = None
    """A secret that all gateways have; keys are stored encrypted with it (AES-256-GCM). At least 16 characters."""

    @model_validator(mode="after")
    def _check(self) -> StorageConfig:
        given = [name for name in ("directory", "valkey", "etcd") if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"storage has {' and '.join(given)}: keep one")
        if given and given[0] != "directory" and self.seal is None:
            raise ValueError(f"storage.{given[0]} is shared, and would hold private keys in clear: give seal")
        if self.seal is not None and len(self.seal.reveal()) < 16:
            raise ValueError("storage.seal is too short: give at least 16 random characters")
        return self


class OnDemandConfig(ConfigModel):
    """Certificates for names that no one has listed, when the first client asks for them."""

    allow: tuple[HostName, ...] = ()
    """Names, or ``*.`` before one for every name one label below it."""

    ask: ServerUrl | None = None
    """A URL that gets ``?domain=NAME`` and responds with 200 for a name that may have a certificate. It is asked
    again before each renewal: 4xx (other than 408 and 429) takes the name its certificate."""

    most: Annotated[int, Field(ge=1, le=100_000)] = 100
    """Names at most, in all gateways; those that were dropped leave their place to others."""

    per_minute: Annotated[int, Field(ge=1, le=1000)] = 10
    """New names in a minute at most, in each worker."""

    @model_validator(mode="after")
    def _check(self) -> OnDemandConfig:
        if not self.allow and self.ask is None:
            raise ValueError("on_demand would get certificates for whatever clients ask for: give allow or ask")
        return self


class AcmeConfig(ConfigModel):
    """Certificates by ACME."""

    email: Annotated[str, Field(pattern=r"^[^@\s]+@[^@\s]+$")] | None = None
    """Whom the authority writes to when something is wrong."""

    names: tuple[NameGroup, ...] = ()
    """Names, or lists of names that share a certificate. Unless given: the ``hosts`` of the listener and of its
    routes, one certificate each."""

    authorities: tuple[AuthorityConfig, ...] = (AuthorityConfig(),)
    """In order of preference: the next one is asked when one fails."""

    challenges: Annotated[tuple[ChallengeKind, ...], Field(min_length=1)] = ("http-01", "tls-alpn-01", "dns-01")
    """How to prove that a name is ours, in order of preference: by HTTP on port 80, by TLS on port 443, or by DNS,
    which only is possible with ``dns`` and the only way for wildcards."""

    dns: DnsConfig | None = None
    """What creates records for DNS-01."""

    key: KeyKind = "ec256"
    """Kind of the certificates' keys."""

    storage: StorageConfig = StorageConfig()
    """Where everything is kept."""

    without_certificate: Literal["self-signed", "refuse"] = "self-signed"
    """What clients get for a name that has no certificate yet: one that they do not trust, or no handshake."""

    on_demand: OnDemandConfig | None = None
    """Certificates for further names when clients ask for them; off unless given."""

    remote_quota: Annotated[int, Field(ge=0, le=10_000)] = 100
    """Names at most that routes of remote documents get certificates for. Each has to be covered by the listener's own
    ``hosts``."""

    retry: Annotated[Duration, Field(gt=0)] = 60.0
    """How long to wait after a first failure; later ones wait longer, up to 12 hours."""

    poll: Annotated[Duration, Field(ge=0.05)] = 5.0
    """How often the storage is looked at for certificates that another worker or gateway has got."""

    @model_validator(mode="after")
    def _check(self) -> AcmeConfig:
        listed = [name for group in self.names for name in group]
        twice = sorted({name for name in listed if listed.count(name) > 1})
        if twice:
            raise ValueError(f"names has {', '.join(twice)} more than once: keep each once")
        urls = [each.url for each in self.authorities]
        if not urls or len(set(urls)) < len(urls):
            raise ValueError("authorities is empty, or has a url twice: give each authority once")
        if self.challenges == ("dns-01",) and self.dns is None:
            raise ValueError("challenges has only dns-01, and there is no dns: give dns, or another challenge")
        return self
