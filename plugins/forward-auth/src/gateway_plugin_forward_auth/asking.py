"""What the service is asked, and under which key its response is kept.

The fields that describe the request are made here, whatever the client sent: no X-Forwarded or X-Original field of the
client's gets to the service. Traefik's and Caddy's names (``X-Forwarded-Method``, ``-Proto``, ``-Host``, ``-Uri``,
``-For``) and nginx's (``X-Original-Method``, ``X-Original-URL``) are both there.

The key is a digest of all that is sent: method, path, fields and body, each with its length, so that no two requests
look alike.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
from typing import Final, NamedTuple
from urllib.parse import quote

from gateway_plugin_sdk import Request

from gateway_plugin_forward_auth.config import ForwardAuthConfig

_NEVER: Final = frozenset(
    {
        "connection", "content-length", "expect", "forwarded", "host", "if-match", "if-modified-since", "if-none-match",
        "if-range", "if-unmodified-since", "keep-alive", "proxy-authorization", "range",
        "proxy-connection", "te", "traceparent", "tracestate", "trailer", "transfer-encoding", "upgrade", "via",
        "x-real-ip", "x-request-id",
    }
)  # fmt: skip
"""Fields of the connection, of what the gateway says itself, and those that are about the upstream's content."""

_MADE: Final = ("x-forwarded", "x-original", "x-envoy")
"""How the names of fields begin that only the gateway may write."""


class Asked(NamedTuple):
    """A request to the service."""

    method: str
    path: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    @property
    def key(self) -> bytes:
        """What decisions about it are kept under."""
        digest = blake2b(digest_size=32)
        parts = [self.method, self.path, *(part for pair in self.headers for part in pair)]
        for part in (*(text.encode("utf-8", "surrogateescape") for text in parts), self.body):
            digest.update(len(part).to_bytes(8, "big"))
            digest.update(part)
        return digest.digest()


def ask(request: Request, config: ForwardAuthConfig, body: bytes) -> Asked:
    """Return what the service is asked about a request."""
    method = request.method if config.method == "same" else config.method
    target = target_of(request)
    path = config.path.rstrip("/") + target if config.append_path else config.path
    headers = [*_passed_on(request, config.request_headers), *_described(request, target)]
    if config.preserve_host:
        headers.append(("Host", request.host))
    if body:
        for name in ("Content-Type", "Content-Encoding"):
            headers += [(name, value) for value in request.headers.get_all(name) if not _has(headers, name)]
    return Asked(method, path, tuple(headers), body)


def target_of(request: Request) -> str:
    """Return path and query as they go on, from the client's view."""
    return f"{request.raw_path}?{request.query_string}" if request.query_string else request.raw_path


def url_of(request: Request) -> str:
    """Return the URL that the client asked for."""
    return f"{request.scheme}://{request.host}{target_of(request)}"


def sign_in_url(template: str, request: Request) -> str:
    """Return where to send a browser, with the URL that it wanted."""
    return template.replace("{url}", quote(url_of(request), safe=""))


def _has(headers: Iterable[tuple[str, str]], name: str) -> bool:
    return any(each.lower() == name.lower() for each, _ in headers)


def _passed_on(request: Request, names: Iterable[str] | str) -> list[tuple[str, str]]:
    fields = request.headers
    if names == "all":
        return [(name, value) for name, value in fields.items() if _may_pass(name)]
    return [(name, value) for name in names if _may_pass(name) for value in fields.get_all(name)]


def _may_pass(name: str) -> bool:
    plain = name.lower().replace("_", "-")
    return plain not in _NEVER and not plain.startswith(_MADE)


def _described(request: Request, target: str) -> list[tuple[str, str]]:
    described = [
        ("X-Forwarded-Method", request.method),
        ("X-Forwarded-Proto", request.scheme),
        ("X-Forwarded-Host", request.host),
        ("X-Forwarded-Uri", target),
        ("X-Forwarded-For", request.client_ip),
        ("X-Original-Method", request.method),
        ("X-Original-URL", url_of(request)),
    ]
    prefix = request.headers.get("x-forwarded-prefix")
    if prefix is not None:  # of a trusted proxy, or a plugin: the gateway has removed any other
        described.append(("X-Forwarded-Prefix", prefix))
    return described
