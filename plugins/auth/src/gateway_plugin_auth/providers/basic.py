"""Callers who present a name and a password."""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final

from gateway_plugin_sdk import PluginContext, Request
from gateway_tokens.cache import VerifiedCache
from gateway_tokens.documents import Document, FetchError
from gateway_tokens.forwarding import field_readers, fields_of
from gateway_tokens.freshness import Terms
from gateway_tokens.keyring import FILE_REFRESH
from gateway_tokens.loaders import value_from_file
from gateway_tokens.sharing import acquire, release

from gateway_plugin_auth.config.basic import BasicProvider, BasicUser
from gateway_plugin_auth.credentials import Source, find_first
from gateway_plugin_auth.hashing import Hashing, acquire_hashing, release_hashing
from gateway_plugin_auth.htpasswd import read_users
from gateway_plugin_auth.outcomes import Needs, Outcome, Verified, verified
from gateway_plugin_auth.passwords import LONGEST_PASSWORD, decoy_of, hash_class, is_password, significant
from gateway_plugin_auth.refusals import Refusal, unavailable

_LONGEST_CREDENTIALS: Final = 4096
_MOST_RIGHT: Final = 10_000
_MOST_WRONG: Final = 2_000
_REFUSED_FOR: Final = 10.0
_STALE_FOR: Final = 86400.0
_BUSY: Final = "auth.busy"


def parse_credentials(text: str) -> tuple[str, bytes] | None:
    """Return name and password of Basic credentials, or None if they are malformed.

    Our challenge asks for UTF-8 (RFC 7617 section 2.1). What is not valid UTF-8 was sent by a client that does not know
    this, and is read as ISO-8859-1, so that the password is the same text in either way. NUL ends a password for the
    programs that make hashes, so no password has one.
    """
    try:
        decoded = base64.b64decode(text.encode("ascii"), validate=True)
    except (ValueError, binascii.Error):
        return None
    try:
        name, colon, password = decoded.decode("utf-8").partition(":")
    except UnicodeDecodeError:
        name, colon, password = decoded.decode("latin-1").partition(":")
    encoded = password.encode()
    if not colon or not name or "\0" in name or "\0" in password or len(encoded) > LONGEST_PASSWORD:
        return None
    return name, encoded


class Users:
    """Who is known, and how long it takes to find out about those who are not."""

    def __init__(self, users: Sequence[BasicUser]) -> None:
        """Take users; of two of one name the later counts."""
        self._users = {user.name: (user.password_hash.reveal(), user.claims) for user in users}
        # One of each kind and cost: a wrong password and an unknown name then take the same time, whatever kind of hash
        # the name's user has.
        self._decoys = {hash_class(text): decoy_of(text) for text, _ in self._users.values()}

    def __contains__(self, name: str) -> bool:
        return name in self._users

    def hash_of(self, name: str) -> str | None:
        user = self._users.get(name)
        return user[0] if user is not None else None

    def claims_of(self, name: str) -> Mapping[str, Any]:
        return self._users[name][1]

    def identified(self, name: str, password: bytes) -> bytes:
        """Return bytes that are the same for credentials that no hash distinguishes."""
        user = self._users.get(name)
        kept = password if user is None else significant(password, user[0])
        return name.encode("utf-8", "surrogatepass") + b":" + kept

    def verify(self, name: str, password: bytes) -> bool:
        """Return whether the password is the user's; to be called in a thread."""
        user = self._users.get(name)
        if user is not None and is_password(password, user[0]):
            return True
        own = None if user is None else hash_class(user[0])
        for kind, decoy in self._decoys.items():
            if kind != own:
                is_password(password, decoy)
        return False


class _Judged:
    """What hashing gave, and until when it is remembered."""

    __slots__ = ("password_hash", "until")

    def __init__(self, password_hash: str | None, until: float) -> None:
        self.password_hash = password_hash
        """The user's hash; None if there was no such user."""
        self.until = until


class Passwords:
    """Verifies passwords in threads, one verification for equal credentials at a time."""

    challenges: tuple[str, ...] = ("Basic",)

    def __init__(self, config: BasicProvider, context: PluginContext) -> None:
        self._config = config
        self._context = context
        self._now = context.clock.monotonic
        self.sources: tuple[Source, ...] = (Source("header", "Authorization", "Basic"),)
        self._access = config.access_rules()
        self._mapping = field_readers(config.claims_to_headers)
        self.header_names = tuple(config.claims_to_headers)
        # Apart, so that no number of wrong guesses makes a right password be hashed again.
        self._right: VerifiedCache[_Judged] = VerifiedCache(_MOST_RIGHT)
        self._wrong: VerifiedCache[_Judged] = VerifiedCache(_MOST_WRONG)
        self._pending: dict[bytes, asyncio.Future[bool | None]] = {}
        self._hashing: Hashing | None = None
        self._document: Document[tuple[BasicUser, ...]] | None = None
        self._generation: object = None
        self._users = Users(config.users)

    async def start(self) -> None:
        """Read the file of users.

        :raises FetchError: there is a file, and it cannot be read.
        """
        self._hashing = self._hashing or acquire_hashing()
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
        hashing, self._hashing = self._hashing, None
        if hashing is not None:
            release_hashing(hashing)
        document, self._document = self._document, None
        if document is not None:
            await release(document)

    def hide(self, request: Request) -> None:
        """Take name and password out of the request, if so configured."""
        if self._config.hide_credentials:
            for source in self.sources:
                source.hide(request)

    def check(self, request: Request) -> Outcome:
        """Judge the request's name and password."""
        found = find_first(self.sources, request)
        if isinstance(found, Refusal):
            return found
        text = found[1]
        parsed = parse_credentials(text) if len(text) <= _LONGEST_CREDENTIALS else None
        if parsed is None:
            return Refusal("malformed", "invalid_request")
        if self._document is not None:
            self._take_new(self._document)
        name, password = parsed
        digest = self._right.digest(self._users.identified(name, password))
        if self._holds(self._right.get(digest), name):
            return self._outcome(name)
        if self._holds(self._wrong.get(digest), name):
            return self._wrong_password(name)
        hashing = self._hashing
        busy = unavailable("busy", hashing.retry_after if hashing is not None else 1.0)
        if hashing is None or _BUSY in request.state:
            return busy
        return Needs(lambda: self._join(request, hashing, digest, name, password), busy)

    def _holds(self, judged: _Judged | None, name: str) -> bool:
        # An edit of the file changes nothing for users whose hash is still the same: not all are hashed again then.
        return judged is not None and self._now() < judged.until and judged.password_hash == self._users.hash_of(name)

    def _wrong_password(self, name: str) -> Refusal:
        document = self._document
        if document is not None and name not in self._users and document.current() is None:
            return unavailable("no-users", document.retry_after())
        return Refusal("password")

    def _take_new(self, document: Document[tuple[BasicUser, ...]]) -> None:
        users = document.current()
        generation = document.generation if users is not None else None
        if generation is not self._generation:
            self._generation = generation
            # A name that is in both is the configuration's.
            self._users = Users((*(users or ()), *self._config.users))

    def _outcome(self, name: str) -> Verified | Refusal:
        claims = self._users.claims_of(name)
        problem = self._access.problem(claims)
        if problem is not None:
            return Refusal(problem, "insufficient_scope", self._access.scope_needed if problem == "scope" else "")
        fields = tuple(fields_of({"sub": name, **claims}, self._mapping))
        return verified(self._config.identity_prefix + name, "basic", claims, fields)

    async def _join(self, request: Request, hashing: Hashing, digest: bytes, name: str, password: bytes) -> None:
        verdict = self._pending.get(digest)
        if verdict is None:
            users = self._users
            verdict = hashing.verify(request.client_ip, name, partial(users.verify, name, password))
            if not verdict.done():
                self._pending[digest] = verdict
            verdict.add_done_callback(partial(self._judge, digest, users.hash_of(name)))
        # Waiting does not cancel: the client that began it may leave while others wait for the same.
        await asyncio.wait([verdict])
        if verdict.exception() is not None or verdict.result() is None:
            request.state[_BUSY] = True

    def _judge(self, digest: bytes, password_hash: str | None, verdict: asyncio.Future[bool | None]) -> None:
        self._pending.pop(digest, None)
        if (error := verdict.exception()) is not None:
            self._context.log.error("a password cannot be verified: %r", error)
        elif (right := verdict.result()) is not None:
            cache, seconds = (self._right, self._config.remember) if right else (self._wrong, _REFUSED_FOR)
            cache.put(digest, _Judged(password_hash, self._now() + seconds))
