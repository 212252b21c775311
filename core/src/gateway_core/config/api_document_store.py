"""The document of the admin API in the state directory. Blocking.

The file is replaced as a whole and written through to the disk, so that a process that is killed, or a power cut,
leaves the old or the new document.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from gateway_core.config import Document
from gateway_core.config.api_document import ApiDocument
from gateway_core.config.documents import LARGEST_FILE, DocumentFormat
from gateway_core.config.state_files import read_state
from gateway_core.private_files import Stamp, check_owner, locked, stamp_of, write_private


class DocumentStore:
    """The document of one gateway."""

    def __init__(self, state: Path, roots: Sequence[str]) -> None:
        """Name the file; nothing is read or written yet.

        :param roots: what ``-c`` named: gateways of other configurations share the directory.
        """
        digest = hashlib.sha256("\n".join(roots).encode()).hexdigest()[:16]
        self.path = state / f"api-{digest}.json"
        self._saved: ApiDocument | None = None
        self._stamp: Stamp | None = None
        """Of the file that `_saved` was read from or written to; None if there was none."""
        self._trying: ApiDocument | None = None

    def load(self) -> ApiDocument:
        """Return the document that is on disk; another gateway of the same configuration may have written it.

        :raises OSError: it cannot be read, or another user may have written it.
        :raises ValueError: it is damaged.
        """
        stamp = stamp_of(self.path)
        if self._saved is None or stamp != self._stamp:
            self._saved, self._stamp = self._read(), stamp
        return self._saved

    def _read(self) -> ApiDocument:
        if stamp_of(self.path) is None:
            return ApiDocument()
        return read_state(self.path, LARGEST_FILE, ApiDocument.from_plain)

    def document(self) -> Document | None:
        """Return what is to be validated: the document on disk, or the one that is tried; None for an empty one.

        It has no rights: it may use neither variables nor files.

        :raises OSError: it cannot be read.
        :raises ValueError: it is damaged.
        """
        content = self.load() if self._trying is None else self._trying
        return Document(str(self.path), content.text(), DocumentFormat.JSON) if content else None

    @contextmanager
    def trying(self, document: ApiDocument) -> Iterator[None]:
        """Have another document validated meanwhile."""
        self._trying = document
        try:
            yield
        finally:
            self._trying = None

    def save(self, document: ApiDocument) -> None:
        """Write a document to the disk in place of the one that was loaded.

        :raises OSError: it cannot be written, or another gateway has written it since.
        """
        with locked(self.path.parent):
            if self._saved is not None and stamp_of(self.path) != self._stamp:
                raise OSError("another gateway of the same configuration has changed it meanwhile")
            write_private(self.path, document.to_plain())
            self._saved, self._stamp = document, stamp_of(self.path)

    def check_writable(self) -> None:
        """Check that a document can be kept.

        :raises OSError: the directory cannot be made or written.
        """
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        check_owner(self.path.parent)
        with tempfile.TemporaryFile(dir=self.path.parent):
            pass
