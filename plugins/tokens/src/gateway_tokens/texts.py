"""Value types that several models use."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from typing import Annotated, Final, TypeAlias
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

_TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_URL: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://)(?:[^/?#]*@)?([^?#]*)")
_VISIBLE: Final = re.compile(r"[^\x00-\x20\x7f]+")
_FRAMING: Final = frozenset({"host", "content-length", "transfer-encoding", "connection", "upgrade", "te", "trailer"})


def _check_header(value: str) -> str:
    if not _TOKEN.fullmatch(value):
        raise ValueError(f"{value!r} is not a header name: use letters, digits and dashes")
    if value.lower() in _FRAMING:
        raise ValueError(f"{value!r} belongs to the gateway: use another header")
    return value


Header: TypeAlias = Annotated[str, AfterValidator(_check_header)]
"""The name of a header field (RFC 9110 section 5.1)."""

_NonEmpty: TypeAlias = Annotated[str, Field(min_length=1)]
OneOrMore: TypeAlias = _NonEmpty | Annotated[tuple[_NonEmpty, ...], Field(min_length=1)]
"""A text, or a list of them."""


def many(value: str | tuple[str, ...] | None) -> tuple[str, ...]:
    """Return the texts of a `OneOrMore`."""
    if value is None:
        return ()
    return (value,) if isinstance(value, str) else value


def shown_url(url: str) -> str:
    """Return a URL without its userinfo and query, which may be secrets, for logs and labels; a path stays as it is."""
    # By a pattern and not by urlsplit(), which refuses some: what is no URL must not be shown in full either.
    match = _URL.match(url)
    return match[1] + match[2] if match is not None else url


def check_distinct(names: Iterable[str]) -> None:
    """Check that no two names are those of one header field: case does not matter, and CGI takes ``_`` for ``-``.

    :raises ValueError: two are.
    """
    seen: dict[str, str] = {}
    for name in names:
        other = seen.setdefault(name.lower().replace("_", "-"), name)
        if other is not name:
            raise ValueError(f"{other!r} and {name!r} are one header field for an upstream: remove one of them")


def proxy_problem(url: str) -> str | None:
    """Return what is wrong with the URL of an HTTP proxy, or None."""
    problem = url_problem(url, allow_http=True)
    return None if problem is None else f"{shown_url(url)!r} is not the URL of an HTTP proxy: write http://host:3128"


def is_loopback(host: str) -> bool:
    """Say whether a host is this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def url_problem(url: str, *, allow_http: bool) -> str | None:
    """Return what is wrong with the URL of a document that trust depends on, or None."""
    try:
        parts = urlsplit(url)
        host = parts.hostname
        _ = parts.port
    except ValueError:
        return f"{shown_url(url)!r} is not a URL: write https://host/path"
    if parts.scheme not in {"http", "https"} or not host or not _VISIBLE.fullmatch(url):
        return f"{shown_url(url)!r} is not a URL: write https://host/path"
    if parts.scheme == "http" and not (allow_http or is_loopback(host)):
        shown = shown_url(url)
        return f"{shown!r} is not encrypted, so it could be changed on the way: use https, or set fetch.allow_http"
    return None
