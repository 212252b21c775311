"""What operators override while the gateway runs: endpoints, quarantines and the level of the log.

Each override has an owner, a reason and an end. All are kept in one file of the state directory, so that a restart
sends no request to an endpoint under maintenance. Gateways of the same configuration that share the directory
share the file: each change is made to what the file has at that moment, under a lock.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal, get_args

from gateway_core.config import LogLevel
from gateway_core.config.state_files import read_state
from gateway_core.private_files import Stamp, locked, stamp_of, write_private

FORMAT: Final = 1
MOST: Final = 200
"""Overrides of one gateway."""

_LATEST: Final = 253402300800.0
"""Seconds from the epoch to the year 10000, where dates of Python end."""
_LARGEST: Final = 4 << 20
"""Bytes of the file: many times what as many overrides take."""

OverrideKind = Literal["drain", "up", "release", "log-level"]


@dataclass(frozen=True, slots=True)
class Override:
    """Something that is otherwise than configured, until it expires."""

    kind: OverrideKind
    name: str
    """Id of the endpoint, path of the binding, or level of the log."""
    by: str
    at: float
    """Seconds since the epoch."""
    expires: float
    """Seconds since the epoch."""
    reason: str = ""
    upstream: str = ""
    """Of the endpoint."""

    @property
    def subject(self) -> tuple[str, ...]:
        """What it is about: of two overrides with one subject the later one counts."""
        if self.kind == "log-level":
            return ("log-level",)
        return ("release", self.name) if self.kind == "release" else endpoint_subject(self.upstream, self.name)

    def describe(self) -> dict[str, Any]:
        """Return it ready for JSON."""
        times = {name: datetime.fromtimestamp(getattr(self, name), UTC).isoformat() for name in ("at", "expires")}
        return {**asdict(self), **times}

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Override:
        """Undo `dataclasses.asdict`.

        :raises ValueError: it is none.
        """
        try:
            found = cls(**plain)
        except TypeError as error:
            raise ValueError(f"it is damaged: {error}") from error
        for name in ("kind", "name", "by", "reason", "upstream"):
            if not isinstance(getattr(found, name), str):
                raise ValueError(f"it is damaged: {name} of an override is no text")
        for name in ("at", "expires"):
            at = getattr(found, name)
            # NaN and infinity are none either.
            if isinstance(at, bool) or not isinstance(at, int | float) or not 0 <= at < _LATEST:
                raise ValueError(f"it is damaged: {name} of an override is no time in seconds since the epoch")
        if found.kind not in get_args(OverrideKind):
            raise ValueError(f"it is damaged: there is no override {found.kind!r}")
        if found.kind == "log-level" and found.name not in get_args(LogLevel):
            raise ValueError(f"it is damaged: there is no level {found.name!r} of the log")
        return found

    def __str__(self) -> str:
        if self.kind == "log-level":
            return f"log level {self.name}"
        return f"release of {self.name}" if self.kind == "release" else f"{self.kind} of {self.upstream}/{self.name}"


Overrides = tuple[Override, ...]


def endpoint_subject(upstream: str, endpoint: str) -> tuple[str, ...]:
    """Return what an override of an endpoint is about."""
    return ("endpoint", upstream, endpoint)


def in_force(overrides: Iterable[Override], now: float) -> Overrides:
    """Return those that have not expired.

    :param now: seconds since the epoch.
    """
    return tuple(each for each in overrides if each.expires > now)


def with_one(overrides: Iterable[Override], new: Override) -> Overrides:
    """Return the overrides with another one, in place of one with the same subject."""
    return (*without(overrides, new.subject), new)


def without(overrides: Iterable[Override], subject: tuple[str, ...]) -> Overrides:
    """Return the overrides but the one with a subject."""
    return tuple(each for each in overrides if each.subject != subject)


class OverrideStore:
    """The overrides of one gateway on disk. Blocking."""

    def __init__(self, state: Path, roots: Sequence[str]) -> None:
        """Name the file; nothing is read or written yet.

        :param roots: what ``-c`` named: gateways of other configurations share the directory.
        """
        digest = hashlib.sha256("\n".join(roots).encode()).hexdigest()[:16]
        self.path = state / f"overrides-{digest}.json"
        self._stamp: Stamp | None = None
        self._found: Overrides = ()

    def load(self) -> Overrides:
        """Return what is on disk; the file is read again when it was changed.

        :raises OSError: it cannot be read, or another user may have written it.
        :raises ValueError: it is damaged.
        """
        stamp = stamp_of(self.path)
        if stamp != self._stamp:
            self._found, self._stamp = (() if stamp is None else self._read()), stamp
        return self._found

    def _read(self) -> Overrides:
        return read_state(self.path, _LARGEST, _overrides)

    def change(self, edit: Callable[[Overrides], Overrides]) -> Overrides:
        """Change what is on disk, and return it; no other process changes it meanwhile.

        :raises OSError: it cannot be read or written.
        :raises ValueError: it is damaged.
        """
        with locked(self.path.parent):
            after = edit(self.load())
            write_private(self.path, {"format": FORMAT, "overrides": [asdict(each) for each in after]})
            self._found, self._stamp = after, stamp_of(self.path)
        return after


def _overrides(plain: Any) -> Overrides:
    if plain["format"] != FORMAT:
        raise ValueError("it is of another version of the gateway")
    return tuple(map(Override.from_plain, plain["overrides"]))
