"""The files of a document: the one that is configured, and those below its folder that it refers to.

Nothing is fetched. A reference that leaves the folder, by ``..``, by a symbolic link or as a URL, is refused.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import unquote, urlsplit

from gateway_openapi.documents import DocumentError, References, read_value
from gateway_plugin_sdk import ConfigFile

_MOST_FILES: Final = 200
_MOST_BYTES: Final = 64 * 1024 * 1024
_MOST_HOPS: Final = 32
"""References that refer to one another."""


class Place(NamedTuple):
    """Where a value is: a file, and a JSON pointer in it."""

    file: Path
    pointer: str

    def child(self, *steps: str | int) -> Place:
        """Return the place of a value within this one."""
        more = "".join(f"/{str(step).replace('~', '~0').replace('/', '~1')}" for step in steps)
        return Place(self.file, self.pointer + more)

    def __str__(self) -> str:
        return f"{self.file.name}#{self.pointer}"


class Files:
    """Reads each file once."""

    def __init__(self, main: Path, document: Any, *, is_alone: bool = False) -> None:
        """Begin with a document that was read.

        :param is_alone: it may refer only to itself.
        """
        self.main: Final = Place(main.resolve(), "")
        self._folder = None if is_alone else self.main.file.parent
        self._documents = {self.main.file: References(document)}
        self._bytes = 0

    def find(self, reference: str, base: Place) -> tuple[Any, Place]:
        """Return what a reference names, and its place.

        :raises DocumentError: it names nothing, or something outside the folder.
        """
        name, _, fragment = reference.partition("#")
        file = base.file if not name else self._file(name, reference, base)
        references = self._documents.get(file)
        if references is None:
            references = self._documents[file] = References(self._read(file, reference, base))
        try:
            return references.find(f"#{fragment}"), Place(file, unquote(fragment))
        except KeyError:
            what = f"{base} refers to {reference[:80]!r}, which is not there: correct it, or add what it names"
            raise DocumentError(what) from None

    def resolve(self, node: Any, base: Place) -> tuple[Any, Place]:
        """Follow the references of a value.

        :raises DocumentError: one names nothing, or they go in circles.
        """
        for _ in range(_MOST_HOPS):
            if not isinstance(node, dict) or not isinstance(node.get("$ref"), str):
                return node, base
            node, base = self.find(node["$ref"], base)
        raise DocumentError(f"{base} refers to itself: write what it stands for")

    def _file(self, name: str, reference: str, base: Place) -> Path:
        parts = urlsplit(name)
        if parts.scheme or parts.netloc:
            what = "nothing is fetched: save it in the folder of the document, and name the file"
            raise DocumentError(f"{base} refers to {reference[:80]!r}, but {what}")
        file = (base.file.parent / unquote(parts.path)).resolve()
        if self._folder is None or not file.is_relative_to(self._folder):
            what = "which is outside the folder of the document: move it there"
            raise DocumentError(f"{base} refers to {reference[:80]!r}, {what}")
        return file

    def _read(self, file: Path, reference: str, base: Place) -> Any:
        if len(self._documents) >= _MOST_FILES or self._bytes > _MOST_BYTES:
            raise DocumentError(f"has more than {_MOST_FILES} files, or {_MOST_BYTES >> 20} MiB of them: bundle it")
        try:
            data = ConfigFile(file).read_bytes()
        except OSError as error:
            what = f"which cannot be read ({error.strerror or error})"
            raise DocumentError(f"{base} refers to {reference[:80]!r}, {what}: correct it, or add the file") from None
        self._bytes += len(data)
        try:
            return read_value(data)
        except DocumentError as error:
            raise DocumentError(f"refers to {reference[:80]!r}, which {error}") from None
