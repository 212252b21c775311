"""Configurations that were in force, kept on disk, and the one that is pinned. Blocking.

Each is a file of its own, compressed and readable by its owner alone, as it holds the secrets. A table of contents
beside them is replaced as a whole with each change: a file that it does not name does not count, and is removed.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

from gateway_core.config.documents import LARGEST_FILE, read_regular
from gateway_core.config.state_files import read_state, take_state
from gateway_core.private_files import Stamp, check_owner, locked, stamp_of, write_private, write_private_bytes
from gateway_core.reload.bundle import ConfigBundle

FORMAT: Final = 1
MOST_VERSIONS: Final = 20
MOST_BYTES: Final = 256 * 1024 * 1024
"""Of all versions together; the one in force and the one that is pinned are kept whatever they take."""

_LEVEL: Final = 1
_LARGEST: Final = 16 * LARGEST_FILE
"""Bytes of a version that is not compressed."""
_LARGEST_TABLE: Final = 1 << 20
"""Bytes of the table: many times what as many entries take."""


@dataclass(frozen=True, slots=True)
class VersionEntry:
    """One configuration that was in force."""

    number: int
    """From 1 on; never used again."""
    version: str
    at: float
    """Seconds since the epoch at which it was put in force."""
    trigger: str
    """What asked for it."""
    changes: str
    """What it changed."""
    size: int = 0
    """Bytes on disk."""


@dataclass(frozen=True, slots=True)
class Pin:
    """Which version stays in force whatever files say."""

    number: int
    by: str
    at: float
    reason: str = ""

    def __str__(self) -> str:
        why = f": {self.reason}" if self.reason else ""
        return f"version {self.number} is pinned by {self.by}{why}"


class VersionStore:
    """The versions of one gateway."""

    def __init__(self, state: Path, roots: Sequence[str]) -> None:
        """Name the folder; nothing is read or written yet.

        :param roots: what ``-c`` named: gateways of other configurations share the state directory.
        """
        digest = hashlib.sha256("\n".join(roots).encode()).hexdigest()[:16]
        self.folder = state / f"versions-{digest}"
        self._entries: list[VersionEntry] | None = None
        self._pin: Pin | None = None
        self._pinned: ConfigBundle | None = None
        self._stamp: Stamp | None = None
        """Of the table that was read or written last."""

    # -- what there is

    def entries(self) -> Sequence[VersionEntry]:
        """Return the versions, the newest last.

        :raises OSError: they cannot be read.
        :raises ValueError: the table is damaged.
        """
        self._read()
        return tuple(self._entries or ())

    def pin(self) -> Pin | None:
        """Return what is pinned.

        :raises OSError: it cannot be read.
        :raises ValueError: the table is damaged.
        """
        self._read()
        return self._pin

    @property
    def last_pin(self) -> Pin | None:
        """What was pinned when the table was read last."""
        return self._pin

    def pinned(self) -> ConfigBundle | None:
        """Return the configuration that is pinned; None if none is.

        :raises OSError: it cannot be read.
        :raises ValueError: it is damaged, or of another version of the gateway.
        """
        pin = self.pin()
        if pin is not None and self._pinned is None:
            self._pinned = self.load(pin.number)
        return self._pinned

    def load(self, number: int) -> ConfigBundle:
        """Return a version.

        :raises LookupError: there is none of this number.
        :raises OSError: it cannot be read.
        :raises ValueError: it is damaged.
        """
        if not any(each.number == number for each in self.entries()):
            raise LookupError(number)
        path = self._file(number)
        check_owner(path)
        try:
            return take_state(_decompressed(read_regular(path, MOST_BYTES)), ConfigBundle.kept)
        except (zlib.error, ValueError) as error:
            raise ValueError(f"{path} cannot be used: {error}") from error

    def _read(self) -> None:
        """Read the table if another one is there than was read or written last: gateways share it."""
        path = self.folder / "table.json"
        stamp = stamp_of(path)
        if self._entries is not None and stamp == self._stamp:
            return
        if stamp is None:
            self._entries, self._pin, self._pinned, self._stamp = [], None, None, None
            return
        try:
            entries, pin = read_state(path, _LARGEST_TABLE, _table)
        except ValueError as error:
            raise ValueError(f"{path} cannot be used: {error}") from error
        if pin != self._pin:
            self._pinned = None
        self._entries, self._pin, self._stamp = entries, pin, stamp

    # -- what changes it

    def keep(self, bundle: ConfigBundle, at: float, trigger: str, changes: str) -> None:
        """Keep what is in force from now on, unless it is what was in force last.

        :raises OSError: it cannot be written.
        :raises ValueError: the table is damaged.
        """
        with locked(self.folder):
            self._keep(bundle, at, trigger, changes)

    def _keep(self, bundle: ConfigBundle, at: float, trigger: str, changes: str) -> None:
        entries = list(self.entries())
        if entries and entries[-1].version == bundle.version:
            return
        number = entries[-1].number + 1 if entries else 1
        content = zlib.compress(json.dumps(bundle.to_plain()).encode(), _LEVEL)
        write_private_bytes(self._file(number), content)
        entry = VersionEntry(number, bundle.version, at, trigger[:500], changes[:2000], len(content))
        kept = bounded([*entries, entry], None if self._pin is None else self._pin.number)
        self._write(kept, self._pin)
        self._remove_others({each.number for each in kept})

    def set_pin(self, pin: Pin | None) -> None:
        """Pin a version, or none.

        :raises OSError: it cannot be written.
        """
        with locked(self.folder):
            self._write(list(self.entries()), pin)
        self._pinned = None

    def _write(self, entries: Sequence[VersionEntry], pin: Pin | None) -> None:
        plain: Mapping[str, Any] = {
            "format": FORMAT,
            "versions": [asdict(each) for each in entries],
            "pin": None if pin is None else asdict(pin),
        }
        write_private(self.folder / "table.json", plain)
        self._entries, self._pin, self._stamp = list(entries), pin, stamp_of(self.folder / "table.json")

    def _remove_others(self, numbers: set[int]) -> None:
        for path in self.folder.glob("*.version"):
            if not path.stem.isdecimal() or int(path.stem) not in numbers:
                path.unlink(missing_ok=True)

    def _file(self, number: int) -> Path:
        return self.folder / f"{number:08}.version"


def _table(plain: Any) -> tuple[list[VersionEntry], Pin | None]:
    if plain["format"] != FORMAT:
        raise ValueError("it is of another version of the gateway")
    pin = plain["pin"]
    return [_entry(**each) for each in plain["versions"]], None if pin is None else _pin(**pin)


def _entry(number: Any, version: Any, at: Any, trigger: Any, changes: Any, size: Any = 0) -> VersionEntry:
    return VersionEntry(int(number), str(version), float(at), str(trigger), str(changes), int(size))


def _pin(number: Any, by: Any, at: Any, reason: Any = "") -> Pin:
    return Pin(int(number), str(by), float(at), str(reason))


def _decompressed(data: bytes) -> bytes:
    decompressor = zlib.decompressobj()
    content = decompressor.decompress(data, _LARGEST)
    if decompressor.unconsumed_tail or not decompressor.eof:
        raise zlib.error(f"it is cut off, or larger than {_LARGEST >> 20} MiB")
    return content


def bounded(entries: Sequence[VersionEntry], pinned: int | None) -> list[VersionEntry]:
    """Return the newest versions that there is room for, and the pinned one. Pure."""
    kept: list[VersionEntry] = []
    size = 0
    for entry in reversed(entries):
        size += entry.size
        is_first = not kept
        if is_first or entry.number == pinned or (len(kept) < MOST_VERSIONS and size <= MOST_BYTES):
            kept.append(entry)
    return kept[::-1]


def with_codes_of(bundle: ConfigBundle, running: ConfigBundle) -> ConfigBundle:
    """Return a version with the code of plugins that runs now: rolling back a configuration installs nothing. Pure."""
    codes = {name: running.plugins.get(name, code) for name, code in bundle.plugins.items()}
    return replace(bundle, plugins=codes)
