"""Our accounts at authorities."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace

from gateway_plugin_acme.authority import Authority, AuthorityError, account_key, load_account_key
from gateway_plugin_acme.config import AuthorityConfig
from gateway_plugin_acme.orders import AuthorityThread
from gateway_plugin_acme.records import ACCOUNTS, Account, Records, authority_id

_UNKNOWN = frozenset({"accountDoesNotExist", "unauthorized", "malformed"})


class Accounts:
    """Connects to authorities, with an account that is registered once and kept."""

    def __init__(self, records: Records, thread: AuthorityThread, email: str | None, wall: Callable[[], float]) -> None:
        self._records = records
        self._thread = thread
        self._email, self._wall = email, wall
        self._open: dict[str, tuple[str, Authority]] = {}
        self._locks: dict[str, asyncio.Lock] = {}

    async def authority(self, config: AuthorityConfig) -> Authority:
        """Return an authority at which we are registered.

        :raises GatewayError: it is away or refuses us, or the storage is away.
        """
        async with self._locks.setdefault(config.url, asyncio.Lock()):
            name = authority_id(config.url)
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
            authority = await self._thread.run(Authority, config, account.key.encode(), account.url, self._wall)
            if not account.url:
                url = await self._thread.run(authority.register, self._email)
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
            await self._thread.run(authority.change_key, load_account_key(new))
        except AuthorityError as error:
            if error.code:
                await self._records.put(ACCOUNTS, name, account)
            raise
        await self._records.put(ACCOUNTS, name, Account(new.decode(), account.url))
        self._open.pop(config.url, None)

    async def _settle(self, config: AuthorityConfig, name: str, account: Account) -> Account:
        """Find out which of two keys the account has, after a rollover that did not come to its end."""
        candidates: Sequence[str] = (account.next_key, account.key)
        for key in candidates:
            authority = await self._thread.run(Authority, config, key.encode(), "", self._wall)
            try:
                url = await self._thread.run(authority.register, self._email, only_existing=True)
            except AuthorityError as error:
                if error.code in _UNKNOWN:
                    continue
                raise
            settled = Account(key, url)
            await self._records.put(ACCOUNTS, name, settled)
            return settled
        raise AuthorityError(f"{config.url} knows none of the keys of our account")
