"""Callers who present a name and a password."""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from gateway_plugin_sdk import PluginContext, Request, Tasks

from gateway_plugin_auth.cache import VerifiedCache
from gateway_plugin_auth.config.basic import BasicProvider, BasicUser
from gateway_plugin_auth.credentials import AmbiguousError, Source
from gateway_plugin_auth.documents import Document, FetchError
from gateway_plugin_auth.forwarding import field_readers, fields_of
from gateway_plugin_auth.freshness import Terms
from gateway_plugin_auth.keyring import FILE_REFRESH
from gateway_plugin_auth.loaders import value_from_file
from gateway_plugin_auth.outcomes import Needs, Outcome, Verified, verified
from gateway_plugin_auth.passwords import check_hash, decoy_of, is_password
from gateway_plugin_auth.reading import decode_text
from gateway_plugin_auth.refusals import NO_CREDENTIALS, Refusal, unavailable
from gateway_plugin_auth.sharing import acquire, release

_LONGEST_CREDENTIALS: Final = 4096
_MOST_REMEMBERED: Final = 10_000
_REFUSED_FOR: Final = 10.0
_MOST_PENDING: Final = 256
_THREADS: Final = 2
_STALE_FOR: Final = 86400.0

_Users = Mapping[str, tuple[str, Mapping[str, Any]]]
"""Hash and claims by name."""


def read_users(text: bytes) -> tuple[BasicUser, ...]:
    """Read a file as htpasswd writes it.

    :raises ValueError: a line is not ``name:hash`` with a hash that is accepted; the text shows no hash.
    """
    users: dict[str, BasicUser] = {}
    for number, line in enumerate(decode_text(text).split("\n"), start=1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        name, colon, password_hash = stripped.partition(":")
        if not colon or not name:
            raise ValueError(f"line {number} is not name:hash")
        try:
            check_hash(password_hash)
        except ValueError as error:
            raise ValueError(f"line {number}, user {name!r}: {error}") from None
        if name in users:
            raise ValueError(f"line {number}: user {name!r} is there twice")
        users[name] = BasicUser(name=name, password_hash=password_hash)
    return tuple(users.values())


def parse_credentials(text: str) -> tuple[str, bytes] | None:
    """Return name and password of Basic credentials (RFC 7617 section 2), or None if they are malformed."""
    try:
        decoded = base64.b64decode(text.encode("ascii"), validate=True)
        name, colon, password = decoded.partition(b":")
        return (name.decode("utf-8"), password) if colon and name else None
    except (ValueError, binascii.Error):
        return None


def _make_threads() -> ThreadPoolExecutor:
    # None runs before it has something to do.
    return ThreadPoolExecutor(_THREADS, thread_name_prefix="auth-basic")


class _Judged:
    """What hashing gave, and until when it is remembered."""

    __slots__ = ("is_right", "until", "users")

    def __init__(self, users: _Users, until: float, *, is_right: bool) -> None:
        self.users = users
        self.until = until
        self.is_right = is_right


class Passwords:
    """Verifies passwords in threads of its own, one verification for equal credentials at a time."""

    challenge = "Basic"

    def __init__(self, config: BasicProvider, context: PluginContext) -> None:
        self._config = config
        self._context = context
        self._now = context.clock.monotonic
        self._source = Source("header", "Authorization", "Basic")
        self._access = config.access_rules()
        self._mapping = field_readers(config.claims_to_headers)
        self.header_names = tuple(config.claims_to_headers)
        self._judged: VerifiedCache[_Judged] = VerifiedCache(_MOST_REMEMBERED)
        self._pending: dict[bytes, asyncio.Task[None]] = {}
        self._tasks = Tasks()
        self._threads = _make_threads()
        self._document: Document[tuple[BasicUser, ...]] | None = None
        self._generation: object = None
        self._users: _Users = {}
        self._decoy = ""
        self._set_users(config.users)

    def _set_users(self, users: tuple[BasicUser, ...]) -> None:
        self._users = {user.name: (user.password_hash, user.claims) for user in users}
        self._decoy = decoy_of(users[0].password_hash) if users else ""

    async def start(self) -> None:
        """Read the file of users.

        :raises FetchError: there is a file, and it cannot be read.
        """
        self._tasks, self._threads = Tasks(), _make_threads()
        path = self._config.users_file
        if path is None:
            return
        terms, context = Terms(FILE_REFRESH, 1.0, _STALE_FOR), self._context
        load = value_from_file(path, FILE_REFRESH, read_users)
        self._document = acquire(path, "users", load, terms, context)
        await self._document.start()
        if self._document.current() is None:
            raise FetchError(f"users_file {self._document.error}")

    async def stop(self) -> None:
        await self._tasks.aclose()
        self._threads.shutdown(wait=False, cancel_futures=True)
        document, self._document = self._document, None
        if document is not None:
            await release(document)

    def hide(self, request: Request) -> None:
        """Take name and password out of the request, if so configured."""
        if self._config.hide_credentials:
            self._source.hide(request)

    def check(self, request: Request) -> Outcome:
        """Judge the request's name and password."""
        try:
            text = self._source.find(request)
        except AmbiguousError:
            return Refusal("ambiguous", "invalid_request")
        if text is None:
            return NO_CREDENTIALS
        parsed = parse_credentials(text) if len(text) <= _LONGEST_CREDENTIALS else None
        if parsed is None:
            return Refusal("malformed", "invalid_request")
        if self._document is not None:
            self._take_new(self._document)
        name, password = parsed
        digest = self._judged.digest(text)
        judged = self._judged.get(digest)
        if judged is None or judged.users is not self._users or self._now() >= judged.until:
            if len(self._pending) >= _MOST_PENDING and digest not in self._pending:
                return unavailable("busy", 1)
            return Needs(lambda: self._join(digest, name, password), unavailable("busy", 1))
        return self._outcome(name) if judged.is_right else Refusal("password")

    def _take_new(self, document: Document[tuple[BasicUser, ...]]) -> None:
        users = document.current()
        generation = document.generation if users is not None else None
        if generation is not self._generation:
            self._generation = generation
            # A name that is in both is the configuration's.
            self._set_users((*(users or ()), *self._config.users))

    def _outcome(self, name: str) -> Verified | Refusal:
        claims = self._users[name][1]
        problem = self._access.problem(claims)
        if problem is not None:
            return Refusal(problem, "insufficient_scope", self._access.scope_needed if problem == "scope" else "")
        fields = tuple(fields_of({"sub": name, **claims}, self._mapping))
        return verified(self._config.identity_prefix + name, "basic", claims, fields)

    async def _join(self, digest: bytes, name: str, password: bytes) -> None:
        task = self._pending.get(digest)
        if task is None:
            task = self._tasks.spawn(self._hash(digest, name, password), name="verify a password")
            self._pending[digest] = task
        # Waiting does not cancel: the client that began it may leave while others wait for the same.
        await asyncio.wait([task])

    async def _hash(self, digest: bytes, name: str, password: bytes) -> None:
        users = self._users
        known = users.get(name)
        text = known[0] if known is not None else self._decoy
        try:
            loop = asyncio.get_running_loop()
            is_right = await loop.run_in_executor(self._threads, is_password, password, text) and known is not None
        finally:
            del self._pending[digest]
        pause = self._config.remember if is_right else _REFUSED_FOR
        self._judged.put(digest, _Judged(users, self._now() + pause, is_right=is_right))
