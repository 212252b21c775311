"""Compare URIs as RFC 3986 section 6.2 has it: by syntax and scheme, without looking anything up."""

from __future__ import annotations

import re
from typing import Final

_URI: Final = re.compile(
    r"(https?)://"
    r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~%!$&'()*+,;=-]+)"
    r"(?::([0-9]{0,5}))?"
    r"(/[\x21\x22\x24-\x3e\x40-\x7e]*)?"
    r"(?:[?#][\x21-\x7e]*)?",
    re.IGNORECASE,
)
_ESCAPE: Final = re.compile("%[0-9A-Fa-f]{2}")
_UNRESERVED: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


def _escape(match: re.Match[str]) -> str:
    character = chr(int(match[0][1:], 16))
    return character if character in _UNRESERVED else match[0].upper()


def _without_dot_segments(path: str) -> str:
    """Remove the segments ``.`` and ``..`` (RFC 3986 section 5.2.4)."""
    kept: list[str] = []
    segments = path.split("/")[1:]
    for segment in segments:
        if segment == "..":
            if kept:
                kept.pop()
        elif segment != ".":
            kept.append(segment)
    if segments[-1] in {".", ".."}:
        kept.append("")
    return "/" + "/".join(kept)


def normalized(uri: str) -> str | None:
    """Return an http or https URI in the form that all equivalent ones have, without query and fragment.

    Scheme and host are lower case, a default port is left out, escapes are upper case and only where they are needed,
    dot segments are removed, and an empty path is ``/`` (RFC 3986 sections 6.2.2 and 6.2.3).

    :returns: None if it is not an absolute URI of one of these schemes, has a user, or characters that no URI has.
    """
    match = _URI.fullmatch(uri)
    if match is None:
        return None
    scheme, host, port, path = match[1].lower(), match[2], match[3], match[4] or "/"
    if "%" in host:
        host = _ESCAPE.sub(_escape, host)
    authority = host.lower()
    if port and int(port) != _DEFAULT_PORTS[scheme]:
        authority += f":{int(port)}"
    if "%" in path:
        path = _ESCAPE.sub(_escape, path)
    return f"{scheme}://{authority}{_without_dot_segments(path) if '/.' in path else path}"
