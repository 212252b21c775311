"""Ask an authorization server about tokens (RFC 7662), once for all who present the same.

Whatever is not a clear "yes" of the server is none: a token is accepted only if the response has status 200 and is a
JSON object whose ``active`` is the literal true. A server that is away, refuses us or sends anything else has said
nothing about the token, which then can be neither accepted nor called wrong (503).

Responses are kept for the tokens as digests over a random key, those of active and of other tokens apart: a flood of
made-up tokens makes no one's token be asked about again.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeAlias
from urllib.parse import quote_plus, urlencode

from gateway_plugin_sdk import BodyTooLargeError, Headers, PluginContext, UpstreamError, Upstreams
from gateway_tokens.cache import VerifiedCache
from gateway_tokens.claims import is_date
from gateway_tokens.jws import MalformedTokenError, decode_object
from gateway_tokens.refusal_log import RefusalLog
from gateway_tokens.texts import shown_url

from gateway_plugin_auth.config.introspection import IntrospectionProvider
from gateway_plugin_auth.config.revocation import BYTES_PER_TOKEN
from gateway_plugin_auth.flights import Flights

if TYPE_CHECKING:
    from gateway_tokens.client_key import ClientKey

LARGEST: Final = 65536
"""Bytes of a response."""

_SIGNED_RESPONSE: Final = "application/token-introspection+jwt"
# What claims take in memory beside the text that they were read from; see the provider of JSON Web Tokens.
_BYTES_OF_AN_ENTRY: Final = 600
_BYTES_PER_BYTE: Final = 5


@dataclass(frozen=True, slots=True)
class Introspected:
    """What the server says of a token."""

    claims: Mapping[str, Any] | None
    """The response; None if the token is not active."""
    until: float
    """Seconds since the epoch until which this holds; not to be kept if that is past."""
    size: int = 0
    """Bytes of memory, roughly."""


@dataclass(frozen=True, slots=True)
class Unanswered:
    """The server says nothing of a token; ``why`` is for logs."""

    why: str
    retry_after: float = 1.0


Introspection: TypeAlias = Introspected | Unanswered


class Introspector:
    """Asks one authorization server, for all bindings that ask it in the same way."""

    def __init__(self, config: IntrospectionProvider, context: PluginContext) -> None:
        """Prepare requests. Reads the files of the configuration, and so blocks.

        :raises ValueError: a file cannot be used; `OSError` if it cannot be read.
        """
        self._config = config
        self._target, self._path = config.place()
        self.name = shown_url(self._target + self._path if config.endpoint is not None else self._target)
        """The endpoint, for logs and metrics."""
        key = config.client_key
        self._audience = key.audience if key is not None and key.audience else self._target + self._path
        self._clock = context.clock
        self._log = context.log
        self._failures = RefusalLog()
        self._form: dict[str, str] = {"token_type_hint": config.token_type_hint} if config.token_type_hint else {}
        self._headers = Headers([("Accept", "application/json"), ("Content-Type", "application/x-www-form-urlencoded")])
        self._key: ClientKey | None = None
        self._authenticate()
        cache = config.cache
        self._active: VerifiedCache[Introspected] = VerifiedCache(cache.size, BYTES_PER_TOKEN)
        self._inactive: VerifiedCache[Introspected] = VerifiedCache(cache.size)
        self.digest = self._active.digest
        """Returns what stands for a token here."""
        self._flights: Flights[Introspection] = Flights(f"tokens at {self.name}", config.max_concurrent)
        results = context.metrics.counter(
            "gateway_auth_introspections_total", "Requests to introspection endpoints.", ("endpoint", "result")
        )
        self._results = {result: results.labels(self.name, result) for result in ("active", "inactive", "failed")}

    def _authenticate(self) -> None:
        config = self._config
        client_id = config.client_id or ""
        for name, value in config.headers.items():
            self._headers[name] = value.reveal()
        if config.client_auth == "basic":
            # Both parts are form-encoded first (RFC 6749 section 2.3.1).
            pair = f"{quote_plus(client_id)}:{quote_plus(config.client_secret_text())}"
            self._headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
            return
        if client_id:
            self._form["client_id"] = client_id
        if config.client_auth == "post":
            self._form["client_secret"] = config.client_secret_text()
        elif config.client_key is not None:
            from gateway_tokens.client_key import ClientKey  # noqa: PLC0415 - only where a key is configured

            self._key = ClientKey(config.client_key, client_id, self._clock.wall)

    async def aclose(self) -> None:
        """End what is in progress."""
        await self._flights.aclose()

    def known(self, digest: bytes) -> Introspected | None:
        """Return what the server said of a token, if that still holds."""
        found = self._active.get(digest) or self._inactive.get(digest)
        return found if found is not None and self._clock.wall() < found.until else None

    def look_up(
        self, token: str, digest: bytes, client: str, upstreams: Upstreams
    ) -> asyncio.Future[Introspection | None]:
        """Return what the server says of a token; None if too many tokens are asked about.

        :param client: the network of the client that presents it.
        """
        return self._flights.join(digest, client, partial(self._introspect, token, digest, upstreams))

    async def _introspect(self, token: str, digest: bytes, upstreams: Upstreams) -> Introspection:
        found = await self._ask(token, upstreams)
        self._active.drop(digest)
        self._inactive.drop(digest)
        if isinstance(found, Unanswered):
            self._results["failed"].inc()
            if self._failures.take("failed", self._clock.monotonic()) is not None:
                self._log.warning("cannot introspect tokens at %s: %s", self.name, found.why)
            return found
        is_active = found.claims is not None
        self._results["active" if is_active else "inactive"].inc()
        if self._clock.wall() < found.until:
            (self._active if is_active else self._inactive).put(digest, found, found.size)
        return found

    async def _ask(self, token: str, upstreams: Upstreams) -> Introspection:
        form = {"token": token, **self._form}
        if self._key is not None:
            form |= await asyncio.to_thread(self._key.fields, self._audience)
        body = urlencode(form).encode()
        try:
            async with upstreams.fetch(
                self._target, "POST", self._path, self._headers, body, timeout=self._config.timeout
            ) as response:
                if response.status != 200:
                    return Unanswered(_status_text(response.status), _retry_after(response.headers))
                kind = (response.headers.get("content-type") or "").partition(";")[0].strip().lower()
                if kind == _SIGNED_RESPONSE:
                    return Unanswered("it sends a signed response (RFC 9701), which is not supported")
                data = await response.read(LARGEST)
        except UpstreamError as error:
            return Unanswered(f"no response ({error.reason})")
        except BodyTooLargeError:
            return Unanswered(f"the response has more than {LARGEST} bytes")
        return self._read(data)

    def _read(self, data: bytes) -> Introspection:
        try:
            claims = decode_object(data)
        except MalformedTokenError as error:
            return Unanswered(f"the response is none: {error}")
        active, cache, now = claims.get("active"), self._config.cache, self._clock.wall()
        if active is False:
            return Introspected(None, now + cache.inactive_max_age)
        if active is not True:
            return Unanswered("active is neither true nor false in the response")
        until = now + cache.max_age
        if is_date(claims.get("exp")):
            until = min(until, claims["exp"])
        return Introspected(claims, until, _BYTES_OF_AN_ENTRY + _BYTES_PER_BYTE * len(data))


def _status_text(status: int) -> str:
    if status in {400, 401, 403}:
        return f"the server responds {status} to this gateway: look at client_id, its secret or key, and client_auth"
    return f"the server responds {status}"


def _retry_after(headers: Headers) -> float:
    text = headers.get("retry-after") or ""
    return float(text) if text.isascii() and text.isdigit() and len(text) < 6 else 1.0
