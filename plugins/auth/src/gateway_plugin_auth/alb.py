"""Tokens of AWS's Application Load Balancers: whose they are, and their keys.

A key is fetched when the first token of its ``kid`` comes, and again once it is old; the ``kid`` is a stranger's text
until the signature is verified. So it must have the characters that AWS uses before it is put into a URL, and a few
look-ups happen at once; a ``kid`` that has no key is remembered, so that it is not looked up for each of its tokens.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final

from gateway_plugin_sdk import PluginContext
from gateway_tokens.algorithms import UnusableKeyError
from gateway_tokens.cache import VerifiedCache
from gateway_tokens.claims import is_date
from gateway_tokens.documents import FetchError
from gateway_tokens.fetch import FetchOptions
from gateway_tokens.jws import Token, parse_token
from gateway_tokens.keys import Key, KeySet, from_pem
from gateway_tokens.loaders import Client
from gateway_tokens.refusal_log import RefusalLog
from gateway_tokens.texts import shown_url

from gateway_plugin_auth.config.alb import AlbOptions
from gateway_plugin_auth.flights import Flights
from gateway_plugin_auth.sharing import acquire, release

ALGORITHM: Final = "ES256"
_KEY_ID: Final = re.compile(r"[0-9A-Za-z][0-9A-Za-z-]{0,63}")
_MOST_AT_ONCE: Final = 4
_MOST_KEYS: Final = 64
_MOST_UNKNOWN: Final = 1000
_RETRY_AFTER: Final = 5.0
"""Seconds after which a key is asked for again if its server did not respond."""


def is_key_id(text: str | None) -> bool:
    """Return whether a ``kid`` may be put into a URL: letters, digits and dashes."""
    return text is not None and _KEY_ID.fullmatch(text) is not None


def parse_alb_token(text: str) -> Token:
    """Read a token without verifying it; its claims have the issuer and the end that the load balancer says.

    Those are in the header; what is in the payload is the provider's, from its userinfo endpoint.

    :raises MalformedTokenError: it is none.
    """
    token = parse_token(text, is_padded=True)
    header, claims = token.header, dict(token.claims)
    if "iss" in header:
        claims["iss"] = header["iss"]
    if "exp" in header:
        ends = [header["exp"], claims.get("exp", header["exp"])]
        # One that is no date stays, and is refused as such.
        claims["exp"] = min(ends) if all(map(is_date, ends)) else next(end for end in ends if not is_date(end))
    return replace(token, claims=claims)


def header_problem(token: Token, signers: frozenset[str]) -> str | None:
    """Return why a token is not one of these load balancers, in one word, or None."""
    signer = token.header.get("signer")
    if not isinstance(signer, str) or signer not in signers:
        return "signer"
    return None if is_key_id(token.key_id) else "unknown-key"


@dataclass(frozen=True, slots=True)
class _Absent:
    """A key that there is not, or that cannot be read now."""

    until: float
    is_unsure: bool


@dataclass(slots=True)
class _Held:
    key: Key
    checked_at: float
    retry_at: float = field(default=0.0)


class AlbKeys:
    """The keys at one URL, for all bindings that use it."""

    def __init__(self, url: str, fetch: FetchOptions, context: PluginContext) -> None:
        self._url = url
        self._fetch = fetch
        self._client = Client(fetch)
        self._now = context.clock.monotonic
        self._log = context.log
        self._failures = RefusalLog()
        self._flights: Flights[None] = Flights(f"keys of {shown_url(url)}", _MOST_AT_ONCE)
        self._held: dict[str, _Held] = {}
        self._absent: VerifiedCache[_Absent] = VerifiedCache(_MOST_UNKNOWN)
        self.keys = KeySet(())
        """Those that are in force."""

    async def aclose(self) -> None:
        """End the look-ups."""
        await self._flights.aclose()

    def current(self) -> KeySet:
        """Return the keys that are in force, and begin to look at those again that are old."""
        now = self._now()
        for key_id, held in list(self._held.items()):
            age = now - held.checked_at
            if age >= self._fetch.refresh + self._fetch.stale_for:
                self._drop(key_id)
            elif age >= self._fetch.refresh and now >= held.retry_at:
                held.retry_at = now + max(self._fetch.cooldown, _RETRY_AFTER)
                self._join(key_id, "")
        return self.keys

    def absent(self, key_id: str) -> _Absent | None:
        """Return what is known of a key that is not there."""
        found = self._absent.get(key_id.encode())
        return found if found is not None and self._now() < found.until else None

    async def look_up(self, key_id: str, client: str) -> None:
        """Look for a key, together with all others that wait for it. Does not raise if there is none."""
        found = self._join(key_id, client)
        await asyncio.wait([found])

    def _join(self, key_id: str, client: str) -> asyncio.Future[None]:
        return self._flights.join(key_id.encode(), client, partial(self._load, key_id))

    async def _load(self, key_id: str) -> None:
        now = self._now()
        try:
            status, data = await self._client.send("GET", f"{self._url}/{key_id}", {})
            if status == 200:
                # latin-1 takes any bytes: what is no PEM is refused as such.
                self._take(key_id, from_pem(data.decode("latin-1"), (ALGORITHM,), key_id))
                return
            if status not in {403, 404}:  # what S3 sends for a name that it does not have
                raise FetchError(f"the server responds {status}", shown_url(self._url))
        except (FetchError, UnusableKeyError) as error:
            self._absent.put(key_id.encode(), _Absent(now + _RETRY_AFTER, is_unsure=True))
            if self._failures.take("failed", now) is not None:
                self._log.warning("cannot load a key of %s: %s", shown_url(self._url), error)
        else:
            self._absent.put(key_id.encode(), _Absent(now + self._fetch.cooldown, is_unsure=False))
            self._drop(key_id)

    def _take(self, key_id: str, key: Key) -> None:
        while key_id not in self._held and len(self._held) >= _MOST_KEYS:
            self._drop(next(iter(self._held)))
        self._held[key_id] = _Held(key, self._now())
        self._absent.drop(key_id.encode())
        self.keys = KeySet(tuple(held.key for held in self._held.values()))

    def _drop(self, key_id: str) -> None:
        if self._held.pop(key_id, None) is not None:
            self.keys = KeySet(tuple(held.key for held in self._held.values()))


class AlbKeyring:
    """The keys of load balancers, for the provider of tokens (a `Keyring`)."""

    def __init__(self, options: AlbOptions, fetch: FetchOptions, context: PluginContext) -> None:
        self._url = options.url_of_keys()
        self._fetch = fetch
        self._context = context
        self._key: object = None
        self._keys: AlbKeys | None = None

    @property
    def stamp(self) -> object:
        """Another object whenever the keys became others."""
        return self._keys.keys if self._keys is not None else None

    def current(self) -> KeySet | None:
        """Return the keys that were fetched so far."""
        return self._keys.current() if self._keys is not None else None

    def may_ask(self, token: Token, client: str) -> bool:  # noqa: ARG002 - the queue of look-ups is fair
        """Return whether the token's key was not looked for yet, or long ago."""
        return self._keys is not None and token.key_id is not None and self._keys.absent(token.key_id) is None

    def is_unsure(self, token: Token) -> bool:
        """Return whether the token's key may exist although it is not there: it was not found out."""
        absent = self._keys.absent(token.key_id) if self._keys is not None and token.key_id is not None else None
        return absent is None or absent.is_unsure

    def retry_after(self) -> float:
        """Return the seconds after which a key is asked for again."""
        return _RETRY_AFTER

    async def refetch(self, token: Token, client: str) -> None:
        """Look for the token's key."""
        if self._keys is not None and token.key_id is not None:
            await self._keys.look_up(token.key_id, client)

    async def start(self) -> None:
        """Begin without a key: which ones there are is not known before a token comes."""
        options = await asyncio.to_thread(self._fetch.identity)
        self._key = ("alb", self._url, options, id(self._context.clock))
        self._keys = acquire(self._key, lambda: AlbKeys(self._url, self._fetch, self._context))

    async def stop(self) -> None:
        """Give the keys back."""
        keys, self._keys = self._keys, None
        if keys is not None:
            await release(self._key)
