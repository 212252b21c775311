"""The sessions of a binding: read from cookies, kept, renewed and ended.

A session is in its cookie, sealed, or in Valkey, where the sealed cookie only has its random name. What was read is
remembered for a few seconds as an `Entry`; after that it is looked whether the session was ended elsewhere. Ends are
marks: of one session, of one that the provider names, or of all sessions of a user. A mark is another text each time,
and a session has those that there were when it began: any other one ends it. So the store alone orders logins and
logouts, and the clocks of gateways do not.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Final

from gateway_plugin_sdk import Clock, FieldBlock, Identity
from gateway_plugin_sdk.valkey import Values
from gateway_tokens.cache import VerifiedCache
from gateway_tokens.forwarding import FieldReaders, fields_of

from gateway_plugin_oidc.config import OidcConfig
from gateway_plugin_oidc.cookies import CookieWriter, OwnCookies
from gateway_plugin_oidc.id_tokens import trusted_claims
from gateway_plugin_oidc.refusals import Refusal
from gateway_plugin_oidc.renewal import RESULT_LIFETIME, Renewals, ended_key
from gateway_plugin_oidc.sealing import Sealer, as_text, from_text
from gateway_plugin_oidc.session import Session

_REMEMBERED: Final = 10_000
_BYTES_PER_CHARACTER: Final = 5
_LONGEST_WAIT: Final = 1.0
"""Seconds that a response waits for a refresh which its request began."""
CLOCKS_APART: Final = 600.0
"""Seconds by which the clocks of gateways may differ: ends are kept longer than a session by that much."""
NO_SESSION: Final = Refusal(401, "no-session")


Flight = asyncio.Task[Session | None]


@dataclass(slots=True)
class Entry:
    """A session as a worker knows it, ready for requests."""

    session: Session
    host: str
    identity: Identity
    fields: FieldBlock | None
    """For the upstream; None if there are none."""
    look_at: float
    """When, in seconds since the epoch, it has to be looked at again."""
    generation: int
    """Which ends were known then."""
    text: str = field(default="", repr=False)
    """What the cookie should have, if that is not what it has."""
    flight: Flight | None = None
    """A refresh that began with this look, ahead of the end of the token."""


_Found = tuple[Session, str, Flight | None]
"""A session, what its cookie should have if that is something else, and a refresh that has begun."""


class Sessions:
    """Reads, keeps and ends sessions."""

    def __init__(
        self,
        config: OidcConfig,
        sealer: Sealer,
        values: Values,
        writer: CookieWriter,
        renewals: Renewals,
        clock: Clock,
        readers: FieldReaders,
    ) -> None:
        self._config = config
        self._options = config.session
        self._sealer = sealer
        self._values = values
        self._writer = writer
        self._renewals = renewals
        self._clock = clock
        self._readers = readers
        self._in_valkey = config.session.store == "valkey"
        self._longest = lifetime_of_ends(config.session.max_age)
        self._entries: VerifiedCache[Entry] = VerifiedCache(_REMEMBERED)
        self.generation = 0
        """Grows whenever a session was ended somewhere in this gateway."""

    # -- reading

    async def find(self, cookies: OwnCookies, host: str) -> Entry | Refusal:
        """Return the session of a request's cookies, renewed if that is due.

        :raises GatewayError: the store does not respond.
        """
        found = self._unsealed(cookies, host)
        if not found:
            return NO_SESSION if not cookies.values else Refusal(401, "no-valid-session")
        if len(found) > 1:
            return Refusal(400, "ambiguous-session")
        text, data = found[0]
        key = self._entries.digest(f"{host}\0{text}")
        entry = self._entries.get(key)
        now = self._clock.wall()
        if entry is not None and now < entry.look_at and entry.generation == self.generation:
            return entry
        generation = self.generation
        result = await self._load(text, data, entry, host)
        if isinstance(result, Refusal):
            self._entries.drop(key)
            return result
        session, renewed_text, flight = result
        entry = self._entry(session, host, renewed_text, generation)
        entry.flight = flight
        self._entries.put(key, entry, 1000 + _BYTES_PER_CHARACTER * len(text))
        return entry

    def _unsealed(self, cookies: OwnCookies, host: str) -> list[tuple[str, bytes]]:
        return [
            (text, data)
            for text in cookies.sessions(self._writer.base)
            if (data := self._sealer.unseal(from_text(text), "session", host)) is not None
        ]

    def ids_of(self, cookies: OwnCookies, host: str) -> list[str]:
        """Return the names of all sessions that cookies stand for, whatever became of these."""
        datas = [data for _, data in self._unsealed(cookies, host)]
        if self._in_valkey:
            return [data.decode("ascii", "replace") for data in datas]
        return [session.id for data in datas if (session := Session.from_bytes(data)) is not None]

    async def _load(self, text: str, data: bytes, known: Entry | None, host: str) -> _Found | Refusal:
        stored: bytes | None = data
        if self._in_valkey:
            sealed = await self._values.get(_stored(data.decode("ascii", "replace")))
            stored = self._sealer.unseal(sealed, "stored", host) if sealed is not None else None
        session = Session.from_bytes(stored) if stored is not None else None
        if session is None:
            return Refusal(401, "session-unknown")
        renewed_text = ""
        if known is not None and known.text and not self._in_valkey:
            session, renewed_text = known.session, known.text  # the cookie is older than what we know
        if self.is_over(session):
            return Refusal(401, "session-expired")
        if await self.is_ended(session):
            return Refusal(401, "session-ended")
        result = await self._in_force(session, text, renewed_text, host)
        if not isinstance(result, Refusal):
            await self._note_use(session, result[0])
        return result

    async def _note_use(self, before: Session, after: Session) -> None:
        """Keep when a session was used if a worker has streams of it: the new cookie does not reach that worker."""
        idle, now = self._options.idle_timeout, self._clock.wall()
        if idle and (after.seen != before.seen or now - before.seen > idle / 10):
            key = _last_use(before.id)
            if await self._values.get(key) is not None:
                await self._values.put(key, repr(now).encode(), ttl=idle)

    async def _in_force(self, session: Session, text: str, renewed_text: str, host: str) -> _Found | Refusal:
        """Return the session with tokens that hold."""
        before, now = session, self._clock.wall()
        if now >= session.renew_at and session.refresh_token:
            renewing = await self._renewing(session, host, now)
            if isinstance(renewing, Refusal):
                return renewing
            session, flight, begins = renewing
            if flight is not None:
                # Nothing is kept of a session that is about to be another: it could come after that.
                return session, renewed_text, flight if begins else None
        elif now >= session.expires_at and self._config.access_token_header is not None:
            return Refusal(401, "access-token-expired")
        idle = self._options.idle_timeout
        if idle and now - session.seen > idle / 10:
            session = replace(session, seen=now)
        is_old_key = not self._sealer.is_of_first_key(from_text(text))
        if session is before and not is_old_key:
            return session, renewed_text, None
        return session, await self.kept(session, host), None

    async def _renewing(self, session: Session, host: str, now: float) -> tuple[Session, Flight | None, bool] | Refusal:
        """Return a session whose renewal is due, renewed if that was done or cannot wait.

        Beside it the refresh that is under way, and whether it began here. Ahead of the end no request waits: the
        response to the request that began it has the result, or a later one.
        """
        found = await self._renewals.found(session, host)
        if found is not None:
            return found, None, False
        begins = not self._renewals.is_under_way(session)
        flight = self._renewals.begin(session, host)
        if flight is None or now < session.expires_at:
            return session, flight, begins
        result = await asyncio.shield(flight)
        if result is None:
            if self._in_valkey:
                await self.end(session.id)
            return Refusal(401, "session-revoked")
        return result, None, False

    def _entry(self, session: Session, host: str, text: str, generation: int) -> Entry:
        config, now = self._config, self._clock.wall()
        claims = trusted_claims(session.claims, trust_unverified_email=config.trust_unverified_email)
        identity = Identity(f"{session.issuer}|{session.subject}", "oidc", MappingProxyType(claims))
        looks = [now + self._options.recheck, session.ends_at(self._options.max_age, self._options.idle_timeout)]
        if session.refresh_token:
            # In between a refresh is under way: its result is looked for at once.
            looks.append(max(now, session.renew_at))
        if session.expires_at > now:
            looks.append(session.expires_at)
        if self._options.idle_timeout:
            looks.append(session.seen + self._options.idle_timeout / 10 + 0.001)
        fields = self._fields(session, claims)
        block = FieldBlock(fields) if fields else None
        return Entry(session, host, identity, block, min(looks), generation, text)

    def fields(self, claims: Mapping[str, object], access_token: str) -> tuple[tuple[str, str], ...]:
        """Return what the upstream gets of the claims and the access token of a session, or of another client."""
        fields = fields_of(claims, self._readers) if self._readers else []
        name = self._config.access_token_header
        if name is not None:
            is_usual = name.lower() == "authorization"
            fields.append((name, f"Bearer {access_token}" if is_usual else access_token))
        return tuple(fields)

    def _fields(self, session: Session, claims: Mapping[str, object]) -> tuple[tuple[str, str], ...]:
        fields, name = self.fields(claims, session.access_token), self._config.id_token_header
        return (*fields, (name, session.id_token)) if name is not None and session.id_token else fields

    # -- keeping

    async def kept(self, session: Session, host: str) -> str:
        """Keep a session, and return what its cookie has; empty if it is too long.

        :raises GatewayError: the store does not respond.
        """
        data = session.to_bytes()
        if not data:
            return ""
        if self._in_valkey:
            left = session.ends_at(self._options.max_age, self._options.idle_timeout) - self._clock.wall()
            await self._values.put(_stored(session.id), self._sealer.seal(data, "stored", host), ttl=max(left, 1.0))
            data = session.id.encode()
        text = as_text(self._sealer.seal(data, "session", host))
        return text if len(text) <= self._writer.most_characters else ""

    def max_age_of(self, session: Session) -> float:
        """Return the seconds that a session's cookie should live."""
        return session.ends_at(self._options.max_age, self._options.idle_timeout) - self._clock.wall()

    async def renewed(self, entry: Entry) -> str:
        """Return what the cookie should have once the refresh that began with an entry is over; empty if nothing else.

        It does not wait for long: a provider that is slow must not hold up responses.
        """
        if entry.flight is None:
            return ""
        await asyncio.wait({entry.flight}, timeout=_LONGEST_WAIT)
        if not entry.flight.done() or entry.flight.cancelled() or entry.flight.exception() is not None:
            return ""
        session = entry.flight.result()
        return "" if session is None or session is entry.session else await self.kept(session, entry.host)

    # -- ends

    def is_over(self, session: Session) -> bool:
        """Return whether a session's time is over, or is yet to come: its end is not kept for as long as that lasts."""
        now = self._clock.wall()
        ends_at = session.ends_at(self._options.max_age, self._options.idle_timeout)
        return not session.began - CLOCKS_APART <= now < ends_at

    async def begun(self, session: Session) -> Session:
        """Return a session that begins now: only logouts that come later end it.

        :raises GatewayError: the store does not respond.
        """
        return replace(session, ended_before=" ".join(await self._marks_of(session)))

    async def is_ended(self, session: Session) -> bool:
        """Return whether the user, the provider or an operator ended a session.

        :raises GatewayError: the store does not respond.
        """
        if await self._values.get(ended_key(session.id)) is not None:
            return True
        known = session.ended_before.split()
        return any(mark not in known for mark in await self._marks_of(session))

    async def _marks_of(self, session: Session) -> list[str]:
        sid = session.provider_sid
        names = (("sub", session.subject), ("sid", sid) if sid else ("sub-of-sid", session.subject))
        found = [await self._values.get(_mark(kind, session.issuer, name)) for kind, name in names]
        return [mark.decode("ascii") for mark in found if mark is not None]

    async def end(self, session_id: str) -> None:
        """End one session.

        :raises GatewayError: the store does not respond.
        """
        await self._values.put(ended_key(session_id), b"1", ttl=self._longest)
        if self._in_valkey:
            await self._values.delete(_stored(session_id))
        self.generation += 1

    async def end_all_of(self, issuer: str, subject: str, sid: str) -> None:
        """End every session that began until now: of a session of the provider's, or else of a user.

        :raises GatewayError: the store does not respond.
        """
        mark = secrets.token_hex(8).encode()
        # Some providers name their session in a logout token, but in no ID token: then it may be any of the user's.
        names = [("sid", sid), ("sub-of-sid", subject)] if sid else [("sub", subject)]
        for kind, name in names:
            if name:
                await self._values.put(_mark(kind, issuer, name), mark, ttl=self._longest)
        self.generation += 1

    async def is_gone(self, session: Session) -> bool:
        """Return whether the streams of a session have to end: a stream that goes on is no use of its session.

        :raises GatewayError: the store does not respond.
        """
        age, idle, now = self._options.max_age, self._options.idle_timeout, self._clock.wall()
        if now >= session.ends_at(age, 0.0) or await self.is_ended(session):
            return True
        if not idle:
            return False
        last = await self._values.get(_last_use(session.id))
        if last is not None:
            return now >= float(last) + idle
        if now >= session.seen + idle:
            return True
        # From now on requests keep their uses there. Not before: most sessions have no streams.
        await self._values.add(_last_use(session.id), repr(session.seen).encode(), ttl=idle)
        return False

    async def was_used(self, what: str) -> bool:
        """Return whether `use_once` was called for something."""
        return await self._values.get(_used(what)) is not None

    async def forget_use(self, what: str) -> None:
        """Take `use_once` back, so that nothing is left of it in the store."""
        await self._values.delete(_used(what))

    async def use_once(self, what: str, ttl: float) -> bool:
        """Return whether something is used for the first time, by all who share the store."""
        return await self._values.add(_used(what), b"1", ttl=ttl)


def lifetime_of_ends(max_age: float) -> float:
    """Return the seconds for which the end of a session is kept: no gateway takes a copy of its cookie afterwards.

    :param max_age: of a session.
    """
    return max_age + RESULT_LIFETIME + CLOCKS_APART


def _used(what: str) -> str:
    return f"used:{hashlib.sha256(what.encode('utf-8', 'surrogatepass')).hexdigest()}"


def _stored(session_id: str) -> str:
    # The name in the store does not reveal the name in the cookie.
    return f"session:{hashlib.sha256(session_id.encode()).hexdigest()}"


def _last_use(session_id: str) -> str:
    return f"used-at:{hashlib.sha256(session_id.encode()).hexdigest()}"


def _mark(kind: str, issuer: str, name: str) -> str:
    return f"ended-{kind}:{hashlib.sha256(f'{issuer}|{name}'.encode()).hexdigest()}"
