"""What an upstream is asked for: the request's path with its start removed or replaced, or a path made anew.

A rewrite is compiled once per route; a route that changes nothing has none (``None``), and costs nothing. Texts are
taken from the raw path, segment by segment, so that what is passed on keeps the client's own spelling; ``%2F`` stays
``%2F``. Only parameters of a regex or behind a literal start are decoded and encoded again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from gateway_core.routing.entries import Captures, captures_of
from gateway_core.routing.paths import (
    canonical_segment,
    check_path,
    decode_canonical,
    encode_path,
    encode_segment,
)
from gateway_core.routing.patterns import Pattern, Shape
from gateway_core.routing.problems import RewriteError

_PLACEHOLDER = re.compile(r"[:*]([A-Za-z_][A-Za-z0-9_-]*)")


@dataclass(frozen=True, slots=True)
class RewriteOptions:
    """How a route changes the path: at most one of the three.

    ``strip`` removes the literal part before the first ``:param`` or ``*rest``, of a prefix the prefix; ``prefix`` puts
    another text in its place; ``template`` is a whole new path with the pattern's parameters in it (``/v2/:id/*rest``).
    """

    strip: bool = False
    prefix: str | None = None
    template: str | None = None


class UnsafePathError(ValueError):
    """A rewrite of this request gave a path that no request may have, such as ``/..``: answer 400."""


class PathRewrite(Protocol):
    """A compiled rewrite."""

    def apply(self, path: str, params: Mapping[str, str], /) -> str:
        """Return the new path for a raw path that the route's pattern matched.

        :param params: the match's parameters.
        :raises UnsafePathError: the new path has a dot segment.
        """


def compile_rewrite(pattern: Pattern, options: RewriteOptions) -> PathRewrite | None:
    """Compile a route's rewrite; ``None`` if it changes no path.

    :raises RewriteError: several ways at once, an unknown parameter, or nothing that could be removed.
    """
    ways = (options.strip, options.prefix is not None, options.template is not None)
    if sum(ways) > 1:
        raise RewriteError("strip_path and a rewrite of the prefix or the whole path exclude each other: keep one")
    if options.template is not None:
        return compile_template(pattern, options.template)
    if not options.strip and options.prefix is None:
        return None
    if pattern.shape is Shape.REGEX:
        raise RewriteError(f"regex {pattern.text!r} has no prefix to remove: rewrite to a path with its named groups")
    prefix = "" if options.prefix is None else _check_target("prefix", options.prefix)
    count = pattern.literal_count
    start = pattern.segments[count].text if count < len(pattern.segments) else ""
    if count == 0 and not start and not prefix.rstrip("/"):
        return None
    return ReplaceStart(count, start, prefix)


def upstream_path(rewrite: PathRewrite | None, path: str, query: str, params: Mapping[str, str]) -> str:
    """Return the request-target for the upstream: the path, rewritten if the route says so, and the query untouched.

    :raises UnsafePathError: as :meth:`PathRewrite.apply`.
    """
    if rewrite is not None:
        path = rewrite.apply(path, params)
    return f"{path}?{query}" if query else path


@dataclass(frozen=True, slots=True)
class ReplaceStart:
    """Put ``prefix`` in the place of ``count`` segments and the literal ``start`` of the next one."""

    count: int
    start: str
    prefix: str

    def apply(self, path: str, _params: Mapping[str, str], /) -> str:
        """See :class:`PathRewrite`."""
        parts = path.split("/", self.count + 1)
        rest = f"/{parts[-1]}" if len(parts) > self.count + 1 else ""
        if self.start:
            segment, slash, tail = rest[1:].partition("/")
            rest = f"/{_without_start(segment, len(self.start))}{slash}{tail}"
        if not rest:
            return self.prefix or "/"
        return _checked(self.prefix.removesuffix("/") + rest)


@dataclass(frozen=True, slots=True)
class Template:
    """Make a new path from literal texts and parameters; ``parts`` alternates between the two, a literal first."""

    parts: tuple[str, ...]
    captures: Mapping[str, tuple[int, int]]

    def apply(self, path: str, params: Mapping[str, str], /) -> str:
        """See :class:`PathRewrite`."""
        raw = path.split("/")
        texts = list(self.parts)
        for place in range(1, len(texts), 2):
            texts[place] = self._value(texts[place], raw, params)
        return _checked("".join(texts))

    def _value(self, name: str, raw: list[str], params: Mapping[str, str]) -> str:
        place = self.captures.get(name)
        if place is None:
            return "/".join([encode_segment(part) for part in params.get(name, "").split("/")])
        index, cut = place
        if cut < 0:
            return "/".join(raw[index:])
        return raw[index] if cut == 0 else _without_start(raw[index], cut)


def compile_template(pattern: Pattern, template: str) -> Template:
    """Compile a path template for the parameters of ``pattern``.

    :raises RewriteError: it is not a path, or names a parameter that the pattern does not have.
    """
    _check_target("path", _PLACEHOLDER.sub("x", template))
    for name in _PLACEHOLDER.findall(template):
        if name not in pattern.params:
            known = ", ".join(repr(param) for param in pattern.params) or "none"
            raise RewriteError(f"rewrite {template!r} names the parameter {name!r}, {pattern.text!r} has {known}")
    parts = _PLACEHOLDER.split(template)
    parts[::2] = [encode_path(part) for part in parts[::2]]
    captures: Captures = captures_of(pattern) or ()
    return Template(tuple(parts), {name: (index, cut) for name, index, cut in captures})


def _without_start(segment: str, length: int) -> str:
    """Remove ``length`` canonical characters from the start of a raw segment."""
    if "%" not in segment:
        return segment[length:]
    return encode_segment(decode_canonical(canonical_segment(segment)[length:]))


def _checked(path: str) -> str:
    if "/." in path:
        problem = check_path(path)
        if problem is not None:
            raise UnsafePathError(f"the rewritten {problem}")
    return path


def _check_target(what: str, text: str) -> str:
    if text and not text.startswith("/"):
        raise RewriteError(f"rewrite {what} {text!r} does not start with '/': write {'/' + text!r}")
    for character in "?#":
        if character in text:
            raise RewriteError(f"rewrite {what} {text!r} has {character!r}: it replaces the path only, leave it out")
    problem = check_path(encode_path(text) or "/")
    if problem is not None:
        raise RewriteError(f"rewrite {what} {text!r} cannot be sent: {problem}")
    return encode_path(text)
