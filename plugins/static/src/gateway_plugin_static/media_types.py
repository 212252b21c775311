"""Media types by the ending of a file's name; the same on each machine, whatever its ``/etc/mime.types`` says."""

from __future__ import annotations

from collections.abc import Mapping
from mimetypes import MimeTypes
from typing import Final

_NEWER: Final = {
    ".avif": "image/avif",
    ".br": "application/octet-stream",
    ".cjs": "text/javascript",
    ".flac": "audio/flac",
    ".gz": "application/gzip",
    ".ico": "image/x-icon",
    ".jsonld": "application/ld+json",
    ".js": "text/javascript",
    ".m4a": "audio/mp4",
    ".map": "application/json",
    ".markdown": "text/markdown",
    ".md": "text/markdown",
    ".mjs": "text/javascript",
    ".ogg": "audio/ogg",
    ".opus": "audio/ogg",
    ".otf": "font/otf",
    ".toml": "application/toml",
    ".ttf": "font/ttf",
    ".wasm": "application/wasm",
    ".webmanifest": "application/manifest+json",
    ".webm": "video/webm",
    ".webp": "image/webp",
    ".woff": "font/woff",
    ".woff2": "font/woff2",
    ".xml": "application/xml",
    ".yaml": "application/yaml",
    ".yml": "application/yaml",
    ".zst": "application/zstd",
}
"""What the standard library does not know in each version, or knows by another name than IANA."""


class MediaTypes:
    """The Content-Type of files."""

    __slots__ = ("_charset", "_default", "_types")

    def __init__(self, types: Mapping[str, str], default: str, charset: str | None) -> None:
        """Take what the configuration says.

        :param types: by ending, such as ``.geojson``; it counts before what is known.
        :param charset: what is said of types of text that say none.
        """
        known = MimeTypes(filenames=()).types_map[True]
        self._types = {**known, **_NEWER, **{ending.lower(): value for ending, value in types.items()}}
        self._default = default
        self._charset = charset

    def type_of(self, name: str) -> str:
        """Return the type of a file by its name."""
        _, dot, ending = name.rpartition(".")
        media_type = self._types.get(f".{ending.lower()}", self._default) if dot else self._default
        if self._charset is not None and media_type.startswith("text/") and ";" not in media_type:
            return f"{media_type}; charset={self._charset}"
        return media_type
