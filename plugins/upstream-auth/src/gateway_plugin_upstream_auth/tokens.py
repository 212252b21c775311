"""Tokens by OAuth 2 client credentials: one at a time, replaced before its end, for all requests of a binding.

    none -> (the first request asks) -> fresh -> (refresh_at: the next request asks, and does not wait) -> expired

* One request for a token at a time, however many wait for it. It does not end with the request that began it.
* After a failure the server is left alone for a while that grows (`Backoff`); requests that need a token then get 503
  at once, with the time until the next one is asked for as Retry-After. A token that is still valid goes on to be used.
* A 401 of the upstream ends a token before its time, unless the token is so new that it cannot be the reason. If no
  other one can be had, the token is used on: a client that knows how to get a 401 must not take it from everybody else.
"""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import math
import re
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from random import Random
from typing import Any, Final
from urllib.parse import quote_plus, urlencode, urlsplit

from gateway_plugin_sdk import Backoff, BodyTooLargeError, Clock, UpstreamError, Upstreams

from gateway_plugin_upstream_auth.config import OAuth2Config

MOST_WAITING: Final = 1000
"""Requests that wait for a token at once; more get 503."""
YOUNG: Final = 10.0
"""Seconds in which a token is not replaced because of a 401: the upstream has another reason."""
_LARGEST: Final = 65536
_LONGEST_LIFETIME: Final = 366 * 86400.0
_LONGEST_BACKOFF: Final = 60.0
_VISIBLE: Final = re.compile(r"[!-~]+")
_ERROR_CODE: Final = re.compile(r"[a-z_]{1,60}")
REASON: Final = "upstream.no-credentials"

Spawn = Callable[[Coroutine[Any, Any, None]], "asyncio.Task[None]"]


class TokenError(Exception):
    """There is no token; the text holds nothing that the server said but its code."""

    def __init__(self, reason: str, retry_after: float = 0.0) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class Token:
    """A token, and when it ends in monotonic seconds."""

    field: str
    """The value of Authorization."""
    obtained_at: float
    refresh_at: float
    expires_at: float


def read_token(data: bytes, config: OAuth2Config, now: float, rng: Random) -> Token:
    """Return the token of a successful response (RFC 6749 section 5.1).

    :raises TokenError: it has none that can be used.
    """
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        raise TokenError("the response is no JSON") from None
    token, kind = (found.get("access_token"), found.get("token_type")) if isinstance(found, dict) else (None, None)
    if not isinstance(token, str) or not _VISIBLE.fullmatch(token):
        raise TokenError("the response has no access_token")
    if not isinstance(kind, str) or kind.lower() != "bearer":
        raise TokenError("the token is not of the type Bearer")
    lifetime = _lifetime(found.get("expires_in"), config.default_lifetime)
    ahead = min(config.refresh_ahead, lifetime / 4)
    jitter = rng.random() * min(ahead, lifetime / 10)
    margin = min(5.0, lifetime / 10)  # it must be valid when it arrives
    return Token(f"Bearer {token}", now, now + lifetime - ahead - jitter, now + lifetime - margin)


def _lifetime(value: object, default: float) -> float:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 12:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:  # noqa: PLR0124 - NaN
        return default
    if value <= 0:
        raise TokenError("the token has expired already")
    return float(min(value, _LONGEST_LIFETIME))


def error_code(data: bytes) -> str:
    """Return the code of a failure (RFC 6749 section 5.2), which is safe to log; empty if there is none."""
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return ""
    code = found.get("error") if isinstance(found, dict) else None
    return code if isinstance(code, str) and _ERROR_CODE.fullmatch(code) else ""


class TokenSource:
    """Has a token for all requests of a binding."""

    def __init__(
        self, config: OAuth2Config, upstreams: Upstreams, clock: Clock, log: logging.Logger, spawn: Spawn
    ) -> None:
        self._config = config
        self._upstreams = upstreams
        self._clock = clock
        self._log = log
        self._spawn = spawn
        self._rng = Random()  # noqa: S311 - spreads requests, guards nothing
        parts = urlsplit(config.token_url.reveal())
        self._server = config.upstream or f"{parts.scheme}://{parts.netloc}"
        self._path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._headers = [("Accept", "application/json"), ("Content-Type", "application/x-www-form-urlencoded")]
        if config.upstream is not None:
            self._headers.append(("Host", parts.netloc))
        self._form = self._make_form()
        self._backoff = Backoff(self._rng, first=1.0, longest=_LONGEST_BACKOFF)
        self._not_before = -math.inf
        self._flight: asyncio.Task[None] | None = None
        self._waiting = 0
        self._error = ""
        self._doubted: Token | None = None
        """One that the upstream refused, while there is no other."""
        self.token: Token | None = None
        """The last one."""
        self.requests = 0
        """Requests for a token so far."""
        self.count: Callable[[str], None] = lambda _: None
        """Called with the result of each request for a token: ``obtained`` or ``failed``."""

    def _make_form(self) -> bytes:
        config = self._config
        form = {"grant_type": "client_credentials", **config.params}
        if config.scopes:
            form["scope"] = " ".join(config.scopes)
        if config.audience is not None:
            form["audience"] = config.audience
        secret = config.client_secret.reveal()
        if config.authentication == "post":
            form |= {"client_id": config.client_id, "client_secret": secret}
        else:
            # Both are form-encoded first (RFC 6749 section 2.3.1).
            pair = f"{quote_plus(config.client_id)}:{quote_plus(secret)}"
            self._headers.append(("Authorization", f"Basic {base64.b64encode(pair.encode()).decode()}"))
        return urlencode(form).encode()

    def current(self) -> Token | None:
        """Return the token, or None if it must be waited for; begins to replace one that is near its end."""
        token, now = self.token, self._clock.monotonic()
        if token is None or now >= token.expires_at:
            return None
        if now >= token.refresh_at and self._flight is None and now >= self._not_before:
            self._begin()
        return token

    async def wait(self) -> Token:
        """Return the token once there is one.

        :raises UpstreamError: 503, there is none.
        """
        now = self._clock.monotonic()
        if self._flight is None and now < self._not_before:
            raise self._unavailable(self._error, self._not_before - now)
        if self._waiting >= MOST_WAITING:
            raise self._unavailable("too many requests wait for a token", 1.0)
        flight = self._flight or self._begin()
        self._waiting += 1
        try:
            await asyncio.wait({flight})
        finally:
            self._waiting -= 1
        token, now = self.token, self._clock.monotonic()
        if token is None or now >= token.expires_at:
            raise self._unavailable(self._error or "no token came", self._not_before - now)
        return token

    def refused(self, token: Token) -> bool:
        """Take note that the upstream refuses a token; return whether another one may help."""
        if self.token is not token:
            return True
        if self._clock.monotonic() - token.obtained_at < YOUNG:
            return False
        self._doubted, self.token = token, None
        return True

    def drop(self) -> None:
        """Have the next request get a new token."""
        self._doubted = self.token = None
        self._not_before = -math.inf

    def _unavailable(self, why: str, retry_after: float) -> UpstreamError:
        seconds = min(max(1.0, retry_after), _LONGEST_BACKOFF)
        return UpstreamError(f"no token for the upstream: {why}", status=503, reason=REASON, retry_after=seconds)

    def _begin(self) -> asyncio.Task[None]:
        flight = self._flight = self._spawn(self._refresh())
        flight.add_done_callback(self._landed)
        return flight

    def _landed(self, flight: asyncio.Task[None]) -> None:
        if self._flight is flight:
            self._flight = None

    async def _refresh(self) -> None:
        self.requests += 1
        try:
            self.token = await self._request()
        except TokenError as error:
            delay = self._backoff.next_delay(min(error.retry_after, _LONGEST_BACKOFF))
            now = self._clock.monotonic()
            self._not_before = now + delay
            if self._doubted is not None:  # young again, or the next 401 would begin the same
                self.token, self._doubted = replace(self._doubted, obtained_at=now), None
            self.count("failed")
            if str(error) != self._error:  # the same was logged
                self._error = str(error)
                self._log.warning("cannot get a token from %s%s: %s", self._server, self._path.partition("?")[0], error)
            return
        self._doubted = None
        self._backoff.reset()
        self._not_before = -math.inf
        self.count("obtained")
        if self._error:
            self._error = ""
            self._log.info("tokens come from %s again", self._server)

    async def _request(self) -> Token:
        fetch = self._upstreams.fetch
        try:
            async with fetch(
                self._server, "POST", self._path, self._headers, self._form, timeout=self._config.timeout
            ) as response:
                data, retry_after = await response.read(_LARGEST), response.headers.get("retry-after", "")
        except UpstreamError as error:
            raise TokenError(f"there is no response ({error.reason})", error.retry_after or 0.0) from None
        except BodyTooLargeError:
            raise TokenError("the response is too large") from None
        if response.status != 200:
            code = error_code(data)
            seconds = float(retry_after) if retry_after.isascii() and retry_after.isdigit() else 0.0
            raise TokenError(f"status {response.status}{f', {code}' if code else ''}", seconds)
        return read_token(data, self._config, self._clock.monotonic(), self._rng)
