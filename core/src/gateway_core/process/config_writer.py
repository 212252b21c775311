"""Writes to the configuration by the admin API: one after the other, through the same reload as a file's change.

A write is validated with everything else, prepared by every serving process, kept on disk and committed. Whatever fails
before the disk leaves nothing behind; what fails after it puts the old document back. So a process that
is killed at any moment finds the old or the new document when it starts, and serves what that says.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from gateway_core.config import ConfigError, Document, GatewayConfig, problem_as_json, render_problems
from gateway_core.config.admin_targets import leads_to, urls_at
from gateway_core.config.api_document import KEYS, ApiDocument, has_whole_references
from gateway_core.config.api_document_store import DocumentStore
from gateway_core.config.sources.factories import configured_rights
from gateway_core.errors import GatewayError, RefusedError
from gateway_core.failure_text import system_reason
from gateway_core.process.model import ProcessModel
from gateway_core.process.version_keeper import compared, plain_of
from gateway_core.reload.bundle import ConfigBundle, ValidationFailedError, Validator, Verdict
from gateway_core.reload.history import ReloadOutcome
from gateway_core.reload.pipeline import Change, Pipeline, Prepare

Edit = Callable[[ApiDocument], ApiDocument]
"""Makes another document of the one that there is; raises `RefusedError` if that may not be."""


class WithApiDocument:
    """A validator that validates the document of the API with everything else."""

    def __init__(self, inner: Validator, store: DocumentStore) -> None:
        self._inner = inner
        self._store = store

    async def validate(self, paths: Sequence[Path], documents: Sequence[Document] = ()) -> Verdict:
        """Validate files, documents of sources and the document of the API.

        :raises ValidationFailedError: there is no verdict.
        """
        try:
            own = await asyncio.to_thread(self._store.document)
        except (OSError, ValueError) as error:
            text = f"the document of the admin API in {self._store.path} cannot be used: {error}: mend or remove it"
            raise ValidationFailedError(text) from error
        if own is not None and "${" in own.text and has_whole_references(json.loads(own.text)):
            own = replace(own, rights=await asyncio.to_thread(configured_rights, paths, os.environ))
        return await self._inner.validate(paths, documents if own is None else (*documents, own))


class ConfigWriter:
    """Writes to the document of the API, and applies it."""

    def __init__(
        self,
        store: DocumentStore,
        pipeline: Pipeline,
        prepare: Prepare,
        model: Callable[[], ProcessModel | None],
        control: Path,
        pin: Callable[[], object] = lambda: None,
    ) -> None:
        """Write through a pipeline.

        :param prepare: builds a configuration in every serving process.
        :param model: returns what serves.
        :param control: the control socket, which no route may lead to.
        :param pin: returns which version is pinned; nothing is written then.
        """
        self._store = store
        self._pipeline = pipeline
        self._prepare = prepare
        self._model = model
        self._control = control
        self._pin = pin
        self.turn = asyncio.Lock()
        """Held by each write from its checks to its end, and by whatever else must not come between."""

    async def document(self) -> ApiDocument:
        """Return the document that is on disk.

        :raises GatewayError: it cannot be read.
        """
        try:
            return await asyncio.to_thread(self._store.load)
        except (OSError, ValueError) as error:
            raise GatewayError(
                f"the document of the admin API in {self._store.path} cannot be used: {error}"
            ) from error

    @property
    def name(self) -> str:
        """What problems and places call the document."""
        return str(self._store.path)

    async def write(self, edit: Edit, why: str, *, dry_run: bool = False) -> tuple[ApiDocument, Mapping[str, Any]]:
        """Apply an edit, and return the document and what became of it, ready for JSON.

        :raises RefusedError: the edit may not be, its outcome has problems, or nothing can be kept.
        :raises GatewayError: the program ends, or it cannot be applied for another reason.
        """
        async with self.turn:
            before = await self.document()
            after = edit(before)
            self._refuse_admin_targets(after)
            if dry_run:
                return after, await self._try(after)
            if (pin := self._pin()) is not None:
                raise RefusedError(409, "pinned", f"{pin}: nothing is applied until config:unpin")
            await self._refuse_unwritable()
            outcome = await self._pipeline.apply(
                why, partial(self._prepare_write, before, after), self._store.trying(after)
            )
            _refuse_failed(outcome)
            return after, outcome.describe()

    async def _prepare_write(self, before: ApiDocument, after: ApiDocument, bundle: ConfigBundle) -> Change:
        change = await self._prepare(bundle)

        async def commit() -> str:
            try:
                await asyncio.to_thread(self._store.save, after)
            except OSError as error:
                raise GatewayError(f"{self._store.path} cannot be written: {system_reason(error)}") from error
            try:
                return await change.commit()
            except BaseException:
                await asyncio.to_thread(self._store.save, before)
                raise

        return Change(commit, change.discard, change.conclude)

    async def _try(self, after: ApiDocument) -> Mapping[str, Any]:
        """Validate and prepare a document, and give it up; return what applying it would change and end."""
        try:
            _, found = await self._tried(self._store.trying(after))
        except ConfigError as error:
            raise _rejected(error.problems) from error
        return {"ok": True, **found}

    async def try_out(self, version: ConfigBundle | None = None) -> Mapping[str, Any]:
        """Prepare a version, or validate and prepare what files and sources have, and give it up.

        See `AdminView.try_reload` and `try_roll_back`.
        """
        before = await plain_of(self._running.config)
        try:
            config, found = await self._tried(nullcontext(), version)
        except ConfigError as error:
            problems = [problem_as_json(each) for each in error.problems]
            return {"result": "rejected", "problems": problems, "report": render_problems(error.problems)}
        return {"result": "ok", "report": "", **await compared(before, await plain_of(config)), **found}

    async def _tried(
        self, trying: AbstractContextManager[None], version: ConfigBundle | None = None
    ) -> tuple[GatewayConfig, dict[str, Any]]:
        # A supervisor does without the data path otherwise.
        from gateway_core.process.losses import losses  # noqa: PLC0415

        in_force = self._running.config
        verdict = None if version is None else Verdict(version.watch(), version)
        config, problems = await self._pipeline.try_out(self._prepare, trying, verdict)
        status = await self._running.status(5.0)
        ends = list(losses(in_force, config, status.get("upstreams", ())))
        return config, {"problems": [problem_as_json(each) for each in problems], "losses": ends}

    @property
    def _running(self) -> ProcessModel:
        model = self._model()
        if model is None:
            raise GatewayError("no configuration is in force")
        return model

    async def _refuse_unwritable(self) -> None:
        try:
            await asyncio.to_thread(self._store.check_writable)
        except OSError as error:
            text = (
                f"nothing can be written without a state directory: {self._store.path.parent}: {system_reason(error)}"
            )
            raise RefusedError(
                503, "state-not-writable", f"{text}: name another one with gateway run --state"
            ) from error

    def _refuse_admin_targets(self, document: ApiDocument) -> None:
        config = self._running.config
        taken = [] if config.admin is None else [text for _, text in config.admin.addresses()]
        for kind in KEYS:
            for name, each in document.of(kind).items():
                for _, url in urls_at(each.value):
                    if leads_to(url, taken, self._control):
                        text = f"{kind[:-1]} {name!r} leads to the admin listener ({url}), which is not for clients"
                        raise RefusedError(422, "admin-target", text)


def _refuse_failed(outcome: ReloadOutcome) -> None:
    if outcome.result == "rejected":
        raise _rejected(outcome.problems)
    if outcome.result != "ok":
        raise GatewayError(f"configuration {outcome.reason}")


def _rejected(problems: Sequence[Any]) -> RefusedError:
    shown = [problem_as_json(each) for each in problems]
    text = f"the configuration would have {len(shown)} problem{'' if len(shown) == 1 else 's'}: nothing was changed"
    return RefusedError(422, "rejected", text, problems=shown, report=render_problems(problems))
