"""Whether a response may be stored, and what of it (RFC 9111 sections 3 and 3.1)."""

from __future__ import annotations

from typing import Final

from gateway_plugin_sdk import FieldNames, Headers, Response

from gateway_plugin_cache.freshness import Policy

_UNDERSTOOD: Final = frozenset({200, 203, 204, 300, 301, 302, 303, 307, 308, 403, 404, 405, 410, 451})
"""Statuses that are stored: what they mean depends on the URL, and on what the response varies by."""
_PARTIAL: Final = frozenset({206, 304})
_PUBLIC: Final = frozenset({"public", "s-maxage", "must-revalidate"})
"""Directives that let a response to a request with credentials be shared (section 3.5)."""

_PER_REQUEST: Final = FieldNames(
    (
        "Access-Control-Allow-Origin", "Access-Control-Allow-Credentials", "Access-Control-Allow-Methods",
        "Access-Control-Allow-Headers", "Access-Control-Expose-Headers", "Access-Control-Max-Age",
        "Access-Control-Allow-Private-Network", "Timing-Allow-Origin", "RateLimit", "RateLimit-Policy",
        "RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset", "X-RateLimit-Limit", "X-RateLimit-Remaining",
        "X-RateLimit-Reset", "Server-Timing", "Via", "Set-Cookie",
    )
)  # fmt: skip
"""Fields that the gateway and its plugins write for one request: only what the upstream sent of them is stored."""
_NOT_STORED: Final = FieldNames(
    ("Age", "Content-Length", "X-Request-Id", "Connection", "Keep-Alive", "Proxy-Authenticate",
     "Proxy-Authentication-Info", "Proxy-Authorization", "Proxy-Connection", "TE", "Trailer", "Transfer-Encoding",
     "Upgrade")
)  # fmt: skip
"""Fields of one connection or request (section 3.1), and what is counted when the response is used."""
_NOT_UPDATED: Final = frozenset({"content-encoding", "content-type", "content-range", "content-length", "set-cookie"})
"""Fields of a 304 that change nothing of what is stored (section 3.2)."""


def storage_refusal(
    policy: Policy,
    status: int,
    statuses: frozenset[int],
    *,
    has_cookie: bool,
    has_credentials: bool,
    can_validate: bool,
) -> str | None:
    """Return why a response to GET may not be stored, as a word of Cache-Status' ``detail``; None if it may.

    :param statuses: more of them that the configuration lets be stored.
    :param has_cookie: whether it sets a cookie that is not removed.
    :param has_credentials: whether the request had.
    :param can_validate: whether it has a validator.
    """
    directives = policy.directives
    if status in _PARTIAL or (status not in statuses and (status >= 500 or not _is_understood(status))):
        return "status"
    # Section 5.2.2.3: who understands the status goes by must-understand, and ignores the no-store beside it.
    if "no-store" in directives and "must-understand" not in directives:
        return "no-store"
    if "private" in directives:
        return "private"
    if has_cookie:
        return "set-cookie"
    if has_credentials and not is_public(policy):
        return "credentials"
    if policy.last_use <= 0 and not (can_validate and (policy.is_explicit or "no-cache" in directives)):
        return "no-lifetime"
    return None


def _is_understood(status: int) -> bool:
    return status in _UNDERSTOOD


def is_public(policy: Policy) -> bool:
    """Whether requests with credentials may share a response."""
    return not _PUBLIC.isdisjoint(policy.directives.values)


def stored_headers(response: Response) -> Headers:
    """Return the fields of a response that are stored: without those that belong to one connection or one request."""
    headers = response.headers.copy()
    came = response.received_headers
    headers.remove_any(_NOT_STORED)
    if headers.remove_any(_PER_REQUEST) and came is not None:
        names = _names_in(came)
        headers.extend([(name, value) for name, value in came.items() if name.lower() in names])
    headers.remove("Set-Cookie")
    return headers


def shared_headers(headers: Headers) -> Headers:
    """Return the fields of a response that another gateway stored, which is not trusted to have left out these."""
    kept = headers.copy()
    kept.remove_any(_NOT_STORED)
    kept.remove("Set-Cookie")
    return kept


def _names_in(headers: Headers) -> set[str]:
    return {name.lower() for name in headers if Headers([(name, "")]).has_any(_PER_REQUEST)}


def updated_headers(stored: Headers, received: Headers) -> Headers:
    """Return stored fields as a 304 changes them (section 3.2).

    :param received: fields of the 304 that may be stored.
    """
    changed = [(name, value) for name, value in received.items() if name.lower() not in _NOT_UPDATED]
    headers = stored.copy()
    if changed:
        headers.remove_any(FieldNames({name.lower() for name, _ in changed}))
        headers.extend(changed)
    return headers


def is_of_another_version(stored: Headers, received: Headers) -> bool:
    """Whether a 304 is about another version than the one that is stored (section 4.3.4): its ETag is a strong one and
    differs. Then it must not change what is stored, or a body would get the ETag of another.
    """
    etag = received.get("ETag")
    return etag is not None and not etag.startswith("W/") and etag != (stored.get("ETag") or "").removeprefix("W/")
