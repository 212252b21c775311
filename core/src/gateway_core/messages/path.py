r"""The one reading of a request's path, which routes, limits, conditions, metrics and logs share.

An upstream decides what a path names, and upstreams read paths in different ways: most decode escapes, some merge runs
of ``/``, servlet containers cut path parameters (``;x``) before they resolve ``..``, Windows takes ``\`` for ``/``. A
rule on ``/admin`` holds only if every spelling that some upstream reads as ``/admin`` is matched as ``/admin`` or
refused. So a path is brought to its *match path*:

1. Refused are control characters, raw or encoded, invalid escapes, a raw ``\`` and overlong UTF-8.
2. From each segment its path parameters are cut: all from the first ``;`` or ``%3B`` on.
3. Each escape is decoded once. What would change meaning stays an escape, in capitals: ``%2F``, ``%25``, ``%5C`` and
   bytes that are no UTF-8. A segment that is now ``.`` or ``..`` is refused.
4. Runs of ``/`` are merged.

What depends on a policy is reported as flags, some of which a `PathPolicy` refuses. A route has its own policy. On
arrival, before a route is known, the most lenient mixture of all policies counts (`arrival_policy`), and after each
match the route's own decides. The path that goes upstream is the client's own spelling, not the match path.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Literal, Protocol
from urllib.parse import quote, unquote, unquote_to_bytes

from gateway_core.errors import BadPathError

ENCODED_SLASH: Final = 1
ENCODED_BACKSLASH: Final = 2
INVALID_UTF8: Final = 4
DUPLICATE_SLASH: Final = 8
NAMELESS: Final = 16
"""A segment is nothing but path parameters, as in ``/;v=1/x``: see `other_readings`."""

ReadPath = Callable[[str], "tuple[str, int]"]
"""Takes a path as it was sent; returns its match path and flags, or raises `BadPathError`."""

_BAD_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_UNSENDABLE: Final = re.compile(r"[^!-~]|[\\?#]")
_CONTROL: Final = re.compile(r"%(?:[01][0-9A-Fa-f]|7[Ff])")
_OVERLONG: Final = re.compile(rb"[\xc0\xc1][\x80-\xbf]|\xe0[\x80-\x9f]|\xf0[\x80-\x8f]|\xf8[\x80-\x87]|\xfc[\x80-\x83]")
"""Starts of UTF-8 sequences that are longer than they need be, those of five and six bytes (RFC 2279) included."""

_PLAIN_BYTES: Final = bytes(each for each in range(0x21, 0x7F) if each not in b"%;\\#?")
_SEPARATORS: Final = re.compile(r"[/\\]")
_SURROGATES: Final = re.compile("[\udc80-\udcff]")
_PATH_SAFE: Final = "/%!$&'()*+,;=:@-._~[]"
_SEGMENT_SAFE: Final = "!$&'()*+,=:@-._~"


class Captured(Protocol):
    """What a route's patterns captured of a path: found when it is asked for."""

    @property
    def params(self) -> Mapping[str, str]:
        """By the name of the parameter, decoded."""


def is_plain_path(raw: str) -> bool:
    """Return whether a path is its own match path and has no flags; the usual case, and all that it costs."""
    return (
        raw[:1] == "/"
        and "//" not in raw
        and "/." not in raw
        and raw.isascii()
        and not raw.encode().translate(None, _PLAIN_BYTES)  # one pass instead of a search for each of the others
    )


CHALLENGE_PREFIX: Final = "/.well-known/acme-challenge/"
"""Of paths that an authority asks for which validates a host name (RFC 8555 section 8.3)."""


def read_path(raw: str, folds_case: bool = False) -> tuple[str, int]:
    """Return the match path of a path as it was sent, and flags of what it has that a policy decides on.

    :param raw: the path of an origin-form request-target (RFC 9112 section 3.2.1), without the query.
    :param folds_case: for upstreams to which case does not matter: the match path is folded, and segments that end in
        ``.`` or a space are refused, because Windows drops both.
    :raises BadPathError: it is refused whatever the policy; the reason is for logs.
    """
    if not folds_case and is_plain_path(raw):
        return raw, 0
    _refuse_characters(raw)
    flags = 0
    kept: list[str] = []
    segments = raw.split("/")
    last = len(segments) - 1
    for index in range(1, last + 1):
        text, found = _read_segment(segments[index], folds_case)
        flags |= found
        if text or index == last:
            kept.append(text)
        else:
            flags |= DUPLICATE_SLASH
        if not text and segments[index]:
            flags |= NAMELESS
    return "/" + "/".join(kept), flags


def other_readings(raw: str, folds_case: bool = False) -> list[str]:
    """Return the match paths of a path with the flag `NAMELESS` to servers that cut fewer path parameters.

    ``/;v/x`` has one segment to a servlet container, and two to a server that does not know path parameters. Tomcat
    cuts those behind ``;`` and not those behind ``%3B``. In segments that have a name, parameters only lengthen it.
    """
    readings = []
    for cuts_raw in (True, False):
        kept: list[str] = []
        segments = raw.split("/")
        for index, segment in enumerate(segments[1:], 2):
            decoded = segment if "%" not in segment else _decode(segment)[0]
            text = _name_of(decoded, folds_case)
            if not text and segment and not (cuts_raw and segment[0] == ";"):
                text = _spell(fold_case(decoded) if folds_case else decoded)
            if text or index == len(segments):
                kept.append(text)
        readings.append("/" + "/".join(kept))
    return readings


def _read_segment(raw: str, folds_case: bool) -> tuple[str, int]:
    """Return the match form of one segment, and its flags."""
    decoded, flags = (raw, 0) if "%" not in raw else _decode(raw)
    # Path parameters are looked at as well: software that decodes before splitting finds these separators too.
    for part in _SEPARATORS.split(decoded):
        name = part.partition(";")[0]
        if name in {".", ".."}:
            raise BadPathError(f"path has the dot segment {name!r}, raw or encoded")
        if folds_case and name[-1:] in {".", " "} and name:
            raise BadPathError(f"path has a segment that ends in {name[-1]!r}: path_policy.case")
    return _name_of(decoded, folds_case), flags


def segment_name(raw: str, folds_case: bool = False) -> str:
    """Return the match form of a segment, or of the start of one, of a path that `read_path` takes."""
    return _name_of(raw if "%" not in raw else _decode(raw)[0], folds_case)


def _name_of(decoded: str, folds_case: bool) -> str:
    name = decoded.partition(";")[0]
    if folds_case:
        name = fold_case(name)
    return name if name.isalnum() else _spell(name)


def _decode(raw: str) -> tuple[str, int]:
    data = unquote_to_bytes(raw)
    flags = (ENCODED_SLASH if b"/" in data else 0) | (ENCODED_BACKSLASH if b"\\" in data else 0)
    try:
        return data.decode(), flags
    except UnicodeDecodeError:
        if _OVERLONG.search(data) is not None:
            raise BadPathError("path has overlong UTF-8") from None
        return data.decode("utf-8", "surrogateescape"), flags | INVALID_UTF8


def _spell(name: str) -> str:
    """Write what must not be taken for something else as escapes again."""
    name = name.replace("%", "%25").replace("/", "%2F").replace("\\", "%5C")
    return name if name.isascii() else _SURROGATES.sub(lambda found: f"%{ord(found[0]) - 0xDC00:02X}", name)


def fold_case(text: str) -> str:
    """Return text in which what any platform takes for the same letter in another case is the same. Idempotent.

    Upper-casing first joins what lower-casing alone leaves apart (dotless i); to Java and .NET the small letter of the
    Turkish dotted capital I is a plain i.
    """
    if text.isascii():
        return text.lower()
    return text.replace("\u0130", "i").upper().casefold()


def decode_match_text(text: str) -> str:
    """Return the text that a part of a match path stands for; bytes that are no UTF-8 become U+FFFD."""
    return unquote(text, errors="replace")


def encode_path(text: str) -> str:
    """Percent-encode what a person may type into a URL's path but a request-target may not hold.

    For command lines and configurations: ``/caf\u00e9 au lait`` becomes ``/caf%C3%A9%20au%20lait``; escapes are kept.
    """
    return quote(text, safe=_PATH_SAFE)


def encode_match_text(text: str) -> str:
    """Percent-encode a part of a match path so that it reads as itself again; its escapes are kept as they are."""
    return quote(text, safe=_SEGMENT_SAFE + "/%")


def _refuse_characters(raw: str) -> None:
    if raw[:1] != "/":
        raise BadPathError(f"path {raw[:80]!r} does not start with '/'")
    found = _UNSENDABLE.search(raw)
    if found is not None:
        raise BadPathError(f"path has {found[0]!r}, which must be percent-encoded or left out")
    if "%" not in raw:
        return
    found = _BAD_ESCAPE.search(raw)
    if found is not None:
        escape = raw[found.start() : found.start() + 3]
        raise BadPathError(f"path has {escape!r}, which is not an escape of two hexadecimal digits")
    found = _CONTROL.search(raw)
    if found is not None:
        raise BadPathError(f"path has {found[0]!r}, an encoded control character")


RejectOrKeep = Literal["reject", "keep"]
Slashes = Literal["keep", "merge", "reject"]
Case = Literal["sensitive", "insensitive"]

_PROBLEMS: Final = (
    (ENCODED_SLASH, "path has %2F", "path_policy.encoded_slash"),
    (ENCODED_BACKSLASH, "path has %5C", "path_policy.encoded_backslash"),
    (INVALID_UTF8, "path has bytes that are not UTF-8", "path_policy.invalid_utf8"),
    (DUPLICATE_SLASH, "path has '//'", "path_policy.duplicate_slash"),
)
_SLASHES: Final = re.compile("//+")


@dataclass(frozen=True)
class PathPolicy:
    """What ``path_policy`` says, of a document or a route."""

    encoded_slash: RejectOrKeep = "reject"
    encoded_backslash: RejectOrKeep = "reject"
    duplicate_slash: Slashes = "keep"
    invalid_utf8: RejectOrKeep = "reject"
    case: Case = "sensitive"

    @cached_property
    def refused(self) -> int:
        """The flags of paths that are refused."""
        return (
            (ENCODED_SLASH if self.encoded_slash == "reject" else 0)
            | (ENCODED_BACKSLASH if self.encoded_backslash == "reject" else 0)
            | (INVALID_UTF8 if self.invalid_utf8 == "reject" else 0)
            | (DUPLICATE_SLASH if self.duplicate_slash == "reject" else 0)
        )

    @cached_property
    def folds_case(self) -> bool:
        """Whether paths match whatever their case."""
        return self.case == "insensitive"

    def refusal(self, flags: int) -> tuple[str, str] | None:
        """Return why a path with these flags is refused, and the key that decides it; None if it is not."""
        refused = flags & self.refused
        if not refused:
            return None
        return next((what, key) for flag, what, key in _PROBLEMS if refused & flag)

    def problem(self, flags: int) -> str | None:
        """Return `refusal` as one text."""
        found = self.refusal(flags)
        return None if found is None else f"{found[0]}: {found[1]}"

    def read(self, raw: str) -> tuple[str, int]:
        """Return match path and flags of a path as it was sent.

        :raises BadPathError: it is refused; the message names the key if there is one.
        """
        if is_plain_path(raw) and not self.folds_case:
            return raw, 0
        path, flags = read_path(raw, self.folds_case)
        if flags & self.refused:
            raise BadPathError(self.problem(flags) or "")
        return path, flags

    def sent(self, raw: str) -> str:
        """Return a path as it goes upstream: as it was sent, but never with ``//`` at its start.

        A server that takes a request-target for a URL reference would read a host there (RFC 3986 section 4.2).
        """
        if self.duplicate_slash == "merge":
            return _SLASHES.sub("/", raw)
        return "/" + raw.lstrip("/") if raw.startswith("//") else raw


DEFAULT_POLICY: Final = PathPolicy()


def arrival_policy(policies: Iterable[PathPolicy]) -> PathPolicy:
    """Return the policy that refuses only what none of the others allows.

    :param policies: the document's first, which decides on case.
    """
    policies = list(policies)

    def kept(values: Iterable[str]) -> RejectOrKeep:
        return "keep" if "keep" in values else "reject"

    return PathPolicy(
        encoded_slash=kept([policy.encoded_slash for policy in policies]),
        encoded_backslash=kept([policy.encoded_backslash for policy in policies]),
        duplicate_slash="reject" if all(policy.duplicate_slash == "reject" for policy in policies) else "keep",
        invalid_utf8=kept([policy.invalid_utf8 for policy in policies]),
        case=policies[0].case,
    )
