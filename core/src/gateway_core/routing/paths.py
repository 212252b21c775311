"""Request paths: which are refused, and the one spelling that matching compares.

Two spellings of a path that an upstream would take for the same resource must select the same route, or a rule on
``/admin`` is passed by asking for ``/%61dmin``. So a path is brought to its *canonical* form before matching: split at
``/``, every segment percent-decoded once (UTF-8, undecodable bytes become U+FFFD), and only the two characters that
would change the meaning, ``%`` and ``/``, written ``%25`` and ``%2F`` again. A path without ``%`` already is canonical,
which is why this costs next to nothing. Upstream gets the client's own spelling, byte for byte.
"""

from __future__ import annotations

import re
from urllib.parse import quote, unquote

_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_DOTS = frozenset({".", ".."})
_PATH_SAFE = "/%!$&'()*+,;=:@-._~[]"
_SEGMENT_SAFE = "!$&'()*+,;=:@-._~"


def check_path(path: str) -> str | None:
    r"""Say why a request path must be refused with 400, or ``None`` if it may be routed.

    :param path: the path of an origin-form request-target (RFC 9112 section 3.2.1), raw, without the query.
    :returns: a reason in lower case that quotes the path's offending part. Refused are dot segments in any spelling
        (also behind ``%2F``, where an upstream that decodes would find them), ``\``, NUL, escapes that are not two
        hexadecimal digits (RFC 3986 section 2.1), and what no request-target may hold: raw control bytes, spaces,
        non-ASCII bytes, ``?`` and ``#``. Escaped control bytes other than NUL are allowed.
    """
    # The first test is the usual case, and all that it costs.
    if (
        path[:1] == "/"
        and "%" not in path
        and "/." not in path
        and "\\" not in path
        and " " not in path
        and "#" not in path
        and "?" not in path
        and path.isascii()
        and path.isprintable()
    ):
        return None
    return _problem_of_characters(path) or _problem_of_escapes(path)


def canonical_path(path: str) -> str:
    """Return the spelling of ``path`` that matching compares; see the module's docstring. Idempotent."""
    if "%" not in path:
        return path
    return "/".join([canonical_segment(segment) if "%" in segment else segment for segment in path.split("/")])


def canonical_segment(segment: str) -> str:
    """Return the canonical spelling of one raw segment."""
    return unquote(segment, errors="replace").replace("%", "%25").replace("/", "%2F")


def decode_canonical(text: str) -> str:
    """Return the text that a canonical segment, or several of them, stands for."""
    return text.replace("%2F", "/").replace("%25", "%")


def encode_path(text: str) -> str:
    """Percent-encode what a person may type into a URL's path but a request-target may not hold.

    For command lines: ``/caf\u00e9 au lait`` becomes ``/caf%C3%A9%20au%20lait``; escapes that are there are kept.
    """
    return quote(text, safe=_PATH_SAFE)


def encode_segment(text: str) -> str:
    """Percent-encode a decoded parameter so that it is one segment of a path (RFC 3986 section 3.3)."""
    return quote(text, safe=_SEGMENT_SAFE)


def _problem_of_characters(path: str) -> str | None:
    if path[:1] != "/":
        return f"path {path[:80]!r} does not start with '/'"
    for character in path:
        if character in "\\?# " or not (character.isascii() and character.isprintable()):
            return f"path has {character!r}, which must be percent-encoded or left out"
    return None


def _problem_of_escapes(path: str) -> str | None:
    bad = _BAD_ESCAPE.search(path)
    if bad is not None:
        return f"path has {path[bad.start() : bad.start() + 3]!r}, which is not an escape of two hexadecimal digits"
    folded = path.lower()
    for escape, name in (("%00", "NUL"), ("%5c", "'\\'")):
        if escape in folded:
            return f"path has {escape!r}, an encoded {name}"
    for segment in folded.replace("%2e", ".").replace("%2f", "/").split("/"):
        if segment in _DOTS:
            return f"path has the dot segment {segment!r}, raw or encoded"
    return None
