"""The options of the plugin."""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal, Self

from gateway_plugin_sdk import ConfigModel, Duration, HeaderName, Size
from gateway_plugin_sdk.valkey import ServerOptions
from pydantic import AfterValidator, Field, model_validator

_CACHE_NAME: Final = re.compile(r"[A-Za-z*][!#$%&'*+\-.^_`|~0-9A-Za-z:/]*")
_PARAMETER: Final = re.compile(r"[^&=#\s*]+\*?")


def _check_cache_name(value: str) -> str:
    if not _CACHE_NAME.fullmatch(value):
        raise ValueError("is not a token: begin with a letter, and use letters, digits and -._:/ (RFC 9211)")
    return value


def _check_parameter(value: str) -> str:
    if not _PARAMETER.fullmatch(value):
        raise ValueError("is not the name of a query parameter: write for example page, or utm_* for a beginning")
    return value


Status = Annotated[int, Field(ge=200, le=599)]
Parameter = Annotated[str, AfterValidator(_check_parameter)]
PositiveDuration = Annotated[Duration, Field(gt=0)]

DEFAULT_CREDENTIALS: Final = ("X-Api-Key", "Api-Key", "X-Auth-Token", "X-Access-Token")


class MemoryConfig(ConfigModel):
    """The memory of each worker that responses are kept in."""

    size: Annotated[Size, Field(ge=1024)] = 64 * 1024 * 1024
    """Bytes for everything that is kept, heads and keys included, in each worker. What is used least goes first; one
    pass over many URLs does not drive out what is used often."""


class ValkeyOptions(ServerOptions):
    """A Valkey or Redis server by which gateways share responses. Who may write to it decides what clients get."""

    timeout: Annotated[Duration, Field(gt=0, le=5)] = 0.1
    """How long a request waits for it at most; then it is a miss."""

    prefix: Annotated[str, Field(pattern=r"^[^\s{}]*$")] = "gateway:cache:"
    """What the names of our keys begin with; gateways that share have the same."""

    max_value: Annotated[Size, Field(ge=1024)] = 1024 * 1024
    """Bytes of a response, its head included; larger ones are not shared."""

    max_age: PositiveDuration = 86_400.0
    """How long a response stays there at most."""


class CollapseConfig(ConfigModel):
    """Requests for the same response while it is being fetched."""

    timeout: PositiveDuration = 5.0
    """How long a request waits for another one's response; then it goes upstream by itself."""

    pass_for: Duration = 10.0
    """How long requests for a URL whose response could not be stored go upstream at once, without waiting."""


class CacheConfig(ConfigModel):
    """A shared cache (RFC 9111): stores responses that say they may be stored, and responds with them."""

    memory: MemoryConfig = MemoryConfig()
    """Where responses are kept."""

    valkey: ValkeyOptions | None = None
    """A server where gateways share responses and purges, beside the memory of each worker."""

    max_body: Annotated[Size, Field(ge=1)] = 4 * 1024 * 1024
    """Bytes of a response's body; larger ones are not stored."""

    default_ttl: PositiveDuration | None = None
    """How long a response without Cache-Control and Expires is fresh, if its status lets it be cached by default (200,
    203, 204, 300, 301, 308, 404, 405, 410). Without it such responses are not stored."""

    heuristic_fraction: Annotated[float, Field(ge=0, le=1)] = 0.0
    """The part of the time since Last-Modified for which such a response is fresh, at most a day; 0.1 is usual."""

    max_ttl: PositiveDuration | None = None
    """The longest time that a response is fresh, whatever it says."""

    statuses: tuple[Status, ...] = ()
    """More statuses that are stored if the response says how long it is fresh. Those that depend on more of a request
    than its URL (such as 400, 413, 429 and 431) and those from 500 on are stored only if they are listed."""

    stale_while_revalidate: Duration = 0.0
    """How long after its lifetime a response is still sent while it is validated in the background, unless it has the
    directive itself."""

    stale_if_error: Duration = 0.0
    """How long after its lifetime a response is sent where the upstream fails (5xx or none), unless it has the
    directive itself."""

    cookies: Literal["bypass", "ignore"] | Annotated[tuple[str, ...], Field(min_length=1)] = "bypass"
    """Requests with cookies: they pass by the cache (``bypass``), or share responses whatever their cookies are
    (``ignore``), or whatever all but the listed cookies are."""

    set_cookie: Literal["refuse", "remove"] = "refuse"
    """Responses that set cookies: not stored, or stored without Set-Cookie."""

    credentials: tuple[HeaderName, ...] = DEFAULT_CREDENTIALS
    """Fields that count like Authorization: responses to requests with one are shared only if they are ``public`` or
    have ``s-maxage`` or ``must-revalidate``. The identity that a plugin found, and a client certificate, always do."""

    vary: tuple[HeaderName, ...] = ()
    """Request fields that keep responses apart, beside those that Vary names."""

    ignore_written: tuple[HeaderName, ...] = ()
    """Request fields that earlier plugins write and that do not keep responses apart. All others do."""

    remove_query: tuple[Parameter, ...] = ()
    """Query parameters that are taken out of requests, for the upstream as well, such as ``utm_*`` and ``gclid``."""

    client_directives: bool = True
    """Whether clients may ask for a response that is validated or newer (Cache-Control and Pragma of requests)."""

    collapse: CollapseConfig | None = CollapseConfig()
    """Have requests wait for the response of one that is under way; ``null`` sends each upstream."""

    targeted: tuple[HeaderName, ...] = ("CDN-Cache-Control",)
    """Response fields that hold in the place of Cache-Control, the first one first (RFC 9213)."""

    tags: tuple[HeaderName, ...] = ("Cache-Tag", "Surrogate-Key")
    """Response fields with tags that ``purge`` takes, separated by commas or white space. Clients do not get them."""

    max_tags: Annotated[int, Field(ge=1, le=1000)] = 64
    """Tags of one response; those with more are not stored."""

    max_variants: Annotated[int, Field(ge=1, le=1000)] = 32
    """Responses kept for one URL; of more, the oldest goes."""

    max_ranges: Annotated[int, Field(ge=0, le=100)] = 4
    """Ranges that a request may ask for of a stored response; with more it gets the whole."""

    cache_status: Annotated[str, AfterValidator(_check_cache_name)] | None = "gateway"
    """The name of this cache in Cache-Status (RFC 9211); ``null`` sends no such field."""

    @model_validator(mode="after")
    def _is_possible(self) -> Self:
        if self.max_body > self.memory.size:
            raise ValueError("max_body is larger than memory.size: such a body could never be stored")
        return self
