"""The metadata of an issuer: OpenID Connect Discovery 1.0, RFC 8414."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

from gateway_tokens.documents import FetchError, Load, Loaded
from gateway_tokens.fetch import FetchOptions
from gateway_tokens.loaders import Client, Lifetime, Read, Reader, loaded_value
from gateway_tokens.reading import decode_json
from gateway_tokens.texts import shown_url, url_problem

ValueT = TypeVar("ValueT")
Metadata = Mapping[str, Any]

_WELL_KNOWN: Final = ("/.well-known/openid-configuration", "/.well-known/oauth-authorization-server")
_LONGEST_SHOWN: Final = 200
_LONGEST_URL: Final = 2048
"""Characters of an endpoint: with what a login adds, a browser still has to take the URL."""


def metadata_urls(issuer: str) -> tuple[str, str]:
    """Return where an issuer's metadata may be.

    OpenID Connect Discovery section 4.1 appends to the issuer; RFC 8414 section 3.1 puts it between host and path.
    """
    parts = urlsplit(issuer)
    path = parts.path.rstrip("/")
    return issuer.rstrip("/") + _WELL_KNOWN[0], f"{parts.scheme}://{parts.netloc}{_WELL_KNOWN[1]}{path}"


def read_metadata(text: bytes, url: str, issuer: str) -> Metadata:
    """Return the metadata of an issuer.

    :param url: where the text was fetched from.
    :raises FetchError: it is none, or that of another issuer (OpenID Connect Discovery section 4.3): its
        server could else have tokens of one issuer verified with the keys of another.
    """
    try:
        metadata = decode_json(text)
    except ValueError as error:
        raise FetchError(str(error), url) from error
    if not isinstance(metadata, dict):
        raise FetchError("this is not the metadata of an issuer", url)
    found = metadata.get("issuer")
    if found != issuer:
        shown = repr(found[:_LONGEST_SHOWN]) if isinstance(found, str) else "no issuer"
        raise FetchError(f"this is the metadata of {shown}, not of {issuer!r}", url)
    return metadata


def endpoint_of(metadata: Metadata, name: str, place: str, *, allow_http: bool) -> str:
    """Return a URL that the metadata names.

    :raises FetchError: there is none, or it is not one that can be trusted.
    """
    found = metadata.get(name)
    if not isinstance(found, str):
        raise FetchError(f"there is no {name} in the metadata", place)
    if len(found) > _LONGEST_URL:
        raise FetchError(f"{name} has more than {_LONGEST_URL} characters", place)
    if "#" in found:  # what is added to it would never be sent (RFC 6749 section 3.1)
        raise FetchError(f"{name} {shown_url(found)!r} has a fragment, which no endpoint has", place)
    problem = url_problem(found, allow_http=allow_http)
    if problem is not None:
        raise FetchError(f"{name} {problem}", place)
    return found


async def fetch_metadata(client: Client, issuer: str, url: str | None = None) -> tuple[Metadata, str]:
    """Return an issuer's metadata, and where it was found.

    :param url: where it is, if not at one of the well-known places.
    :raises FetchError: there is none.
    """
    if url is not None:
        text, _ = await client.fetch(url)
        return read_metadata(text, shown_url(url), issuer), shown_url(url)
    first, second = metadata_urls(issuer)
    try:
        text, _ = await client.fetch(first)
    except FetchError as error:
        try:
            text, _ = await client.fetch(second)
        except FetchError as other:
            if error.reason == other.reason:
                raise FetchError(error.reason, shown_url(issuer)) from other
            raise FetchError(f"{error}; {other}") from other
        return read_metadata(text, second, issuer), second
    return read_metadata(text, first, issuer), first


def value_from_issuer(
    issuer: str, options: FetchOptions, lifetime: Lifetime, read: Read[ValueT], url: str | None = None
) -> Load[ValueT]:
    """Return a loader of the key set that an issuer's metadata names.

    :param url: where the metadata is, if not at one of the well-known places.
    """
    client, reader = Client(options), Reader(read)

    async def load() -> Loaded[ValueT]:
        metadata, place = await fetch_metadata(client, issuer, url)
        keys = endpoint_of(metadata, "jwks_uri", place, allow_http=options.allow_http)
        data, cache_control = await client.fetch(keys)
        return loaded_value(await reader(data, shown_url(keys)), lifetime(cache_control))

    return load
