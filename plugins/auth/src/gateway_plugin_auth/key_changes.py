"""Make API keys, and change files of them.

A change is written beside the file and renamed over it: a gateway that reads meanwhile gets the old file or the new
one, never a part. Of several changes at once each locks the folder, as the file itself is another one after each.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import secrets
import stat
import string
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from gateway_tokens.reading import LARGEST_FILE, decode_json, decode_text, read_file

from gateway_plugin_auth.key_file import is_list, read_entries, read_lines

_HEAD: Final = "# API keys, as their SHA-256: gateway auth key new|list|revoke"
_ALPHABET: Final = string.ascii_letters + string.digits
_ID_LENGTH: Final = 8
_SECRET_LENGTH: Final = 43
"""Of 62 characters each: 256 bits, which cannot be found by trying, so that a SHA-256 needs neither salt nor rounds."""


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key that was made; only its hash is kept."""

    id: str
    key: str = field(repr=False)


def make_key(prefix: str) -> NewKey:
    """Return a random key, ``PREFIX_ID_SECRET``. It begins with its id, which may be shown: ``PREFIX_ID``."""
    key_id = f"{prefix}_{_random(_ID_LENGTH)}"
    return NewKey(key_id, f"{key_id}_{_random(_SECRET_LENGTH)}")


def _random(length: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))


def add_key(path: Path, made: NewKey, subject: str, claims: Mapping[str, Any], expires: str | None) -> None:
    """Add a key to a file, which is made if there is none.

    :raises ValueError: the file is none of keys, or the key cannot be one of them.
    :raises OSError: the file cannot be read or written.
    """
    entry: dict[str, Any] = {"id": made.id, "subject": subject, "sha256": hashlib.sha256(made.key.encode()).hexdigest()}
    if claims:
        entry["claims"] = dict(claims)
    if expires is not None:
        entry["expires"] = expires
    with _locked(path) as real:
        try:
            text = _read(real)
        except FileNotFoundError:
            text = ""
        begin = text.rstrip() or _HEAD
        _replace(real, f"{begin}\n{_line(entry)}\n")


def revoke_key(path: Path, key_id: str) -> None:
    """Mark the key of an id as revoked.

    :raises ValueError: there is no such key, or the file is none of keys.
    :raises OSError: the file cannot be read or written.
    """
    with _locked(path) as real:
        text = _read(real)
        lines = text.split("\n")
        found = [index for index, entry in read_lines(text) if entry.shown_id() == key_id]
        if not found:
            raise ValueError(f"there is no key {key_id!r}: gateway auth key list {path} shows those that there are")
        for index in found:
            lines[index] = _line({**decode_json(lines[index]), "revoked": True})
        _replace(real, "\n".join(lines))


def _line(entry: Mapping[str, Any]) -> str:
    return json.dumps(entry, ensure_ascii=False, allow_nan=False)


def _read(path: Path) -> str:
    text = decode_text(read_file(str(path)))
    if is_list(text):
        raise ValueError("this is a JSON list: to change it by command, write each object on a line (jq -c '.[]')")
    return text


@contextmanager
def _locked(path: Path) -> Iterator[Path]:
    """Lock the folder of a file, and yield the file's own path: where it is a link, the link stays."""
    real = Path(os.path.realpath(path))
    descriptor = os.open(real.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield real
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _replace(path: Path, text: str) -> None:
    data = text.encode()
    read_entries(data)  # what the gateway would refuse is not written
    if len(data) > LARGEST_FILE:
        raise ValueError(f"it would have more than {LARGEST_FILE >> 20} MiB: delete keys that are revoked or expired")
    # The file is 0600 from its beginning, and has the old one's owner before it has its permissions.
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    beside = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            with suppress(FileNotFoundError):
                status = path.stat()
                os.fchown(descriptor, status.st_uid, status.st_gid)
                os.fchmod(descriptor, stat.S_IMODE(status.st_mode))
            file.write(data)
            file.flush()
            os.fsync(descriptor)
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
