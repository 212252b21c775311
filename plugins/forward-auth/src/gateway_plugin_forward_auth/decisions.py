"""What the service's response means, and how long it is kept."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from gateway_plugin_sdk import Headers, Identity, Response

from gateway_plugin_forward_auth.config import ForwardAuthConfig, IdentityConfig

SCHEME: Final = "forward-auth"
LARGEST: Final = 65536
"""Bytes of a response that a client gets."""

_OF_THE_MESSAGE: Final = (
    "connection", "content-length", "date", "keep-alive", "proxy-connection", "server", "te", "trailer",
    "transfer-encoding", "upgrade", "via", "x-request-id",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Passed:
    """The request may go on."""

    identity: Identity
    upstream: tuple[tuple[str, str], ...]
    """Fields for the upstream."""
    client: tuple[tuple[str, str], ...]
    """Fields for the client."""
    lifetime: float
    """Seconds for which it may be kept; 0 if it must not be."""


def passed(headers: Headers, config: ForwardAuthConfig) -> Passed:
    """Read a 2xx."""
    upstream = [(name, value) for name in config.upstream_headers for value in headers.get_all(name)]
    cookies = [("Set-Cookie", value) for value in headers.get_all("set-cookie")]
    others = [name for name in config.client_headers if name.lower() != "set-cookie"]
    client = [*cookies, *((name, value) for name in others for value in headers.get_all(name))]
    lifetime = 0.0 if cookies or config.cache is None else _lifetime(headers, config.cache.ttl)
    return Passed(_identity(headers, config.identity, config.anonymous), tuple(upstream), tuple(client), lifetime)


def refused(status: int, headers: Headers, body: bytes) -> Response:
    """Return the response that a client gets in the upstream's place."""
    fields = headers.copy()
    for name in _OF_THE_MESSAGE:
        fields.remove(name)
    fields.setdefault("Cache-Control", "no-store")
    return Response(status, headers=fields, body=body)


def _identity(headers: Headers, config: IdentityConfig, anonymous: str) -> Identity:
    subjects = [value for value in headers.get_all(config.subject) if value]
    if len(subjects) != 1:
        return Identity(anonymous, "anonymous")
    claims: dict[str, object] = {}
    for name, field in config.claims.items():
        value = headers.get(field)
        if value is not None:
            claims[name] = _text(value)
    if config.groups is not None and (joined := headers.joined(config.groups)) is not None:
        claims["groups"] = [group for part in _text(joined).split(",") if (group := part.strip())]
    return Identity(_text(subjects[0]), SCHEME, claims)


def _text(value: str) -> str:
    """Return a field's value as text: services write UTF-8."""
    data = value.encode("latin-1")
    try:
        return data.decode()
    except UnicodeDecodeError:
        return value


def _lifetime(headers: Headers, ttl: float) -> float:
    for directive in (headers.joined("cache-control") or "").lower().split(","):
        name, _, value = directive.strip().partition("=")
        if name in {"no-store", "no-cache"}:
            return 0.0
        if name == "max-age":
            seconds = value.strip('"')
            ttl = min(ttl, float(seconds)) if seconds.isascii() and seconds.isdigit() and len(seconds) < 10 else 0.0
    return ttl


class DecisionCache:
    """Decisions by key, up to a number; those used least recently go first."""

    __slots__ = ("_entries", "_most")

    def __init__(self, most: int) -> None:
        self._entries: OrderedDict[bytes, tuple[float, Passed]] = OrderedDict()
        self._most = most

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: bytes, now: float) -> Passed | None:
        """Return a decision that still holds."""
        found = self._entries.get(key)
        if found is None:
            return None
        if now >= found[0]:
            del self._entries[key]
            return None
        self._entries.move_to_end(key)
        return found[1]

    def put(self, key: bytes, decision: Passed, now: float) -> None:
        """Keep a decision for its lifetime."""
        self._entries[key] = now + decision.lifetime, decision
        self._entries.move_to_end(key)
        if len(self._entries) > self._most:
            self._entries.popitem(last=False)

    def clear(self) -> None:
        """Forget all."""
        self._entries.clear()
