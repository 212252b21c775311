"""Makes a text of the bytes of a body."""

from __future__ import annotations

import codecs
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Self

TRUNCATED: Final = "...[truncated]"
"""Ends a text that is not the whole body."""

_CHARSETS: Final = {
    "utf-8": "utf-8",
    "us-ascii": "utf-8",
    "iso-8859-1": "latin-1",
    "latin1": "latin-1",
    "windows-1252": "cp1252",
    "utf-16": "utf-16",
    "utf-16le": "utf-16-le",
    "utf-16be": "utf-16-be",
    "shift_jis": "shift_jis",
    "euc-jp": "euc_jp",
    "gbk": "gbk",
    "gb18030": "gb18030",
}
"""Those that a client may name; Python knows others that are no character sets, and some that take their time."""
_INFLATED: Final = {"gzip": 31, "x-gzip": 31, "deflate": 15}


@dataclass(frozen=True, slots=True)
class MediaType:
    """A ``Content-Type`` (RFC 9110 section 8.3), as far as logging needs it."""

    name: str
    charset: str = ""

    @classmethod
    def parse(cls, value: str) -> Self:
        """Read a field value; whatever is odd about it is left out."""
        name, *parameters = value.lower().split(";")
        found = [p.partition("=")[2].strip().strip('"') for p in parameters if p.strip().startswith("charset=")]
        return cls(name.strip(), found[0] if found else "")

    @property
    def is_json(self) -> bool:
        """Whether it is JSON, also of a more special kind."""
        return self.name.endswith(("/json", "+json"))

    @property
    def is_form(self) -> bool:
        """Whether it is a form like a query."""
        return self.name == "application/x-www-form-urlencoded"


def body_text(
    data: bytes,
    is_cut: bool,
    media_type: MediaType,
    encoding: str,
    most: int,
    mask: Callable[[str, MediaType, bool], str],
) -> str:
    """Return a body as a text that may be logged.

    :param is_cut: whether more of the body came than the data.
    :param encoding: its ``Content-Encoding``; gzip and deflate are undone, as far as ``most`` bytes.
    :param mask: hides what must not be said; told of the text, its type and whether it was cut off.
    """
    if encoding and encoding != "identity":
        wbits = _INFLATED.get(encoding)
        inflated = None if wbits is None else _inflate(data, wbits, most)
        if inflated is None:
            return f"({encoding}, {len(data)} bytes{TRUNCATED if is_cut else ''})"
        data, is_whole = inflated
        is_cut = not is_whole
    decoder = codecs.getincrementaldecoder(_CHARSETS.get(media_type.charset, "utf-8"))("backslashreplace")
    text = mask(decoder.decode(data, not is_cut), media_type, is_cut)
    return text + TRUNCATED if is_cut else text


def _inflate(data: bytes, wbits: int, most: int) -> tuple[bytes, bool] | None:
    """Return what was packed, ``most`` bytes of it, and whether that is all; None if nothing can be made of it."""
    for bits in (wbits, -15) if wbits == 15 else (wbits,):  # what is called deflate often lacks zlib's frame
        inflater = zlib.decompressobj(bits)
        try:
            return inflater.decompress(data, most), inflater.eof
        except zlib.error:
            continue
    return None
