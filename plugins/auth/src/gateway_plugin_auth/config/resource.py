"""Configuration of the metadata of a protected resource."""

from __future__ import annotations

import json
import re
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

from gateway_plugin_sdk import ConfigModel
from gateway_tokens.texts import shown_url, url_problem
from pydantic import AfterValidator, Field

OURS: Final = frozenset(
    {
        "resource", "authorization_servers", "scopes_supported", "bearer_methods_supported", "resource_name",
        "resource_documentation", "dpop_signing_alg_values_supported", "dpop_bound_access_tokens_required",
        "tls_client_certificate_bound_access_tokens", "signed_metadata",
    }
)  # fmt: skip
"""Members that have an option of their own, are derived, or cannot be given."""


_URI: Final = re.compile(r"[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%-]+")
"""Characters of RFC 3986: a challenge has the URL between quotes."""


def _check_url(value: str) -> str:
    problem = url_problem(value, allow_http=False)
    if problem is not None:
        raise ValueError(problem)
    if "@" in urlsplit(value).netloc:
        raise ValueError(f"{shown_url(value)!r} has a user, which everybody would read: remove it")
    if "?" in value or "#" in value:
        raise ValueError(f"{value!r} has a query or a fragment: remove it")
    if _URI.fullmatch(value) is None:
        raise ValueError(f"{value!r} has characters that no URL has: percent-encode them")
    return value


def _check_more(value: dict[str, Any]) -> dict[str, Any]:
    twice = sorted(OURS.intersection(value))
    if twice:
        raise ValueError(f"{twice[0]!r} is not set here: it has an option of its own, or follows from the others")
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        raise ValueError("there is a value that JSON has not, such as a date: write it as a text") from None
    return value


Url = Annotated[str, AfterValidator(_check_url)]


class ResourceOptions(ConfigModel):
    """What clients may know of the API (RFC 9728), served below ``/.well-known/oauth-protected-resource``."""

    resource: Url
    """The API's identifier, to the letter: the URL under which clients know it. Its path stands behind the well-known
    one, and the Host of a request does not matter."""

    authorization_servers: tuple[Url, ...] = ()
    """Issuers that clients get tokens from; by default those of the binding's providers."""

    scopes_supported: tuple[Annotated[str, Field(pattern=r"^[!#-\[\]-~]+$")], ...] = ()
    """Scopes that clients may ask for; by default those that the binding's rules name."""

    resource_name: str | None = None
    """Name of the API for people."""

    resource_documentation: Url | None = None
    """URL of a page for developers."""

    more: Annotated[dict[str, Any], AfterValidator(_check_more)] = {}
    """Other members of the document, such as ``resource_policy_uri``."""
