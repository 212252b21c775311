"""What was in force last, kept on disk: the documents of sources, and the whole configuration. Blocking.

The documents are for a start while a source is away. The configuration is for ``gateway run --last-good``: local files
never start with an older version unless that is asked for. It is written whenever a configuration is in force, whether
it will be asked for or not: who needs it knows so only afterwards. Both may hold secrets, so only their owner may read
them. A state directory that cannot be written is no fault unless it is needed.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from gateway_core.config import ConfigProblem, Document, render_problems
from gateway_core.config.documents import LARGEST_FILE
from gateway_core.config.sources import ConfigRoot, names_of
from gateway_core.config.state_files import read_state
from gateway_core.events import CONFIG_LAST_GOOD, CONFIG_NOT_KEPT, emit
from gateway_core.failure_text import system_reason
from gateway_core.private_files import write_private
from gateway_core.reload.bundle import PROTOCOL, ConfigBundle, document_from_plain, document_to_plain
from gateway_core.shortages import end_shortage, note_shortage

FORMAT: Final = 1

_SYSTEM: Final = Path("/var/lib/gateway")

_LONGEST: Final = 16 * LARGEST_FILE
"""A configuration of many files, with every default written out."""


def default_state_directory(environ: Mapping[str, str]) -> Path:
    """Return systemd's ``$STATE_DIRECTORY``, else ``$XDG_STATE_HOME/gateway`` (XDG base directories)."""
    given = environ.get("STATE_DIRECTORY", "").partition(":")[0]  # one for each StateDirectory= of the unit
    if Path(given).is_absolute():
        return Path(given)
    home = environ.get("XDG_STATE_HOME", "")
    if Path(home).is_absolute():
        return Path(home) / "gateway"
    try:
        own = Path.home()
    except RuntimeError:  # no HOME, and a user that the system does not know
        return _SYSTEM
    # A HOME of another user, as containers and sudo leave it, has nothing of this one.
    return _SYSTEM if _is_closed(own) else own / ".local" / "state" / "gateway"


def endpoints_file(directory: Path, names: Sequence[str]) -> Path:
    """Return the file that keeps what the discoveries of a gateway found last.

    :param names: what ``-c`` named: gateways of other configurations share the state directory.
    """
    return directory / f"endpoints-{_digest(names)}.json"


def _digest(names: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(names).encode()).hexdigest()[:16]


def _is_closed(directory: Path) -> bool:
    try:
        return directory.is_dir() and not os.access(directory, os.X_OK)
    except PermissionError:
        return True


class LastGood:
    """One file for one list of sources; it may hold secrets, so only its owner may read it."""

    def __init__(self, directory: Path, identities: Sequence[str]) -> None:
        """Name the file; nothing is read or written yet.

        :param identities: what distinguishes the sources, in their order.
        """
        self.path = directory / f"sources-{_digest(identities)}.json"
        self._identities = list(identities)

    def save(self, documents: Sequence[Sequence[Document]]) -> None:
        """Write the documents of each source, all or nothing: another process or a power cut sees old or new.

        :raises OSError: they cannot be written.
        """
        plain = {
            "format": FORMAT,
            "sources": self._identities,
            "documents": [[document_to_plain(each) for each in part] for part in documents],
        }
        write_private(self.path, plain)

    def load(self) -> list[tuple[Document, ...]] | None:
        """Return the documents of each source; None if none were kept.

        :raises OSError: the file cannot be read.
        :raises ValueError: it is damaged, or of another version of the gateway.
        """
        try:
            found = read_state(self.path, LARGEST_FILE, self._take)
        except FileNotFoundError:
            return None
        if len(found) != len(self._identities):
            raise ValueError("it is damaged: documents of some sources are missing")
        return found

    def _take(self, plain: Any) -> list[tuple[Document, ...]]:
        if plain["format"] != FORMAT or plain["sources"] != self._identities:
            raise ValueError("it is of another version or of other sources")
        return [tuple(map(document_from_plain, part)) for part in plain["documents"]]


class LastBundle:
    """One file for what ``-c`` named."""

    def __init__(self, directory: Path, roots: Sequence[ConfigRoot], *, is_used: bool) -> None:
        """Name the file; nothing is read or written yet.

        :param is_used: whether a start may fall back to it.
        """
        self.path = directory / f"in-force-{_digest(names_of(roots))}.json"
        self._is_used = is_used
        self._saved = ""

    async def save(self, bundle: ConfigBundle) -> None:
        """Keep the configuration that is in force."""
        if bundle.version == self._saved:
            return
        try:
            await asyncio.to_thread(write_private, self.path, {"format": FORMAT, **bundle.to_plain()})
        except OSError as error:
            if self._is_used:
                text = f"the configuration in force cannot be kept in {self.path}: {error}"
                emit(CONFIG_NOT_KEPT, text, path=str(self.path), reason=str(error))
                note_shortage("state", not_kept(self.path), system_reason(error).lower(), None)
        else:
            self._saved = bundle.version
            end_shortage(not_kept(self.path))

    async def load_after(self, problems: Sequence[ConfigProblem]) -> ConfigBundle | None:
        """Return what was in force last, if a start may use it instead of a configuration with these problems."""
        if not self._is_used:
            return None
        try:
            bundle = await asyncio.to_thread(self._load)
        except (OSError, ValueError) as error:
            text = f"there is no last good configuration in {self.path}: {error}"
            emit(CONFIG_NOT_KEPT, text, path=str(self.path), reason=str(error))
            return None
        emit(
            CONFIG_LAST_GOOD,
            f"the configuration cannot be used, the one that was in force last is started from {self.path}",
            details=render_problems(problems),
            path=str(self.path),
            problems=len(problems),
        )
        return bundle

    def _load(self) -> ConfigBundle:
        return read_state(self.path, _LONGEST, _bundle)


def _bundle(plain: Any) -> ConfigBundle:
    if plain["format"] != FORMAT or plain["protocol"] != PROTOCOL:
        raise ValueError("it is of another version of the gateway")
    return ConfigBundle.kept(plain)


def not_kept(path: Path) -> str:
    """Return what status pages say of a file of the state directory that cannot be written."""
    return f"what is in force cannot be kept in {path}"
