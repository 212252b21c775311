"""Decides over a response at its head, and keeps it when its body is complete."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from email.utils import formatdate
from typing import Final, Literal

from gateway_plugin_sdk import BodyFilter, BodyTooLargeError, Clock, Headers, Request, Response

from gateway_plugin_cache.config import CacheConfig
from gateway_plugin_cache.entries import (
    NEVER,
    Entry,
    Stamp,
    Variant,
    parse_tags,
    parse_vary,
    read_validators,
    vary_values,
)
from gateway_plugin_cache.fetches import Fetch
from gateway_plugin_cache.freshness import Policy, age_at_arrival, policy_of
from gateway_plugin_cache.request_control import RequestControl
from gateway_plugin_cache.stores.memory import MemoryStore
from gateway_plugin_cache.stores.wire import SharedEntry
from gateway_plugin_cache.storing import (
    is_of_another_version,
    is_public,
    shared_headers,
    storage_refusal,
    stored_headers,
    updated_headers,
)

_GATEWAY: Final = frozenset({"", "gateway"})
"""What made a response, if no plugin did."""
_MOST_VARY: Final = 16
_MOST_AHEAD: Final = 60
"""Seconds by which the clock of another gateway may be ahead."""


@dataclass(slots=True)
class Lookup:
    """One request as the cache sees it."""

    request: Request
    url: str
    base_variant: Variant
    control: RequestControl
    has_credentials: bool
    started: float
    """Monotonic seconds."""

    headers: Headers
    """As they were before the cache put conditions of its own in the place of the client's."""

    seen: Stamp = NEVER
    """The newest purge of all gateways that was known when the fetch began."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A response that may be stored, without its body."""

    lookup: Lookup
    status: int
    headers: Headers
    policy: Policy
    vary: tuple[str, ...]
    tags: frozenset[str]
    generated_at: float


class Admission:
    """Stores responses."""

    def __init__(self, config: CacheConfig, store: MemoryStore, clock: Clock) -> None:
        self._config = config
        self._statuses = frozenset(config.statuses)
        self._refuses_cookies = config.set_cookie == "refuse"
        self._store = store
        self._clock = clock
        self.on_stored: Callable[[Lookup, Entry], None] | None = None
        """Called with each response that a fetch had stored."""
        self.gathered = 0
        """Bytes of bodies that are not complete yet."""

    def candidate(self, lookup: Lookup, response: Response) -> Candidate | str:
        """Return what to store of a response, or why it is not stored, as a word of Cache-Status' ``detail``."""
        if not response.is_streamed:
            return self._made_here(lookup, response)
        # The upstream's: sticky cookies of the gateway, and those of plugins, are for the one client in any case.
        came = response.received_headers
        has_cookie = self._refuses_cookies and came is not None and "set-cookie" in came
        length = None if response.is_filtered else response.content_length
        if length is not None and length > self._config.max_body:
            return "size"
        return self._candidate(
            lookup, response.status, stored_headers(response), response.headers, has_cookie=has_cookie
        )

    def _made_here(self, lookup: Lookup, response: Response) -> Candidate | str:
        """Return what to store of a response that a plugin behind the cache made, such as one of several calls.

        It states its own lifetime, or is not stored: what an operator configures is for the upstream's responses, and
        refusals depend on more than the URL.
        """
        if response.produced_by in _GATEWAY or response.status >= 400 or response.is_problem:
            return "own"
        has_cookie = self._refuses_cookies and "set-cookie" in response.headers
        found = self._candidate(
            lookup, response.status, stored_headers(response), response.headers, has_cookie=has_cookie
        )
        return found if isinstance(found, str) or found.policy.is_explicit else "no-lifetime"

    def updated(self, lookup: Lookup, entry: Entry, response: Response) -> Candidate | str:
        """Return a stored response as a 304 changes it (RFC 9111 section 4.3.4)."""
        if is_of_another_version(entry.headers, response.headers):
            return "etag"
        headers = updated_headers(entry.headers, stored_headers(response))
        return self._candidate(lookup, entry.status, headers, response.headers, has_cookie=False)

    def _candidate(
        self, lookup: Lookup, status: int, headers: Headers, came: Headers, *, has_cookie: bool
    ) -> Candidate | str:
        wall, now, config = self._clock.wall(), self._clock.monotonic(), self._config
        if "date" not in headers:  # each use of it would get another one (RFC 9110 section 6.6.1)
            headers.add("Date", formatdate(wall, usegmt=True))
        policy, validators = policy_of(headers, status, wall, config), read_validators(headers)
        refusal = storage_refusal(
            policy,
            status,
            self._statuses,
            has_cookie=has_cookie,
            # A plugin behind the cache may have found out who it is.
            has_credentials=lookup.has_credentials or lookup.request.identity is not None,
            can_validate=validators.etag is not None or validators.modified is not None,
        )
        vary, tags = parse_vary(headers.get_all("Vary")), parse_tags(headers, config.tags)
        if refusal is not None:
            return refusal
        if vary is None:
            return "vary"
        if len(tags) > config.max_tags:
            return "tags"
        generated_at = now - age_at_arrival(came, wall, now - lookup.started)
        return Candidate(lookup, status, headers, policy, vary, tags, generated_at)

    def keep(self, candidate: Candidate, body: bytes) -> Entry | None:
        """Store a response with its body; return None if it is larger than the store."""
        lookup, url = candidate.lookup, candidate.lookup.url
        vary = self._joined_vary(url, candidate.vary)
        variant = lookup.base_variant + vary_values(vary, lookup.headers)
        entry = Entry(
            url, variant, vary, candidate.status, candidate.headers, body, candidate.policy, candidate.generated_at,
            candidate.tags, is_public(candidate.policy), lookup.seen,
        )  # fmt: skip
        return entry if self._store.put(entry) else None

    def shared_entry(self, lookup: Lookup, shared: SharedEntry) -> Entry | None:
        """Return what another gateway shared, or None if it would not be stored here."""
        config, headers, wall = self._config, shared_headers(shared.headers), self._clock.wall()
        names, tags = parse_vary(headers.get_all("Vary")), parse_tags(headers, config.tags)
        policy, validators = policy_of(headers, shared.status, shared.received, config), read_validators(headers)
        refusal = storage_refusal(
            policy, shared.status, self._statuses, has_cookie=False, has_credentials=False,
            can_validate=validators.etag is not None or validators.modified is not None,
        )  # fmt: skip
        if (
            refusal is not None
            or names is None
            or not set(names) <= set(shared.vary)
            or shared.url != lookup.url
            or shared.generated_at > wall + _MOST_AHEAD
            or len(shared.body) > config.max_body
            or len(tags) > config.max_tags
        ):
            return None
        generated_at = self._clock.monotonic() - max(0.0, wall - shared.generated_at)
        vary = self._joined_vary(lookup.url, shared.vary)
        return Entry(
            lookup.url, lookup.base_variant + vary_values(vary, lookup.headers), vary, shared.status, headers,
            shared.body, policy, generated_at, tags, is_public(policy), shared.seen,
        )  # fmt: skip

    def _joined_vary(self, url: str, vary: tuple[str, ...]) -> tuple[str, ...]:
        """Return what responses for a URL vary by, the earlier ones included: some name fewer fields than others."""
        resource = self._store.resources.get(url)
        if resource is None or resource.vary == vary:
            return vary
        joined = tuple(sorted({*resource.vary, *vary}))
        return joined if len(joined) <= _MOST_VARY else vary

    def end(self, fetch: Fetch, candidate: Candidate, body: bytes) -> Entry | None:
        """Store a complete response, and give it to those who wait for it."""
        if fetch.is_invalid:
            fetch.failed()
            return None
        entry = self.keep(candidate, body)
        if entry is None:
            fetch.not_stored()
        else:
            fetch.stored(entry)
            if self.on_stored is not None:
                self.on_stored(candidate.lookup, entry)
        return entry

    def validated(self, lookup: Lookup, entry: Entry, response: Response, fetch: Fetch) -> Entry | None:
        """Store what a 304 made fresh; drop the response and return None if it may not be stored any more."""
        candidate = self.updated(lookup, entry, response)
        stored = None if isinstance(candidate, str) else self.end(fetch, candidate, entry.body)
        if stored is None:
            fetch.not_stored()
            self._store.remove(entry)
        return stored

    async def read(self, response: Response) -> bytes | Literal["size", "busy"]:
        """Read a body that no client gets, or return why it is not stored: too large, or too much is being gathered."""
        config, length = self._config, None if response.is_filtered else response.content_length
        room = config.max_body if length is None else length
        if self.gathered + room > config.memory.size:
            return "busy"
        self.gathered += room
        try:
            return await response.read(config.max_body)
        except BodyTooLargeError:
            return "size"
        finally:
            self.gathered -= room

    def record(self, response: Response, fetch: Fetch, candidate: Candidate) -> None:
        """Store a response as it passes."""
        if not response.has_body or response.content_length == 0:
            self.end(fetch, candidate, b"")
        else:
            # Filters of bindings behind the cache may have made it longer or shorter.
            length = None if response.is_filtered else response.content_length
            response.add_body_filter(lambda: Recorder(self, fetch, candidate, self._config, length), observe=True)


class Recorder(BodyFilter):
    """Gathers a body as it passes, and stores the response at its complete end (RFC 9111 section 3.3)."""

    def __init__(
        self, admission: Admission, fetch: Fetch, candidate: Candidate, config: CacheConfig, length: int | None
    ) -> None:
        """Begin with nothing.

        :param length: bytes that the body has, if the head has it.
        """
        self._admission = admission
        self._length = length
        self._fetch = fetch
        self._candidate = candidate
        self._most, self._most_gathered = config.max_body, config.memory.size
        self._pieces: list[bytes] | None = []
        self._size = 0

    def feed(self, data: bytes) -> bytes:
        """Keep a piece, unless the body is too large by now, or all of them are."""
        if self._pieces is not None:
            self._pieces.append(data)
            self._size += len(data)
            self._admission.gathered += len(data)
            if self._size > self._most or self._admission.gathered > self._most_gathered:
                self._drop()
                self._fetch.not_stored()
            elif self._size == self._length:
                # Before it goes on: a client that has all of it may close its connection, or ask once more.
                self._store(self._pieces)
        return data

    def finish(self, trailers: Headers) -> bytes:  # noqa: ARG002 - trailers are not stored
        """Store the response."""
        if self._pieces is not None:
            self._store(self._pieces)
        return b""

    def close(self, error: Exception | None) -> None:  # noqa: ARG002 - whatever it was, the body is not complete
        """End the fetch, if the body did not come to its end."""
        self._drop()
        self._fetch.failed()

    def _store(self, pieces: list[bytes]) -> None:
        self._drop()
        self._admission.end(self._fetch, self._candidate, b"".join(pieces))

    def _drop(self) -> None:
        if self._pieces is not None:
            self._pieces = None
            self._admission.gathered -= self._size
