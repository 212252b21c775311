"""The last good documents of the sources, kept on disk for a start while a source is away. Blocking."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import stat
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from gateway_core.config.documents import LARGEST_FILE, Document, DocumentFormat, read_regular

FORMAT: Final = 1


def default_state_directory(environ: Mapping[str, str]) -> Path:
    """Return the directory of the XDG base directory specification: ``$XDG_STATE_HOME/gateway``."""
    home = environ.get("XDG_STATE_HOME", "")
    if Path(home).is_absolute():
        return Path(home) / "gateway"
    try:
        return Path.home() / ".local" / "state" / "gateway"
    except RuntimeError:  # no HOME, and a user that the system does not know
        return Path("/var/lib/gateway")


class LastGood:
    """One file for one list of sources; it may hold secrets, so only its owner may read it."""

    def __init__(self, directory: Path, identities: Sequence[str]) -> None:
        """Name the file; nothing is read or written yet.

        :param identities: what tells the sources apart, in their order.
        """
        digest = hashlib.sha256("\n".join(identities).encode()).hexdigest()[:16]
        self.path = directory / f"sources-{digest}.json"
        self._identities = list(identities)

    def save(self, documents: Sequence[Sequence[Document]]) -> None:
        """Write the documents of each source, all or nothing: another process or a power cut sees old or new.

        :raises OSError: they cannot be written.
        """
        plain = {
            "format": FORMAT,
            "sources": self._identities,
            "documents": [[to_plain(each) for each in part] for part in documents],
        }
        write_private(self.path, plain)

    def load(self) -> list[tuple[Document, ...]] | None:
        """Return the documents of each source; None if none were kept.

        :raises OSError: the file cannot be read.
        :raises ValueError: it is damaged, or of another version of the gateway.
        """
        try:
            check_owner(self.path.parent)
            check_owner(self.path)
            plain = json.loads(read_regular(self.path, LARGEST_FILE))
        except FileNotFoundError:
            return None
        try:
            if plain["format"] != FORMAT or plain["sources"] != self._identities:
                raise ValueError("it is of another version or of other sources")
            found = [tuple(from_plain(each) for each in part) for part in plain["documents"]]
        except (KeyError, TypeError) as error:
            raise ValueError(f"it is damaged: {error!r}") from None
        if len(found) != len(self._identities):
            raise ValueError("it is damaged: documents of some sources are missing")
        return found


def write_private(path: Path, plain: Mapping[str, Any]) -> None:
    """Write JSON that may hold secrets for its owner alone, all or nothing.

    :raises OSError: it cannot be written.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    check_owner(path.parent)
    # A fresh name each time, made for its owner alone (0600).
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(plain, file, ensure_ascii=False)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(name).unlink()
        raise
    _sync_directory(path.parent)


def check_owner(path: Path) -> None:
    """Refuse what another user may have written: it would decide what is served.

    :raises OSError: the file or directory belongs to another user than this process's and root, or anyone may write it.
    """
    found = path.stat()
    own = os.geteuid()
    if found.st_uid not in {own, 0}:
        text = f"{str(path)!r} belongs to user {found.st_uid}: use a state directory that belongs to user {own}"
        raise PermissionError(errno.EPERM, text)
    if found.st_mode & stat.S_IWOTH:
        raise PermissionError(errno.EPERM, f"{str(path)!r} may be written by anyone: run chmod o-w on it")


def to_plain(document: Document) -> dict[str, Any]:
    """Return a document of a source as plain data."""
    return {"name": document.name, "text": document.text, "format": document.format.value}


def from_plain(entry: Mapping[str, Any]) -> Document:
    """Undo `to_plain`."""
    return Document(entry["name"], entry["text"], DocumentFormat(entry["format"]))


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
