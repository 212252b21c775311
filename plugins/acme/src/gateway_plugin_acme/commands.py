"""``gateway certs``: list, renew and revoke certificates, and give accounts other keys."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import aiohttp
import click
from cryptography.x509 import ReasonFlags
from gateway_plugin_sdk import GatewayError
from gateway_plugin_sdk.unstable import SystemClock, certificate_configs

from gateway_plugin_acme.accounts import Accounts
from gateway_plugin_acme.config import AcmeConfig
from gateway_plugin_acme.crypto import Seal, facts_of
from gateway_plugin_acme.names import Wanted
from gateway_plugin_acme.records import (
    CERTIFICATES,
    FORGET,
    RENEW,
    REQUESTS,
    REVISION,
    STATES,
    WANTED,
    Records,
    State,
    StoredCertificate,
    validation_id,
)  # fmt: skip
from gateway_plugin_acme.revision import everything_changed
from gateway_plugin_acme.storage import StorageError, open_storage

_REASONS: Final = {
    ReasonFlags.unspecified: 0,
    ReasonFlags.key_compromise: 1,
    ReasonFlags.affiliation_changed: 3,
    ReasonFlags.superseded: 4,
    ReasonFlags.cessation_of_operation: 5,
}
"""Reasons that authorities take of subscribers, by their codes (RFC 5280 section 5.3.1)."""

_REASON_CODES: Final = {flag.value: code for flag, code in _REASONS.items()}

_REQUEST_TTL: Final = 86400.0
"""Seconds after which a request is void that no gateway has taken, as of a name that is no longer configured."""

_config = click.option(
    "-c", "--config", "paths", type=click.Path(path_type=Path, exists=True), multiple=True, required=True,
    help="The configuration, as `gateway run` takes it.",
)  # fmt: skip


class _Opened:
    """The storage of one entry of the configuration."""

    def __init__(self, config: AcmeConfig, records: Records, clock: SystemClock) -> None:
        self.config, self.records, self.clock = config, records, clock

    def accounts(self) -> Accounts:
        """Return our accounts; to be closed."""
        return Accounts(self.records, self.config.email, self.clock, self.config.retry)

    async def entries(self) -> list[tuple[str, StoredCertificate | None, State]]:
        """Return what is stored of each certificate, by its id."""
        storage = self.records.storage
        ids = {*await storage.names(CERTIFICATES)}
        ids |= {each for each in await storage.names(STATES) if not each.startswith("authority-")}
        return [(each, *await self._entry(each)) for each in sorted(ids)]

    async def _entry(self, key: str) -> tuple[StoredCertificate | None, State]:
        try:
            certificate = await self.records.get(CERTIFICATES, key, StoredCertificate)
            return certificate, await self.records.get(STATES, key, State) or State()
        except StorageError:
            raise
        except GatewayError as error:  # which hides no other one
            return None, State((key,), failed=self.clock.wall(), error=str(error))

    async def find(self, name: str) -> tuple[str, StoredCertificate | None]:
        """Return the certificate for a name.

        :raises GatewayError: there is none.
        """
        for key, certificate, state in await self.entries():
            names = state.names if certificate is None else certificate.names
            if name.lower() in names:
                return key, certificate
        raise GatewayError(f"there is no certificate for {name!r} in the storage: `gateway certs list` shows all")


def _with_storage(paths: tuple[Path, ...], work: Callable[[_Opened], Awaitable[bool]]) -> None:
    """Do something with the storage of each entry, until one says that it was the right one."""

    async def run() -> None:
        configs = [AcmeConfig.model_validate(each) for each in certificate_configs(paths, "acme")]
        if not configs:
            raise GatewayError("no listener of the configuration has certificates called 'acme'")
        clock, problem = SystemClock(), None
        async with aiohttp.ClientSession() as session:
            for config in configs:
                storage = open_storage(config.storage, lambda: session, clock.wall)
                await storage.start()
                try:
                    seal = config.storage.seal
                    records = Records(storage, None if seal is None else Seal(seal.reveal()))
                    if await work(_Opened(config, records, clock)):
                        return
                except GatewayError as error:
                    problem = error
                finally:
                    await storage.stop()
        if problem is not None:
            raise problem

    try:
        asyncio.run(run())
    except (GatewayError, ValueError) as error:
        click.echo(f"gateway certs: {error}", err=True)
        sys.exit(1)


@click.group("certs", short_help="List, renew and revoke certificates that were got by ACME.")
def certs() -> None:
    """Certificates that were got by ACME: what the storage has, with or without a running gateway."""


@certs.command("list")
@_config
def list_(paths: tuple[Path, ...]) -> None:
    """List certificates with their expiry, and what went wrong last."""
    rows = [("NAMES", "EXPIRES", "ISSUED", "LAST FAILURE")]
    seen: set[str] = set()

    async def work(opened: _Opened) -> bool:
        for key, certificate, state in await opened.entries():
            if key not in seen:
                seen.add(key)
                rows.append(_row(certificate, state))
        return False

    _with_storage(paths, work)
    for line in _table(rows):
        click.echo(line)


def _row(certificate: StoredCertificate | None, state: State) -> tuple[str, str, str, str]:
    names = state.names if certificate is None else certificate.names
    expires = "-" if certificate is None else _time(facts_of(certificate.chain.encode()).not_after)
    issued = "-" if certificate is None else _time(certificate.issued)
    return ", ".join(names), expires, issued, f"{_time(state.failed)}: {state.error}" if state.error else "-"


def _time(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M}"


def _table(rows: list[tuple[str, str, str, str]]) -> Iterator[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    for row in rows:
        yield "  ".join([*(text.ljust(width) for text, width in zip(row, widths, strict=False)), row[3]])


@certs.command("renew")
@_config
@click.argument("name")
def renew(paths: tuple[Path, ...], name: str) -> None:
    """Have the gateway that orders renew the certificate for NAME now, whenever it expires."""

    async def work(opened: _Opened) -> bool:
        key, _ = await opened.find(name)
        await opened.records.storage.put(f"{REQUESTS}/{key}", RENEW, _REQUEST_TTL)
        click.echo(f"the certificate for {name} is renewed as soon as a gateway runs: `gateway certs list` shows it")
        return True

    _with_storage(paths, work)


@certs.command("revoke")
@_config
@click.option(
    "--reason", type=click.Choice(sorted(_REASON_CODES)), default="unspecified", help="Why (RFC 5280 section 5.3.1)."
)
@click.argument("name")
def revoke(paths: tuple[Path, ...], name: str, reason: str) -> None:
    """Revoke the certificate for NAME at its authority, and have a new one ordered."""

    async def work(opened: _Opened) -> bool:
        key, certificate = await opened.find(name)
        if certificate is None:
            raise GatewayError(f"there is no certificate for {name!r} yet")
        config = next((each for each in opened.config.authorities if each.url == certificate.authority), None)
        if config is None:
            raise GatewayError(f"{certificate.authority}, which has issued it, is not in authorities: add it")
        accounts = opened.accounts()
        try:
            authority = await accounts.authority(config)
            await accounts.thread_of(config).run(authority.revoke, certificate.chain.encode(), _REASON_CODES[reason])
        finally:
            accounts.close()
        await opened.records.storage.delete(f"{CERTIFICATES}/{key}")
        await opened.records.storage.put(f"{REQUESTS}/{key}", RENEW, _REQUEST_TTL)
        await opened.records.storage.put(REVISION, everything_changed())
        click.echo(f"the certificate for {name} is revoked; a new one is ordered as soon as a gateway runs")
        return True

    _with_storage(paths, work)


@certs.command("forget")
@_config
@click.argument("name")
def forget(paths: tuple[Path, ...], name: str) -> None:
    """Remove the certificate for NAME, which was got on demand, and its key: NAME has to be allowed again."""

    async def work(opened: _Opened) -> bool:
        storage, wanted = opened.records.storage, f"{WANTED}/{validation_id(name.lower())}"
        if await storage.get(wanted) is None:
            raise GatewayError(f"no certificate was got on demand for {name!r}: `gateway certs list` shows all")
        key = Wanted((name.lower(),)).id
        await storage.delete(wanted)
        await storage.put(f"{REQUESTS}/{key}", FORGET, _REQUEST_TTL)
        await opened.records.forget(key)
        await storage.put(REVISION, everything_changed())
        click.echo(f"the certificate for {name} is forgotten")
        return True

    _with_storage(paths, work)


@certs.command("change-account-key")
@_config
def change_account_key(paths: tuple[Path, ...]) -> None:
    """Give our account at each authority another key; certificates stay as they are."""

    async def work(opened: _Opened) -> bool:
        accounts = opened.accounts()
        try:
            for config in opened.config.authorities:
                await accounts.roll_over(config)
                click.echo(f"the account at {config.url} has another key")
        finally:
            accounts.close()
        return False

    _with_storage(paths, work)
