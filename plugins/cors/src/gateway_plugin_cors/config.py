"""The options of the plugin."""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal, Self
from urllib.parse import urlsplit

from gateway_plugin_sdk import ConfigModel, Duration, HeaderName, Method, Pattern
from pydantic import AfterValidator, Field, model_validator

ANY: Final = "*"
NULL: Final = "null"
SAFELISTED_METHODS: Final = frozenset({"GET", "HEAD", "POST"})
"""Methods that a browser sends without being allowed to (Fetch section 2.2.1)."""

_HOST: Final = re.compile(r"(?:\*\.)?[a-z0-9-]+(?:\.[a-z0-9-]+)*|\[[0-9a-f:.]+\]")
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


def _check_origin(value: str) -> str:
    if value in {ANY, NULL}:
        return value
    scheme, separator, rest = value.partition("://")
    if not separator or not scheme:
        raise ValueError(
            f"is not an origin: write a scheme and a host, such as https://{rest or value or 'example.com'}"
        )
    if not rest.isascii():
        raise ValueError("has characters that browsers write in ASCII: write the host's name with xn--")
    if value != value.lower():
        raise ValueError(f"is never sent by a browser, which writes origins in lower case: write {value.lower()}")
    try:
        parts = urlsplit(value.removesuffix(":*"))
        port = parts.port
    except ValueError:
        raise ValueError("is not an origin: its port is no number from 0 to 65535") from None
    if parts.path or parts.query or parts.fragment or "?" in value or "#" in value:
        raise ValueError(f"has a path, and origins have none: write {scheme}://{parts.netloc}")
    if "@" in parts.netloc:
        raise ValueError("has a user, and origins have none: write scheme, host and port only")
    host = parts.netloc if port is None else parts.netloc.rpartition(":")[0]
    if not _HOST.fullmatch(host):
        raise ValueError("is not an origin: a host may begin with *. and has no other wildcard; use regex for those")
    if port is not None and port == _DEFAULT_PORTS.get(scheme):
        raise ValueError(f"names the default port, which browsers leave out: write {scheme}://{host}")
    return value


class OriginPattern(ConfigModel):
    """Origins by a regular expression."""

    regex: Pattern
    """Must match the whole origin, such as ``https://pr-[0-9]+[.]example[.]com``: a dot that is not escaped matches
    any character."""


Origin = Annotated[str, AfterValidator(_check_origin)]


def _check_header(value: str) -> str:
    return value.lower()


class CorsConfig(ConfigModel):
    """Which pages of other origins may read responses, and send requests that need to be allowed."""

    origins: Annotated[tuple[Origin | OriginPattern, ...], Field(min_length=1)]
    """``https://app.example.com``, ``https://*.example.com`` (each subdomain, however deep), ``http://localhost:*``
    (each port), ``null`` (files and sandboxed frames), ``{regex: ...}``, or ``*`` for all."""

    credentials: bool = False
    """Whether pages may send cookies, client certificates and Authorization of the browser's own, and see what they
    get. Not together with ``*``."""

    methods: Annotated[tuple[Literal["*"] | Method, ...], Field(min_length=1)] = (
        "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE",
    )  # fmt: skip
    """Methods that pages may use; ``["*"]`` for all."""

    headers: tuple[Annotated[HeaderName, AfterValidator(_check_header)], ...] = (ANY,)
    """Request fields that pages may set, in any case; ``["*"]`` for all, Authorization included."""

    expose: tuple[HeaderName, ...] = ()
    """Response fields that pages may read beside the usual seven; ``["*"]`` for all, without credentials."""

    max_age: Duration | None = None
    """How long a browser may remember what a preflight allowed; browsers keep it for 5 seconds unless given, and for
    two hours (Chromium) or a day (Firefox) at most. 0 asks each time."""

    private_network: bool = False
    """Whether public pages may reach this gateway in a private network (Private Network Access)."""

    forward_preflights: bool = False
    """Whether the upstream responds to preflights of allowed origins; this plugin sets the fields."""

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if self.credentials and ANY in self.origins:
            raise ValueError(
                'credentials and the origin "*" would let every page of the web act for your users: list the origins'
            )
        if self.credentials and ANY in self.expose:
            raise ValueError('browsers take the "*" of expose literally beside credentials: list the fields')
        if ANY in self.origins and len(self.origins) > 1:
            raise ValueError('"*" stands for all origins: leave out the others, or "*"')
        for name in ("methods", "headers", "expose"):
            values = getattr(self, name)
            if ANY in values and len(values) > 1:
                raise ValueError(f'"*" stands for all {name}: leave out the others, or "*"')
        return self
