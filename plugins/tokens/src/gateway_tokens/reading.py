"""Read documents that others wrote: bounded, in any encoding that editors and servers use, one error for all faults."""

from __future__ import annotations

import codecs
import json
import os
import stat
from typing import Any, Final

LARGEST_FILE: Final = 16 << 20
"""Bytes of a key set, a list of users, keys or revoked tokens; anything larger is something else."""

_BYTE_ORDER_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # begins with the mark of UTF-16
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


def decode_text(data: bytes) -> str:
    """Return a text in UTF-8, or in what its byte order mark says; the mark is no part of it.

    :raises ValueError: it is neither.
    """
    for mark, encoding in _BYTE_ORDER_MARKS:
        if data.startswith(mark):
            return _decode(data[len(mark) :], encoding)
    return _decode(data, "utf-8")


def _decode(data: bytes, encoding: str) -> str:
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ValueError(f"line {line} is not valid {encoding.upper()}: write the text as UTF-8") from None
    if "\0" in text:
        raise ValueError("it has NUL characters: write the text as UTF-8, or as UTF-16 with a byte order mark")
    return text


def decode_json(data: bytes | str) -> Any:
    """Return the value of a JSON text in UTF-8, UTF-16 or UTF-32 (RFC 8259 section 8.1, RFC 4627 section 3).

    :raises ValueError: it is not JSON; the text does not show any of it.
    """
    try:
        return json.loads(data.removeprefix("\ufeff") if isinstance(data, str) else data)
    except json.JSONDecodeError as error:
        raise ValueError(f"line {error.lineno} column {error.colno}: {error.msg}") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"it is not valid {error.encoding.upper()}") from None
    except (ValueError, RecursionError):
        raise ValueError("it nests too deeply, or has a number of too many digits") from None


def read_file(path: str) -> bytes:
    """Return a file's content.

    A FIFO or a device would make the gateway wait, or read without end.

    :raises OSError: it cannot be read, is no regular file, or is too large.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise OSError("it is not a regular file")
        data = file.read(LARGEST_FILE + 1)
    if len(data) > LARGEST_FILE:
        raise OSError(f"it has more than {LARGEST_FILE >> 20} MiB")
    return data
