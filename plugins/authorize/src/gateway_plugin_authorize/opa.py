"""Decisions of Open Policy Agent, by its REST API: ``POST /v1/data/...`` with ``{"input": ...}``.

No decision (the document is undefined), another status than 200, and a response that is none of this are never "yes".
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from ipaddress import IPv6Address
from typing import Any, Final

from gateway_plugin_sdk import BodyTooLargeError, Request, UpstreamError, Upstreams

from gateway_plugin_authorize.config import OpaConfig
from gateway_plugin_authorize.consumers import Consumer

_LARGEST: Final = 65536


class OpaError(Exception):
    """There is no decision; the text is for logs."""


def input_of(request: Request, consumer: Consumer | None, config: OpaConfig) -> dict[str, Any]:
    """Return what a policy knows of a request."""
    identity, query = request.identity, dict[str, list[str]]()
    for name, value in request.query:
        query.setdefault(name, []).append(value)
    known: dict[str, Any] = {
        "method": request.method,
        "path": request.path,
        "segments": [segment for segment in request.path.split("/") if segment],
        "query": query,
        "host": plain_host(request.host),
        "scheme": request.scheme,
        "client_ip": request.client_ip,
        "route": request.route.id if request.route is not None else None,
        "headers": {name.lower(): request.headers.get_all(name) for name in config.headers if name in request.headers},
        "identity": None,
        "consumer": None if consumer is None else {"name": consumer.name, "groups": list(consumer.groups)},
    }
    if identity is not None:
        known["identity"] = {
            "subject": identity.subject,
            "scheme": identity.scheme,
            "claims": _plain(identity.claims),
        }
    return known


_NEEDLESS: Final = re.compile("%(2d|3[0-9]|[46][1-9a-f]|[57][0-9a]|5f|7e)")
"""Escapes of letters, digits, and the marks of names of hosts."""


def plain_host(text: str) -> str:
    """Return a host in the one spelling that routes match: policies compare it as they compare the path."""
    host = text.lower()
    if host.startswith("["):
        literal = host[1:].partition("]")[0]
        try:
            return f"[{IPv6Address(literal)}]"
        except ValueError:
            return f"[{literal}]"
    host = _NEEDLESS.sub(lambda found: chr(int(found[1], 16)).lower(), host)
    return host.partition(":")[0].removesuffix(".")


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    return value if value is None or isinstance(value, str | int | float | bool) else str(value)


async def decide(upstreams: Upstreams, config: OpaConfig, known: dict[str, Any]) -> bool | None:
    """Return the decision; None if the policy has none.

    :raises OpaError: it cannot be asked.
    """
    body = json.dumps({"input": known}).encode()
    headers = [("Content-Type", "application/json"), ("Accept", "application/json")]
    try:
        async with upstreams.fetch(
            config.target, "POST", config.path, headers, body, timeout=config.timeout
        ) as response:
            data = await response.read(_LARGEST)
    except (UpstreamError, BodyTooLargeError) as error:
        raise OpaError(f"no response: {getattr(error, 'reason', 'it is too large')}") from error
    if response.status != 200:
        raise OpaError(f"status {response.status}")
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        raise OpaError("the response is no JSON") from None
    result = found.get("result") if isinstance(found, dict) else None
    if isinstance(result, dict):
        result = result.get("allow")
    return result if isinstance(result, bool) else None
