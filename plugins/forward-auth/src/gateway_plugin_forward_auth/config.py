"""The options of the plugin."""

from __future__ import annotations

from typing import Annotated, Final, Literal, Self

from gateway_plugin_sdk import ConfigModel, Duration, FieldNames, HeaderName, Method, Size, UpstreamName
from pydantic import Field, model_validator

REQUEST_HEADERS: Final = (
    "Authorization",
    "Cookie",
    "Accept",
    "Accept-Language",
    "User-Agent",
    "Origin",
    "Referer",
    "X-Requested-With",
)
"""What services that show a login page, or distinguish programs from browsers, look at."""

_FRAMING: Final = FieldNames(
    ["Connection", "Content-Length", "Host", "Keep-Alive", "TE", "Trailer", "Transfer-Encoding", "Upgrade"]
)


class CacheConfig(ConfigModel):
    """Which decisions are kept: those that let a request pass, and set no cookie."""

    ttl: Annotated[Duration, Field(gt=0)]
    """How long, unless the service's Cache-Control says less."""

    max_entries: Annotated[int, Field(strict=True, ge=1, le=1_000_000)] = 10_000
    """How many at once, in each worker."""


class BodyConfig(ConfigModel):
    """The request's body goes to the service as well, whole."""

    max_size: Annotated[Size, Field(ge=1)]
    """Bytes; a request with a longer body gets 413."""


class IdentityConfig(ConfigModel):
    """The fields of the service's response that say who the caller is."""

    subject: HeaderName = "Remote-User"
    """The caller's name."""

    groups: HeaderName | None = None
    """The caller's groups, separated by commas: the claim ``groups``."""

    claims: dict[str, HeaderName] = {}
    """Other claims, by name, such as ``email: Remote-Email``."""


class ForwardAuthConfig(ConfigModel):
    """Ask an HTTP service about each request.

    A 2xx lets it pass. Any other response below 500 goes to the client in the upstream's place. Where the service gives
    none, or one of 500 and above, the client gets 503.
    """

    target: UpstreamName
    """The service: an upstream, or a URL of scheme, host and port."""

    path: Annotated[str, Field(pattern=r"^/[!-\"$-~]*$")] = "/"
    """The path that is asked for, which may have a query."""

    append_path: bool = False
    """Whether the client's path and query follow ``path``, as with Envoy's ``path_prefix``."""

    preserve_host: bool = False
    """Whether the service gets the client's Host, as from Envoy, in place of its own."""

    method: Method | Literal["same"] = "GET"
    """The method to ask with; ``same`` is the client's."""

    request_headers: tuple[HeaderName, ...] | Literal["all"] = REQUEST_HEADERS
    """The client's fields that the service gets, or ``all`` of them."""

    upstream_headers: tuple[HeaderName, ...] = ()
    """Fields of a 2xx that go upstream with the request; what a client sends under these names does not."""

    client_headers: tuple[HeaderName, ...] = ()
    """Fields of a 2xx that go to the client with the response; Set-Cookie always does."""

    identity: IdentityConfig = IdentityConfig()
    """Who the caller is."""

    anonymous: str = "anonymous"
    """The name of a caller that the service lets pass without saying who it is."""

    sign_in: Annotated[str, Field(pattern=r"^(https?://|/)[!-~]*$")] | None = None
    """Where a browser that gets 401 is sent, with ``{url}`` for where it wanted to go (percent-encoded)."""

    body: BodyConfig | None = None
    """Whether the service gets the request's body."""

    cache: CacheConfig | None = None
    """Whether decisions are kept."""

    timeout: Annotated[Duration, Field(gt=0)] = 5.0
    """How long the service may take, all in all."""

    @model_validator(mode="after")
    def _can_be_sent(self) -> Self:
        if self.body is not None and self.method in {"GET", "HEAD"}:
            raise ValueError(f"body does not go with {self.method}: write method: same, or POST")
        identity = self.identity
        for key, names in {
            "request_headers": () if self.request_headers == "all" else self.request_headers,
            "upstream_headers": self.upstream_headers,
            "client_headers": self.client_headers,
            "identity": (identity.subject, identity.groups or "", *identity.claims.values()),
        }.items():
            if bad := [name for name in names if _is_framing(name)]:
                raise ValueError(f"{key} has {bad[0]!r}, which frames one message and is never passed on: remove it")
        return self


def _is_framing(name: str) -> bool:
    return _FRAMING.are_in(f"\r\n{name.lower()}:".encode())
