"""Keeps what was in force, rolls back to it, and pins it: files are validated then, and not applied until `unpin`.

A rollback goes through the steps of a reload. The pin is on disk before it is committed, so that a process that is
killed finds the pin or none; after a failure the old one is put back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

from gateway_core.clock import SystemClock
from gateway_core.config import AdminConfig, GatewayConfig, LoadedConfig, render_problems
from gateway_core.config.api_document import shown
from gateway_core.config.differences import differences
from gateway_core.errors import GatewayError, RefusedError
from gateway_core.events import CONFIG_PINNED, emit
from gateway_core.failure_text import system_reason
from gateway_core.reload.bundle import ConfigBundle, ValidationFailedError, Verdict, check_protocol
from gateway_core.reload.history import ReloadOutcome
from gateway_core.reload.pipeline import Change, Pipeline, Prepare
from gateway_core.reload.versions import Pin, VersionEntry, VersionStore, with_codes_of
from gateway_core.tasks import Yielder

_MOST_DIFFERENCES: Final = 1000


class VersionKeeper:
    """The versions of this program."""

    def __init__(self, store: VersionStore) -> None:
        """Keep versions in a store; nothing is read yet."""
        self._store = store
        self._trying: tuple[Pin, ConfigBundle] | None = None
        self._not_kept = ""
        self._files: tuple[AdminConfig | None] | None = None
        """The section ``admin`` of the last valid files, while a version is pinned; None if it is not known."""

    def is_access_known(self) -> bool:
        """Whether it is known who may use the admin API: that is what files say, whatever version is pinned."""
        return self.pin is None or self._files is not None

    def access(self, config: AdminConfig | None) -> AdminConfig | None:
        """Return the section that names who may use the admin API.

        A rollback brings no token back that was revoked, and a token that files revoke while a version is pinned is
        refused.

        :param config: the section in force.
        """
        return config if self.pin is None or self._files is None else self._files[0]

    async def note_access(self, bundle: ConfigBundle | None) -> None:
        """Learn from a valid configuration of files who may use the admin API."""
        if bundle is not None:
            self._files = ((await LoadedConfig.from_lines(bundle.lines, Yielder(SystemClock()))).config.admin,)

    async def hold(self, verdict: Verdict) -> Verdict:
        """Return what is to be in force: the pinned version, if there is one, in place of what was validated.

        :raises ValidationFailedError: whether one is pinned cannot be read.
        """
        if self._trying is not None:
            await self.note_access(verdict.bundle)
            return Verdict(verdict.watch, self._trying[1])
        try:
            pin, bundle = await asyncio.to_thread(lambda: (self._store.pin(), self._store.pinned()))
        except (OSError, ValueError, LookupError) as error:
            text = f"the versions in {self._store.folder} cannot be used: {error}: mend or remove the folder"
            raise ValidationFailedError(text) from error
        if pin is None or bundle is None:
            self._files = None
            return verdict
        await self.note_access(verdict.bundle)
        state = "valid" if verdict.bundle is not None else "rejected" if verdict.problems else "not validated"
        text = f"what files and sources have is {state} and not applied: {pin}"
        details = render_problems(verdict.problems) if verdict.problems else ""
        emit(CONFIG_PINNED, text, details=details, number=pin.number, by=pin.by, problems=len(verdict.problems))
        return Verdict(verdict.watch, bundle)

    @property
    def pin(self) -> Pin | None:
        """What is pinned, as far as it was read."""
        try:
            return self._store.pin()
        except (OSError, ValueError):
            return self._store.last_pin

    async def keep(self, bundle: ConfigBundle, trigger: str, changes: str) -> None:
        """Keep what is in force; a failure is shown with the history, and refuses rollbacks."""
        now = SystemClock().wall()
        try:
            await asyncio.to_thread(self._store.keep, bundle, now, trigger, changes)
        except OSError as error:
            self._not_kept = system_reason(error)
        except ValueError as error:
            self._not_kept = str(error)
        else:
            self._not_kept = ""

    async def history(self) -> dict[str, Any]:
        """Return the versions, the newest first, what is pinned, and why nothing is kept, ready for JSON.

        :raises GatewayError: they cannot be read.
        """
        entries = await self._read(self._store.entries)
        pin = self.pin
        return {
            "versions": [_described(each) for each in reversed(entries)],
            "pinned": None if pin is None else asdict(pin),
            "not_kept": self._not_kept,
        }

    async def version(self, number: int) -> dict[str, Any]:
        """Return a version with its configuration, without secrets.

        :raises RefusedError: there is none of this number.
        :raises GatewayError: it cannot be read.
        """
        config = await self.config(number)
        entry = next(each for each in await self._read(self._store.entries) if each.number == number)
        return {**_described(entry), "config": shown(config)}

    async def config(self, number: int) -> Mapping[str, Any]:
        """Return the configuration of a version, with its secrets.

        :raises RefusedError: there is none of this number.
        :raises GatewayError: it cannot be read.
        """
        loaded = await LoadedConfig.from_lines((await self.load(number)).lines, Yielder(SystemClock()))
        return await plain_of(loaded.config)

    async def load(self, number: int) -> ConfigBundle:
        """Return a version.

        :raises RefusedError: there is none of this number.
        :raises GatewayError: it cannot be read, or is of another version of the gateway.
        """
        try:
            bundle: ConfigBundle = await self._read(lambda: self._store.load(number))
        except LookupError as error:
            raise RefusedError(
                404, "not-found", f"no version {number} is kept: `gateway history` lists them"
            ) from error
        check_protocol(bundle)
        return bundle

    async def _read(self, read: Callable[[], Any]) -> Any:
        try:
            return await asyncio.to_thread(read)
        except (OSError, ValueError) as error:
            raise GatewayError(f"the versions in {self._store.folder} cannot be used: {error}") from error

    def noted(self, changes: str) -> str:
        """Return what a reload has changed, with what is pinned."""
        return changes if self.pin is None else f"{changes}; {self.pin}, so that files are not applied"

    async def pin_while(self, pin: Pin | None, commit: Callable[[], Awaitable[str]]) -> str:
        """Keep a pin on disk and commit; the old one comes back if that fails."""
        before = self.pin
        await self.save(pin)
        try:
            return await commit()
        except BaseException:
            await self.save(before)
            raise

    async def save(self, pin: Pin | None) -> None:
        """Pin a version, or none.

        :raises GatewayError: that cannot be kept.
        """
        try:
            await asyncio.to_thread(self._store.set_pin, pin)
        except OSError as error:
            text = f"the pin cannot be kept in {self._store.folder}: {system_reason(error)}"
            raise GatewayError(text) from error

    @contextmanager
    def pinning(self, pin: Pin, bundle: ConfigBundle) -> Iterator[None]:
        """Have a version in force meanwhile, whatever is validated."""
        self._trying = pin, bundle
        try:
            yield
        finally:
            self._trying = None


class Rollbacks:
    """Rolls back, and undoes that, through the pipeline of a program."""

    def __init__(
        self,
        keeper: VersionKeeper,
        pipeline: Pipeline,
        prepare: Prepare,
        running: Callable[[], ConfigBundle | None],
        turn: asyncio.Lock,
    ) -> None:
        """Act through a pipeline.

        :param running: returns what is in force.
        :param turn: held by writes by the API: one that has seen no pin must have ended before there is one.
        """
        self.keeper = keeper
        self._pipeline = pipeline
        self._prepare = prepare
        self._running = running
        self._turn = turn

    async def roll_back(self, number: int, by: str, reason: str) -> Mapping[str, Any]:
        """Put a version in force and pin it; return what became of it, ready for JSON.

        :raises RefusedError: there is no such version.
        :raises GatewayError: it cannot be put in force, or the pin cannot be kept.
        """
        running, bundle = await self._load(number)
        if self.keeper.pin is None:
            await self.keeper.note_access(running)  # the files may have problems
        pin = Pin(number, by, SystemClock().wall(), reason)

        async def prepare(following: ConfigBundle) -> Change:
            change = await self._prepare(following)
            return Change(partial(self.keeper.pin_while, pin, change.commit), change.discard, change.conclude)

        why = f"rollback to version {number} by {by}"
        async with self._turn:
            return _result(await self._pipeline.apply(why, prepare, self.keeper.pinning(pin, bundle)))

    async def version(self, number: int) -> ConfigBundle:
        """Return a version as a rollback puts it in force; raises as `roll_back` does."""
        return (await self._load(number))[1]

    async def _load(self, number: int) -> tuple[ConfigBundle, ConfigBundle]:
        running = self._running()
        if running is None:
            raise GatewayError("no configuration is in force")
        return running, with_codes_of(await self.keeper.load(number), running)

    async def unpin(self, by: str) -> Mapping[str, Any]:
        """Let files and sources count again, and apply them; return what became of it, ready for JSON.

        :raises RefusedError: nothing is pinned.
        :raises GatewayError: that cannot be written.
        """
        if self.keeper.pin is None:
            raise RefusedError(409, "not-pinned", "no version is pinned")
        await self.keeper.save(None)
        return _result(await self._pipeline.reload(f"unpin by {by}"))


async def plain_of(config: GatewayConfig) -> Mapping[str, Any]:
    """Return a configuration as JSON has it, with its secrets."""
    plain: Mapping[str, Any] = await asyncio.to_thread(config.model_dump, mode="json")
    return plain


async def compared(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """Return what differs between two configurations, without secrets, and of how many values."""
    found = await asyncio.to_thread(lambda: list(differences(before, after)))
    return {"differences": found[:_MOST_DIFFERENCES], "total": len(found)}


def _described(entry: VersionEntry) -> dict[str, Any]:
    at = datetime.fromtimestamp(entry.at, UTC).isoformat(timespec="milliseconds")
    return {**asdict(entry), "at": at}


def _result(outcome: ReloadOutcome) -> Mapping[str, Any]:
    if outcome.result == "failed":
        raise GatewayError(f"configuration {outcome.reason}")
    report = render_problems(outcome.problems) if outcome.problems else ""
    return {**outcome.describe(), "report": report}
