"""Overrides of this program: made by operators, kept on disk, ended when they expire.

An override is on disk before it is in force, so that a process that is killed at any moment starts with the old or the
new ones. Where nothing can be written it is in force all the same, and its response and the log say that it ends with
the gateway: an endpoint that has to be drained cannot wait for a disk.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from gateway_core.clock import SystemClock
from gateway_core.errors import GatewayError, RefusedError
from gateway_core.events import ADMIN_OVERRIDE, emit
from gateway_core.failure_text import system_reason
from gateway_core.metrics.catalogue import OVERRIDE_EXPIRES
from gateway_core.metrics.samples import Samples
from gateway_core.process.model import ProcessModel
from gateway_core.process.override_table import from_plain, plain_of
from gateway_core.reload.overrides import (
    MOST,
    Override,
    OverrideKind,
    Overrides,
    OverrideStore,
    endpoint_subject,
    in_force,
    with_one,
    without,
)

_LOOK_EVERY: Final = 1.0
"""Seconds between looks for overrides that have expired, and for what another gateway has written."""
_STATUS_TIMEOUT: Final = 5.0


class OverrideKeeper:
    """What operators override."""

    def __init__(self, state: Path, roots: Sequence[str], model: Callable[[], ProcessModel | None]) -> None:
        """Begin with nothing overridden; nothing is read yet.

        :param state: the directory that they are kept in, for gateways of these roots.
        :param model: returns what serves.
        """
        self._store = OverrideStore(state, roots)
        self._model_now = model
        self._clock = SystemClock()
        self._turn = asyncio.Lock()
        self._not_kept = ""
        self.current: Overrides = ()
        """Those in force."""

    async def load(self, left: Sequence[Mapping[str, Any]] = ()) -> None:
        """Read what is on disk.

        :param left: overrides of the program before this one, which no disk may have.
        :raises GatewayError: it cannot be read: what is overridden is not known.
        """
        try:
            found = kept = await asyncio.to_thread(self._store.load)
            for each in from_plain(map(dict, left)):
                found = with_one(found, each)
        except (OSError, ValueError) as error:
            text = f"the overrides in {self._store.path} cannot be used: {error}: mend or remove the file"
            raise GatewayError(text) from error
        if any(each not in kept for each in found):  # else the next look at the disk would end them
            self._not_kept = f"{self._store.path} has not what was in force in the program before"
        self.current = in_force(found, self._clock.wall())

    def left(self) -> list[dict[str, Any]]:
        """Return what the next program begins with."""
        return plain_of(self.current)

    async def begin(self, model: ProcessModel) -> None:
        """Have the overrides in force in a model that prepares its first configuration."""
        await model.override(self.current)

    async def follow(self) -> None:
        """End overrides when they expire, and take over those of another gateway of the same state directory."""
        while True:
            await asyncio.sleep(_LOOK_EVERY)
            async with self._turn:
                await self._follow()

    async def _follow(self) -> None:
        found = self.current
        if not self._not_kept:
            try:
                found = await asyncio.to_thread(self._store.load)
            except (OSError, ValueError):
                found = self.current  # the next change reports why
        await self._put(in_force(found, self._clock.wall()))

    def describe(self) -> list[dict[str, Any]]:
        """Return what is overridden, ready for JSON."""
        return [each.describe() for each in self.current]

    def of_endpoints(self) -> Mapping[tuple[str, ...], dict[str, Any]]:
        """Return the overrides of endpoints by `endpoint_subject`, ready for JSON."""
        return {each.subject: each.describe() for each in self.current if each.upstream}

    def report(self, samples: Samples) -> None:
        """Add when each override ends."""
        rows = [((each.kind, each.upstream, each.name), each.expires) for each in self.current]
        samples.put(OVERRIDE_EXPIRES, rows)

    # -- what operators do

    async def drain(
        self, endpoint: str, upstream: str | None, *, force: bool, by: str, reason: str, seconds: float
    ) -> Mapping[str, Any]:
        """Send an endpoint no new requests.

        :param upstream: the upstream's name; None if the endpoint's id is of one upstream alone.
        :param force: also if it is the last one that its upstream has.
        :raises RefusedError: there is no such endpoint, or it is the last one.
        """
        async with self._turn:
            name, workers = await self._find(endpoint, upstream)

            def check(there: Overrides) -> None:
                # Another gateway of the same state directory may have drained one that this one has still up.
                drained = {each.name for each in there if each.kind == "drain" and each.upstream == name}
                if not force and not all(_has_another(each, {endpoint, *drained}) for each in workers):
                    text = f"{endpoint} is the last endpoint of {name} that is up: without it requests get 503"
                    raise RefusedError(409, "last-endpoint", f"{text}: send force (gateway drain --force) to drain it")

            return await self._add("drain", endpoint, by, reason, seconds, name, check=check)

    async def up(
        self, endpoint: str, upstream: str | None, *, by: str, reason: str, seconds: float
    ) -> Mapping[str, Any]:
        """End the drain of an endpoint, or have one that is configured or discovered down or draining get requests.

        :raises RefusedError: there is no such endpoint.
        """
        async with self._turn:
            drained = [
                each.upstream
                for each in self.current
                if each.kind == "drain" and each.name == endpoint and upstream in {None, each.upstream}
            ]
            if len(drained) > 1:
                raise _ambiguous(endpoint, drained)
            outcome = self._outcome(None, ())
            if drained:
                outcome = await self._end(endpoint_subject(drained[0], endpoint))
            try:
                upstream, workers = await self._find(endpoint, upstream or next(iter(drained), None))
            except RefusedError:
                if drained:  # it is drained, and not there any more
                    return outcome
                raise
            found = [each for worker in workers for each in worker["endpoints"] if each["id"] == endpoint]
            subject = endpoint_subject(upstream, endpoint)
            if all(each["status"] == "up" for each in found) and not any(
                each.subject == subject for each in self.current
            ):
                return outcome
            return await self._add("up", endpoint, by, reason, seconds, upstream)

    async def release(self, binding: str, *, by: str, reason: str, seconds: float) -> Mapping[str, Any]:
        """Take a binding out of quarantine, and keep it out for a while.

        :raises RefusedError: there is no such binding, or it has no quarantine.
        """
        async with self._turn:
            workers = (await self._model.plugins())["workers"]
            found = [each for worker in workers for each in worker["bindings"] if each["path"] == binding]
            if not found:
                raise RefusedError(404, "not-found", f"there is no binding {binding!r}: GET plugins has their paths")
            if all(each["quarantine"] is None for each in found):
                raise RefusedError(409, "no-quarantine", f"binding {binding!r} has no quarantine in its configuration")
            return await self._add("release", binding, by, reason, seconds)

    async def set_log_level(self, level: str | None, *, by: str, reason: str, seconds: float) -> Mapping[str, Any]:
        """Log from a level on in every process; None has the configuration decide again."""
        async with self._turn:
            if level is None:
                return await self._end(("log-level",))
            return await self._add("log-level", level, by, reason, seconds)

    # -- how

    @property
    def _model(self) -> ProcessModel:
        model = self._model_now()
        if model is None:
            raise GatewayError("no configuration is in force")
        return model

    async def _find(self, endpoint: str, upstream: str | None) -> tuple[str, list[Mapping[str, Any]]]:
        """Return the upstream of an endpoint, as each worker has it.

        :raises RefusedError: there is none, or several.
        """
        found: dict[str, list[Mapping[str, Any]]] = {}
        known = (await self._model.status(_STATUS_TIMEOUT)).get("upstreams", ())
        for each in known:
            if upstream in {None, each["name"]} and any(one["id"] == endpoint for one in each["endpoints"]):
                found.setdefault(each["name"], []).append(each)
        if not found:
            where = "" if upstream is None else f" of upstream {upstream!r}"
            remedy = "`gateway status` and GET upstreams list them"
            raise RefusedError(404, "not-found", f"there is no endpoint {endpoint!r}{where}: {remedy}")
        if len(found) > 1:
            raise _ambiguous(endpoint, found)
        return next(iter(found.items()))

    async def _add(
        self,
        kind: OverrideKind,
        name: str,
        by: str,
        reason: str,
        seconds: float,
        upstream: str = "",
        check: Callable[[Overrides], None] = lambda _: None,
    ) -> Mapping[str, Any]:
        """Add an override.

        :param check: raises `RefusedError` if it may not be added to those that are in force.
        """
        now = self._clock.wall()
        new = Override(kind, name, by, now, now + seconds, reason, upstream)
        if len(without(self.current, new.subject)) >= MOST:
            raise RefusedError(409, "too-many", f"{MOST} overrides are in force: end some")

        def edit(there: Overrides) -> Overrides:
            others = in_force(there, now)
            check(others)
            return with_one(others, new)

        return self._outcome(new, await self._change(edit))

    async def _end(self, subject: tuple[str, ...]) -> Mapping[str, Any]:
        now = self._clock.wall()
        late = await self._change(lambda there: without(in_force(there, now), subject))
        return self._outcome(None, late)

    def _outcome(self, override: Override | None, late: Sequence[int]) -> Mapping[str, Any]:
        shown = None if override is None else override.describe()
        return {"override": shown, "silent_workers": list(late), "not_kept": self._not_kept}

    async def _change(self, edit: Callable[[Overrides], Overrides]) -> Sequence[int]:
        """Change the overrides on disk, then those in force; return the workers that have not taken them in in time."""
        # What could not be written before is in force all the same, and on no disk.
        here = self.current if self._not_kept else None
        try:
            after = await asyncio.to_thread(self._store.change, lambda there: edit(there if here is None else here))
        except OSError as error:
            self._not_kept = f"{self._store.path} cannot be written: {system_reason(error)}"
            after = edit(self.current)
        except ValueError as error:
            text = f"the overrides in {self._store.path} cannot be used: {error}: mend or remove the file"
            raise GatewayError(text) from error
        else:
            self._not_kept = ""
        return await self._put(after)

    async def _put(self, after: Overrides) -> Sequence[int]:
        before, now = self.current, self._clock.wall()
        if after == before:
            return ()
        for each in after:
            if each not in before:
                _log(each, f"{each} by {each.by}", "begun")  # before the level of the log may keep it out
        self.current = after
        late = await self._model.override(after)
        subjects = {each.subject for each in after}
        for each in before:
            if each.subject not in subjects:
                end = "expired" if each.expires <= now else "ended"
                _log(each, f"{each} by {each.by} has {end}", end)
        return late


def _ambiguous(endpoint: str, upstreams: Iterable[str]) -> RefusedError:
    names = sorted(upstreams)
    text = f"endpoint {endpoint!r} is one of several upstreams ({', '.join(names)}): name one with upstream"
    return RefusedError(409, "ambiguous", text, more={"upstreams": names})


def _has_another(upstream: Mapping[str, Any], drained: Collection[str]) -> bool:
    """Whether an upstream has an endpoint beside those drained that gets requests and is healthy. Pure."""
    others = (each for each in upstream["endpoints"] if each["id"] not in drained)
    return any(each["state"] == "up" and each["weight"] > 0 for each in others)


def _log(override: Override, text: str, state: str) -> None:
    why = f": {override.reason}" if override.reason else ""
    emit(
        ADMIN_OVERRIDE,
        f"{text}{why}",
        kind=override.kind,
        upstream=override.upstream or None,
        name=override.name,
        by=override.by,
        reason=override.reason or None,
        expires=override.describe()["expires"],
        state=state,
    )
