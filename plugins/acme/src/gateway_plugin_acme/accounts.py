"""Our accounts at authorities, each with the thread in which the authority is talked to."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from gateway_plugin_sdk import Clock

from gateway_plugin_acme.authority import Authority, AuthorityError, account_key, load_account_key
from gateway_plugin_acme.config import AuthorityConfig
from gateway_plugin_acme.records import ACCOUNTS, Account, Records, authority_id
from gateway_plugin_acme.thread import AuthorityThread

_UNKNOWN = frozenset({"accountDoesNotExist", "unauthorized", "malformed"})


class Accounts:
    """Connects to authorities, with an account that is registered once and kept.

    Each authority has a thread of its own, so that none waits for another one. One that did not respond is not asked
    for a while: those who wait for their turn go on to the next one.
    """

    def __init__(self, records: Records, email: str | None, clock: Clock, away_for: float) -> None:
        """Connect to none yet.

        :param away_for: seconds for which an authority is left alone that did not respond.
        """
        self._records, self._email = records, email
        self._clock, self._away_for = clock, away_for
        self._open: dict[str, tuple[str, Authority]] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        self._threads: dict[str, AuthorityThread] = {}
        self._away: dict[str, tuple[float, str]] = {}  # by resource: until when, monotonic, and why

    def thread_of(self, config: AuthorityConfig) -> AuthorityThread:
        """Return the thread in which an authority is talked to."""
        return self._threads.setdefault(config.url, AuthorityThread())

    def close(self) -> None:
        """End the threads; what goes on ends by its own timeout."""
        for thread in self._threads.values():
            thread.close()

    def note_away(self, resource: str, error: AuthorityError) -> None:
        """Leave a resource of an authority alone for a while, if it did not respond."""
        if error.is_away:
            self._away[resource] = self._clock.monotonic() + self._away_for, str(error)

    def check_away(self, resource: str) -> None:
        """Look whether a resource of an authority may be asked.

        :raises AuthorityError: it did not respond a moment ago.
        """
        until, reason = self._away.get(resource, (0.0, ""))
        if self._clock.monotonic() < until:
            raise AuthorityError(f"is not asked, since it did not respond: {reason}")

    async def authority(self, config: AuthorityConfig) -> Authority:
        """Return an authority at which we are registered.

        :raises GatewayError: it is away or refuses us, or the storage is away.
        """
        async with self._locks.setdefault(config.url, asyncio.Lock()):
            self.check_away(config.url)
            try:
                return await self._authority(config)
            except AuthorityError as error:
                self.note_away(config.url, error)  # while the others still wait for the lock
                raise

    async def _authority(self, config: AuthorityConfig) -> Authority:
        thread, wall, name = self.thread_of(config), self._clock.wall, authority_id(config.url)
        account = await self._records.get(ACCOUNTS, name, Account)
        if account is not None and account.next_key:
            account = await self._settle(config, name, account)
        if account is None:
            # Kept before it is registered: an account whose key is lost counts in the authority's limits.
            account = Account(account_key().decode())
            await self._records.put(ACCOUNTS, name, account)
        known = self._open.get(config.url)
        if known is not None and known[0] == account.key:
            return known[1]
        load_account_key(account.key.encode())
        authority = await thread.run(Authority, config, account.key.encode(), account.url, wall)
        if not account.url:
            url = await thread.run(authority.register, self._email)
            await self._records.put(ACCOUNTS, name, replace(account, url=url))
        self._open[config.url] = account.key, authority
        return authority

    async def roll_over(self, config: AuthorityConfig) -> None:
        """Give the account another key.

        :raises GatewayError: it could not be given; the account is as it was.
        """
        authority = await self.authority(config)
        name = authority_id(config.url)
        account = await self._records.get(ACCOUNTS, name, Account)
        assert account is not None, "`authority` has made it"
        new = account_key()
        # Both are kept until the authority has taken the new one: a crash in between must not cost the account.
        await self._records.put(ACCOUNTS, name, replace(account, next_key=new.decode()))
        try:
            await self.thread_of(config).run(authority.change_key, load_account_key(new))
        except AuthorityError as error:
            if error.code:
                await self._records.put(ACCOUNTS, name, account)
            raise
        await self._records.put(ACCOUNTS, name, Account(new.decode(), account.url))
        self._open.pop(config.url, None)

    async def _settle(self, config: AuthorityConfig, name: str, account: Account) -> Account:
        """Find out which of two keys the account has, after a rollover that did not come to its end."""
        candidates: Sequence[str] = (account.next_key, account.key)
        thread = self.thread_of(config)
        for key in candidates:
            authority = await thread.run(Authority, config, key.encode(), "", self._clock.wall)
            try:
                url = await thread.run(authority.register, self._email, only_existing=True)
            except AuthorityError as error:
                if error.code in _UNKNOWN:
                    continue
                raise
            settled = Account(key, url)
            await self._records.put(ACCOUNTS, name, settled)
            return settled
        raise AuthorityError(f"{config.url} knows none of the keys of our account")
