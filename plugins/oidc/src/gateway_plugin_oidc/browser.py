"""What a browser says of a request: is it a navigation, and does it come from our own pages? Pure.

Fetch Metadata (W3C) says it in fields that no script can set; where a client does not send them, Accept shows
navigations from calls of scripts.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final
from urllib.parse import urlsplit

from gateway_plugin_sdk import Request

_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_PORTS: Final = {"http": ":80", "https": ":443"}
_DOCUMENTS: Final = frozenset({"document", "iframe", "frame"})


def origin_of(url: str) -> str:
    """Return scheme and authority of a URL as browsers write them in Origin: in lower case, without the usual port."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{authority_of(parts.netloc, parts.scheme)}"


def authority_of(host: str, scheme: str) -> str:
    """Return a Host as it is compared: in lower case, without the port that the scheme has anyway."""
    return host.lower().removesuffix(_PORTS.get(scheme, ""))


def is_navigation(request: Request) -> bool:
    """Return whether a person waits for a page: only then is a redirect to a login page of any use."""
    if request.method not in {"GET", "HEAD"} or request.upgrade is not None:
        return False
    headers = request.headers
    if is_prefetch(request):  # a browser drops what is no page, and asks again when the user really goes there
        return False
    mode = headers.get("sec-fetch-mode")
    if mode is not None:
        return mode == "navigate" and headers.get("sec-fetch-dest", "document") in _DOCUMENTS
    if headers.get("x-requested-with") is not None or request.authorization is not None:
        return False
    return "text/html" in headers.get("accept", "").lower()


def is_prefetch(request: Request) -> bool:
    """Return whether a browser loads a page that the user may never go to (Fetch Metadata, ``Sec-Purpose``)."""
    headers = request.received.headers
    return any("prefetch" in headers.get(name, "").lower() for name in ("sec-purpose", "purpose"))


def is_from_us(request: Request, origins: Collection[str]) -> bool:
    """Return whether one of our own pages, or a listed one, sent a request (RFC 9700 section 4.7, OWASP).

    Origin decides if it is there, else Sec-Fetch-Site; a request with neither is not known to be ours. What the client
    sent counts: another binding may have changed the fields for the upstream.
    """
    headers = request.received.headers
    sent = headers.get_all("origin")
    if sent:
        return len(sent) == 1 and sent[0].lower() in origins
    return _is_of_our_site(headers.get_all("sec-fetch-site"))


def _is_of_our_site(sites: Sequence[str]) -> bool:
    """Return whether Sec-Fetch-Site says so; several contradict each other."""
    return len(sites) == 1 and sites[0] in {"same-origin", "none"}


def may_use_cookie(request: Request, origins: Collection[str]) -> bool:
    """Return whether a cookie may authenticate a request, and not one that another site makes a browser send."""
    if request.method in _SAFE and request.upgrade is None:
        return True
    return is_from_us(request, origins)


def may_log_out(request: Request, origins: Collection[str]) -> bool:
    """Return whether a request to log out is the user's own, and not another site's."""
    if request.method == "GET":
        headers = request.received.headers
        # A link to the logout may be loaded ahead. A link has no Origin, and old browsers no Sec-Fetch-Site.
        if is_prefetch(request):
            return False
        if "origin" in headers:
            return is_from_us(request, origins)
        sites = headers.get_all("sec-fetch-site")
        return not sites or _is_of_our_site(sites)
    return request.method == "POST" and is_from_us(request, origins)
