"""The metadata of a protected resource (RFC 9728): a document by which clients find where to get which tokens."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Final
from urllib.parse import urlsplit

from gateway_plugin_sdk import Request, Response
from gateway_tokens.texts import many

from gateway_plugin_auth.config import AuthConfig, IntrospectionProvider, JwtOptions
from gateway_plugin_auth.config.requirement import names_in
from gateway_plugin_auth.config.resource import ResourceOptions
from gateway_plugin_auth.credentials import Source

_WELL_KNOWN: Final = "/.well-known/oauth-protected-resource"


class ResourceMetadata:
    """The document of one resource, and where it is."""

    def __init__(self, options: ResourceOptions, config: AuthConfig) -> None:
        parts = urlsplit(options.resource)
        self.path = _WELL_KNOWN + (parts.path if parts.path != "/" else "")
        """Where it is served (RFC 9728 section 3.1)."""
        self.url = f"{parts.scheme}://{parts.netloc}{self.path}"
        """What challenges name as ``resource_metadata``."""
        self._body = json.dumps(_document(options, config)).encode()

    def respond(self, request: Request) -> Response | None:
        """Return the response if the request is for the document, else None."""
        if request.raw_path != self.path:
            return None
        if request.method not in {"GET", "HEAD"}:
            return Response.problem(405, "the metadata of the resource is only read", headers=[("Allow", "GET, HEAD")])
        # Public, and the same for everybody: scripts of any site may read it, too.
        fields = [
            ("Content-Type", "application/json"), ("Cache-Control", "public, max-age=300"),
            ("Access-Control-Allow-Origin", "*"),
        ]  # fmt: skip
        return Response(200, self._body, fields)


def _document(options: ResourceOptions, config: AuthConfig) -> dict[str, Any]:
    configs = config.provider_configs()
    providers = [configs[name] for name in dict.fromkeys(names_in(config.requirement()))]
    tokens = [each for each in providers if isinstance(each, JwtOptions | IntrospectionProvider)]
    issuers = (issuer for each in tokens for issuer in many(each.issuer) if "{" not in issuer)
    rules = (each.scopes for each in providers if each.scopes is not None)
    scopes = (scope for rule in rules for scope in sorted({*rule.all, *rule.any}))
    places = {place for each in tokens for source in each.token_sources() for place in _method(source)}
    proofs = [each.dpop for each in tokens if each.dpop is not None]
    members: dict[str, Any] = {
        "resource": options.resource,
        "authorization_servers": _distinct(options.authorization_servers or issuers),
        "scopes_supported": _distinct(options.scopes_supported or scopes),
        "bearer_methods_supported": sorted(places),
        "resource_name": options.resource_name,
        "resource_documentation": options.resource_documentation,
        "dpop_signing_alg_values_supported": _distinct(name for each in proofs for name in each.algorithms),
        "dpop_bound_access_tokens_required": bool(tokens) and all(each.dpop and each.dpop.required for each in tokens),
        "tls_client_certificate_bound_access_tokens": any(each.mtls.required for each in tokens),
        **options.more,
    }
    # RFC 9728 section 2: what has no value is left out; a boolean that is left out is false.
    return {name: value for name, value in members.items() if value not in (None, False, [])}


def _method(source: Source) -> Iterable[str]:
    if source.is_authorization:
        yield "header"
    if (source.place, source.name) == ("query", "access_token"):
        yield "query"


def _distinct(items: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(items))
