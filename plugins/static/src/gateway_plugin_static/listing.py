"""A directory as HTML or JSON."""

from __future__ import annotations

import json
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from os import stat_result
from typing import Final

from gateway_plugin_static.names import encode_name

MOST_ENTRIES: Final = 10_000
"""Entries of a directory that are listed."""

HTML: Final = "text/html; charset=utf-8"
JSON: Final = "application/json"

# Names of files are what anybody may have uploaded: nothing of the page is to run.
FIELDS: Final = (
    ("Vary", "Accept"),
    ("Cache-Control", "no-cache"),
    ("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"),
    ("X-Content-Type-Options", "nosniff"),
)
_PAGE: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{title}</title>
<style>body{{font-family:sans-serif;margin:2em}}td{{padding:0 2em 0 0}}td+td{{text-align:right}}</style></head>
<body><h1>{title}</h1><table>
{rows}
</table></body></html>
"""


@dataclass(frozen=True, slots=True)
class Entry:
    """A file or directory of a listing."""

    name: str
    is_directory: bool
    size: int
    modified: float

    @property
    def reference(self) -> str:
        """A URI reference from the directory; ``./`` in front, as a name may have a colon."""
        return f"./{encode_name(self.name)}{'/' if self.is_directory else ''}"

    @property
    def shown(self) -> str:
        """The name as text; bytes that are no UTF-8 are shown as U+FFFD."""
        return self.name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")

    @property
    def date(self) -> str:
        """The time of modification (RFC 3339)."""
        try:
            return datetime.fromtimestamp(self.modified, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        except (ValueError, OverflowError, OSError):
            return ""


def entry_of(name: str, info: stat_result) -> Entry | None:
    """Return the entry of a name; None for what is neither a regular file nor a directory, links included."""
    if stat.S_ISDIR(info.st_mode):
        return Entry(name, True, 0, info.st_mtime)
    return Entry(name, False, info.st_size, info.st_mtime) if stat.S_ISREG(info.st_mode) else None


def in_order(entries: Sequence[Entry]) -> list[Entry]:
    """Return directories and then files, each by name."""
    return sorted(entries, key=lambda entry: (not entry.is_directory, entry.name))


def as_html(title: str, entries: Sequence[Entry], *, has_parent: bool) -> bytes:
    """Return a page of entries."""
    rows = ['<tr><td><a href="../">../</a></td><td></td><td></td></tr>'] if has_parent else []
    for entry in entries:
        shown = escape(entry.shown) + ("/" if entry.is_directory else "")
        size = "" if entry.is_directory else str(entry.size)
        link = f'<a href="{escape(entry.reference)}">{shown}</a>'
        rows.append(f"<tr><td>{link}</td><td>{entry.date}</td><td>{size}</td></tr>")
    return _PAGE.format(title=escape(title), rows="\n".join(rows)).encode("utf-8", "replace")


def as_json(entries: Sequence[Entry]) -> bytes:
    """Return entries as a JSON array."""
    found = [
        {"name": entry.shown, "href": entry.reference, "type": "directory" if entry.is_directory else "file"}
        | ({} if entry.is_directory else {"size": entry.size})
        | ({"modified": entry.date} if entry.date else {})
        for entry in entries
    ]
    return json.dumps(found, ensure_ascii=False, separators=(",", ":")).encode()


def prefers_json(accept: str | None) -> bool:
    """Return whether Accept names JSON and not HTML."""
    return accept is not None and JSON in accept.lower() and "text/html" not in accept.lower()
