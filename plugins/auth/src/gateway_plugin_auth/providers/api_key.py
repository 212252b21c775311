"""Callers who present a key that they were given."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from gateway_plugin_sdk import PluginContext, Request, TextTooLongError
from gateway_tokens.documents import Document, FetchError
from gateway_tokens.forwarding import field_readers, fields_of
from gateway_tokens.freshness import Terms
from gateway_tokens.keyring import FILE_REFRESH
from gateway_tokens.loaders import value_from_file
from gateway_tokens.sharing import acquire, release

from gateway_plugin_auth.config.api_key import ApiKeyEntry, ApiKeyProvider
from gateway_plugin_auth.credentials import find_first
from gateway_plugin_auth.key_file import read_entries
from gateway_plugin_auth.outcomes import Outcome, Verified, verified
from gateway_plugin_auth.refusals import Refusal, unavailable

_LONGEST_KEY: Final = 4096
_STALE_FOR: Final = 86400.0


@dataclass(frozen=True, slots=True)
class _Holder:
    outcome: Verified | Refusal
    expires_at: float | None
    shown: str
    """What the log calls the key."""


class ApiKeys:
    """Looks keys up by their SHA-256.

    How long a look-up takes depends on the hash of what the client sent, never on how much of a key is right: clients
    cannot choose hashes that begin as a known one does. SHA-256 is enough because keys are random (256 bits from
    `gateway auth key new`): passwords need a slow hash because they can be guessed.
    """

    challenges: tuple[str, ...] = ("ApiKey",)

    def __init__(self, config: ApiKeyProvider, context: PluginContext) -> None:
        self._config = config
        self._context = context
        self._wall = context.clock.wall
        self.sources = tuple(source.compiled() for source in config.key_from)
        self._access = config.access_rules()
        self._mapping = field_readers(config.claims_to_headers)
        self.header_names = tuple(config.claims_to_headers)
        self._document: Document[tuple[ApiKeyEntry, ...]] | None = None
        self._generation: object = None
        self._holders = self._read(config.keys)

    def _read(self, entries: Iterable[ApiKeyEntry]) -> Mapping[bytes, _Holder]:
        holders = {}
        # The last one of a key counts: where a key is given twice, and revoked once, it is revoked.
        for entry in sorted(entries, key=lambda entry: entry.revoked):
            shown = f"key {entry.id}" if entry.id is not None else f"key of {entry.subject!r}"
            expires_at = None if entry.revoked else entry.expires_at()
            holders[entry.digest()] = _Holder(self._outcome(entry, shown), expires_at, shown)
        return holders

    def _outcome(self, entry: ApiKeyEntry, shown: str) -> Verified | Refusal:
        if entry.revoked:
            return Refusal("revoked", detail=shown)
        claims = entry.claims if entry.id is None else {**entry.claims, "key_id": entry.id}
        try:
            problem = self._access.problem(claims)
        except TextTooLongError:
            problem = "claim"  # of one key, which must not keep the others from being read
        if problem is not None:
            scope = self._access.scope_needed if problem == "scope" else ""
            return Refusal(problem, "insufficient_scope", scope, detail=shown)
        fields = tuple(fields_of({"sub": entry.subject, **claims}, self._mapping))
        return verified(self._config.identity_prefix + entry.subject, "api-key", claims, fields)

    async def start(self) -> None:
        """Read the file of keys.

        :raises FetchError: there is a file, and it cannot be read.
        """
        path = self._config.keys_file
        if path is None:
            return
        terms, context = Terms(FILE_REFRESH, 1.0, _STALE_FOR), self._context
        load = value_from_file(path, FILE_REFRESH, read_entries)
        self._document = acquire(path, "api-keys", load, terms, context)
        await self._document.start()
        if self._document.current() is None:
            raise FetchError(f"keys_file {self._document.error}")

    async def stop(self) -> None:
        document, self._document = self._document, None
        if document is not None:
            await release(document)

    def hide(self, request: Request) -> None:
        """Take keys out of the request, if so configured."""
        if self._config.hide_credentials:
            for source in self.sources:
                source.hide(request)

    def check(self, request: Request) -> Outcome:
        """Judge the request's key."""
        found = find_first(self.sources, request)
        if isinstance(found, Refusal):
            return found
        key = found[1]
        if not key or len(key) > _LONGEST_KEY:
            return Refusal("malformed", "invalid_request")
        if self._document is not None:
            self._take_new(self._document)
        # A header's characters are its bytes; a key in a configuration is text, sent as UTF-8.
        encoded = key.encode("latin-1") if found[0].place != "query" else key.encode("utf-8", "surrogatepass")
        holder = self._holders.get(hashlib.sha256(encoded).digest())
        if holder is None:
            if self._document is not None and self._document.current() is None:
                return unavailable("no-keys", self._document.retry_after())
            return Refusal("unknown-key")
        if holder.expires_at is not None and self._wall() >= holder.expires_at:
            return Refusal("expired", detail=holder.shown)
        return holder.outcome

    def _take_new(self, document: Document[tuple[ApiKeyEntry, ...]]) -> None:
        entries = document.current()
        generation = document.generation if entries is not None else None
        if generation is not self._generation:
            self._generation = generation
            # A key that is in both is the configuration's, unless it is revoked.
            self._holders = self._read((*(entries or ()), *self._config.keys))
