"""The options of the plugin."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal, Self
from urllib.parse import urlsplit

from gateway_plugin_sdk import ConfigFile, ConfigModel, Duration, Secret, SecretUrl
from gateway_plugin_sdk.valkey import ServerOptions
from gateway_tokens.algorithms import SECRET_ALGORITHMS, Algorithm
from gateway_tokens.client_key_options import ClientKeyOptions as ClientKeyFiles
from gateway_tokens.client_secret import ClientSecretOptions
from gateway_tokens.fetch import FetchOptions
from gateway_tokens.texts import Header, OneOrMore, check_distinct, many, shown_url, url_problem
from pydantic import AfterValidator, Field, field_validator, model_validator

from gateway_plugin_oidc.browser import origin_of
from gateway_plugin_oidc.id_tokens import TENANT

SHORTEST_KEY: Final = 32
_OURS: Final = frozenset({
    "response_type", "response_mode", "client_id", "client_secret", "redirect_uri", "scope", "state", "nonce",
    "code_challenge", "code_challenge_method", "request", "request_uri", "max_age", "id_token_hint",
})  # fmt: skip

_PATH: Final = re.compile(r"/[A-Za-z0-9._~!$&'()*+,=:@/-]*")
_ORIGIN: Final = re.compile(r"https?://[A-Za-z0-9.:\[\]_-]+")


def _check_path(value: str) -> str:
    if not _PATH.fullmatch(value) or "//" in value or "/." in value:
        raise ValueError(f"{value!r} is not a path: write it as in /oauth2/logout")
    return value


def _check_origin(value: str) -> str:
    if not _ORIGIN.fullmatch(value):
        raise ValueError(f"{value!r} is not an origin: write https://app.example.com, without a path")
    return origin_of(value)


def _check_key(value: str) -> None:
    if len(value.encode()) < SHORTEST_KEY:
        raise ValueError(
            f"the key has {len(value.encode())} bytes and needs {SHORTEST_KEY}: make one with openssl rand -hex 32"
        )


Path = Annotated[str, AfterValidator(_check_path)]
Origin = Annotated[str, AfterValidator(_check_origin)]
Key = Annotated[Secret, AfterValidator(Secret.checked(_check_key))]


class CookieOptions(ConfigModel):
    """The cookies that carry sessions and login attempts."""

    name: str = Field(default="gateway-session", pattern=r"^[A-Za-z0-9_-]{1,64}$")
    """Name of the session's cookie. With https it gets the prefix ``__Host-``, or ``__Secure-`` with ``domain``."""

    domain: str | None = Field(default=None, pattern=r"^[a-z0-9-]+(\.[a-z0-9-]+)+$")
    """Domain that shares the session with its subdomains. Unless given, only the host itself has it."""

    same_site: Literal["lax", "strict", "none"] = "lax"
    """When browsers send the session along with requests from other sites."""


class SessionOptions(ConfigModel):
    """How long a session lasts and where it is kept."""

    store: Literal["cookie", "valkey"] = "cookie"
    """Whether the session itself stands in the browser's cookie, sealed, or in Valkey, and the cookie only names it."""

    max_age: Annotated[Duration, Field(gt=0)] = 28800.0
    """How long a session lasts at most; then the user logs in again."""

    idle_timeout: Duration = 0.0
    """How long a session may be unused; 0 is no bound."""

    refresh_before: Duration = 60.0
    """How long before its end an access token is renewed, if the provider gave a refresh token."""

    recheck: Annotated[Duration, Field(ge=1)] = 5.0
    """How long a worker relies on what it knows of a session before it looks whether that was ended elsewhere."""

    claims: tuple[str, ...] = ()
    """Claims to keep; all unless given. Few claims make small cookies; the ID token is kept only with all."""

    single_gateway: bool = False
    """There is only one gateway, so nothing has to reach others: ``check`` then does not ask for ``valkey``."""


class ValkeyOptions(ServerOptions):
    """A Valkey or Redis server that all gateways share."""

    prefix: Annotated[str, Field(pattern=r"^[^\s{}]*$")] = "gateway:oidc:"
    """What the names of our keys begin with."""


class BearerOptions(ConfigModel):
    """Access tokens of other clients of the same provider, in place of a session."""

    audience: OneOrMore
    """Accepted ``aud``, or several; never that of ``client_id``, whose ID tokens are no access tokens."""


class ClientKeyOptions(ClientKeyFiles):
    """A key of ours, in place of a secret: the provider has its public half (``private_key_jwt``, RFC 7523)."""

    audience: Literal["issuer", "token_endpoint"] = "issuer"
    """Whom what is signed names as its recipient: some providers take only the URL of the token endpoint."""


class OidcConfig(ClientSecretOptions):
    """Users who log in at an OpenID provider, and what becomes of their sessions."""

    issuer: str
    """The provider's issuer, to the letter. `{tenantid}` stands for each of ``tenants``."""

    discovery_url: SecretUrl | None = None
    """URL of the provider's metadata, if it is not at the well-known place below the issuer."""

    tenants: tuple[Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]+$")], ...] = ()
    """Tenants whose users may log in, if the issuer has `{tenantid}`: the values of ``tid``."""

    client_id: str = Field(min_length=1)
    """Our name at the provider."""

    client_key: ClientKeyOptions | None = None
    """Our key, in place of a secret."""

    client_auth: Literal["auto", "basic", "post", "private_key_jwt", "none"] = "auto"
    """How we authenticate at the token endpoint; ``auto`` is with ``client_key`` if there is one, else as the
    provider's metadata says. ``none`` is that of a public client, which has no secret."""

    algorithms: tuple[Algorithm, ...] = ()
    """Accepted algorithms of tokens; by default the one of each key."""

    scopes: tuple[Annotated[str, Field(pattern=r"^[!#-\[\]-~]+$")], ...] = ("openid",)
    """Scopes to ask for; ``offline_access`` for a refresh token at many providers."""

    authorization_params: dict[str, str] = {}
    """More parameters of the authorization request, such as ``prompt``, ``audience`` or ``acr_values``."""

    redirect_uri: OneOrMore
    """Where the provider sends users back to, as registered there: of each host of the application one."""

    keys: tuple[Key, ...] = ()
    """Keys that seal cookies: the first seals, all open. To change it, put a new one in front, and remove the old one
    after ``session.max_age``."""

    keys_file: ConfigFile | None = None
    """File with the keys, one a line: when it is replaced, they are used without a restart."""

    unauthenticated: Literal["login", "deny", "pass"] = "login"
    """What becomes of requests without a session: navigations are sent to the provider and others get 401 (``login``),
    all get 401 (``deny``), or they pass without an identity (``pass``)."""

    login_path: Path | None = None
    """Path that begins a login, with ``return_to`` in its query for where to go on."""

    logout_path: Path | None = "/oauth2/logout"
    """Path that ends the session, here and at the provider."""

    backchannel_logout_path: Path | None = None
    """Path for the provider's logout tokens (OpenID Connect Back-Channel Logout)."""

    end_session_endpoint: str | None = None
    """URL of the provider's logout, if its metadata names none, or another."""

    post_logout_redirect_uri: str | None = None
    """Where users come to after a logout; registered at the provider. The application's ``/`` unless given."""

    trusted_origins: tuple[Origin, ...] = ()
    """Other origins whose pages may send requests with the session, beside those of ``redirect_uri``."""

    claims_to_headers: dict[Header, Annotated[str, Field(min_length=1)]] = {}
    """Claims for the upstream, as header name and dotted path. What a client sends under such a name is dropped."""

    access_token_header: Header | None = None
    """Header in which the upstream gets the access token; in Authorization with ``Bearer`` before it."""

    id_token_header: Header | None = None
    """Header in which the upstream gets the ID token."""

    userinfo: bool = False
    """Whether to ask the provider for more claims at each login."""

    trust_unverified_email: bool = False
    """Whether ``email`` counts although the provider does not say that it verified it."""

    login_max_age: Duration = 0.0
    """How long ago users may have entered their password at the provider when they log in here; 0 is no bound."""

    leeway: Duration = 60.0
    """Difference of clocks that is allowed for."""

    realm: str = Field(default="gateway", pattern=r"^[ !#-\[\]-~]*$")
    """The realm of the challenge in a 401."""

    cookie: CookieOptions = CookieOptions()
    """The cookies."""

    session: SessionOptions = SessionOptions()
    """The sessions."""

    valkey: ValkeyOptions | None = None
    """The server that all gateways share: for ``session.store: valkey``, and beside sealed cookies for what they cannot
    do alone."""

    bearer: BearerOptions | None = None
    """Accept access tokens in Authorization beside sessions."""

    fetch: FetchOptions = FetchOptions()
    """How the provider is asked."""

    @field_validator("redirect_uri")
    @classmethod
    def _redirect_uris_are_ours(cls, value: Any) -> Any:
        for uri in many(value):
            problem = url_problem(uri, allow_http=False)
            if problem is not None:
                raise ValueError(problem)
            _check_path(urlsplit(uri).path or "/")
            if urlsplit(uri).query or urlsplit(uri).fragment:
                raise ValueError(f"{shown_url(uri)!r} has a query or a fragment: a redirect_uri here has none")
        if len({origin_of(uri) for uri in many(value)}) != len(many(value)):
            raise ValueError("two of redirect_uri are of one host: keep one of them")
        return value

    @model_validator(mode="after")
    def _provider_urls_are_valid(self) -> Self:
        urls = [self.issuer.replace(TENANT, "tenant"), *([self.discovery_url.reveal()] if self.discovery_url else [])]
        urls += [url for url in (self.end_session_endpoint, self.post_logout_redirect_uri) if url is not None]
        for url in urls:
            problem = url_problem(url, allow_http=self.fetch.allow_http)
            if problem is not None:
                raise ValueError(problem)
        if (TENANT in self.issuer) != bool(self.tenants):
            raise ValueError(f"an issuer with {TENANT} needs tenants, and only that: name those whose users may log in")
        if self.tenants and self.discovery_url is None:
            raise ValueError(f"an issuer with {TENANT} needs discovery_url: such as that of the tenant organizations")
        return self

    @model_validator(mode="after")
    def _client_options_fit_together(self) -> Self:
        if "openid" not in self.scopes:
            raise ValueError("scopes lacks openid: without it the provider gives no ID token")
        secret = [name for name in self.algorithms if name in SECRET_ALGORITHMS]
        if secret:
            raise ValueError(f"{', '.join(secret)} needs a secret, which no key set gives: remove it from algorithms")
        taken = sorted(_OURS & self.authorization_params.keys())
        if taken:
            raise ValueError(f"authorization_params has {taken[0]!r}, which the plugin sets itself: remove it")
        has_secret = self.has_client_secret
        if has_secret and self.client_key is not None:
            raise ValueError("client_secret beside client_key: the key takes the place of a secret, give one of them")
        if self.client_auth in {"basic", "post"} and not has_secret:
            raise ValueError(f"client_auth: {self.client_auth} needs client_secret or client_secret_file")
        methods = {"auto", "private_key_jwt"} if self.client_key is not None else {"auto", "basic", "post", "none"}
        if self.client_auth not in methods:
            raise ValueError("client_auth: private_key_jwt and client_key go together: give both, or the key alone")
        if self.client_key is not None and self.client_key.audience == "issuer" and self.tenants:
            raise ValueError(f"client_key.audience: an issuer with {TENANT} is none to sign for, write token_endpoint")
        return self

    @model_validator(mode="after")
    def _sessions_are_safe(self) -> Self:
        if bool(self.keys) == (self.keys_file is not None):
            raise ValueError("cookies are sealed with keys or with keys_file: give one of them")
        if self.session.store == "valkey" and self.valkey is None:
            raise ValueError("session.store: valkey needs valkey: say where the server is")
        if self.cookie.same_site == "none" and not self.is_secure:
            raise ValueError("cookie.same_site: none needs https, or browsers drop the cookie")
        hosts = [urlsplit(uri).hostname or "" for uri in many(self.redirect_uri)]
        domain = self.cookie.domain
        if domain is not None and not all(host == domain or host.endswith(f".{domain}") for host in hosts):
            raise ValueError(f"cookie.domain {domain!r} is not a domain of each redirect_uri")
        if len({urlsplit(uri).scheme for uri in many(self.redirect_uri)}) > 1:
            raise ValueError("redirect_uri has https beside http: use https for all")
        return self

    @model_validator(mode="after")
    def _paths_and_headers_differ(self) -> Self:
        paths = [self.login_path, self.logout_path, self.backchannel_logout_path]
        given = [path for path in paths if path is not None] + [urlsplit(uri).path for uri in many(self.redirect_uri)]
        named = [path for path in paths if path is not None]
        if len(set(named)) != len(named) or any(given.count(path) > 1 for path in named):
            raise ValueError("login_path, logout_path, backchannel_logout_path and redirect_uri are different paths")
        headers = [name for name in (self.access_token_header, self.id_token_header) if name is not None]
        check_distinct([*self.claims_to_headers, *headers])
        if self.bearer is not None and self.client_id in many(self.bearer.audience):
            raise ValueError("bearer.audience has client_id, which ID tokens are for: name the API's own audience")
        return self

    @property
    def is_secure(self) -> bool:
        """Whether the application is reached over https; http is only for this machine."""
        return urlsplit(many(self.redirect_uri)[0]).scheme == "https"

    def key_texts(self) -> tuple[str, ...]:
        """Return the keys. Blocks.

        :raises ValueError: the file has none, or one that is too short; `OSError` if it cannot be read.
        """
        if self.keys_file is None:
            return tuple(key.reveal() for key in self.keys)
        lines = [line.strip() for line in self.keys_file.read_text().splitlines()]
        texts = tuple(line for line in lines if line and not line.startswith("#"))
        if not texts:
            raise ValueError(f"{self.keys_file} has no key: write one a line, made with openssl rand -hex 32")
        for text in texts:
            _check_key(text)
        return texts
