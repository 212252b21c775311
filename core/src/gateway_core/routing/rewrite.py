"""The path that goes upstream: the client's with its start removed or replaced, or one made from a template.

A rewrite is compiled once per route; a route that changes nothing has none (``None``), and costs nothing. Texts are
taken from the path as it was sent, segment by segment, so that what is passed on keeps the client's own spelling:
escapes, path parameters, runs of ``/``. Only groups of a regex come from the match path, and are encoded again.

Segments of the match path are found in the path as it was sent by their places: those that are empty once their path
parameters are cut have none, because runs of ``/`` are merged before paths are matched.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Final, Protocol

from gateway_core.errors import BadPathError
from gateway_core.messages.path import encode_match_text, encode_path, is_plain_path, read_path, segment_name
from gateway_core.regex import Pattern as TextPattern
from gateway_core.routing.patterns import Kind, Pattern, Shape
from gateway_core.routing.problems import RewriteError

_PLACEHOLDER = re.compile(r"[:*]([A-Za-z_][A-Za-z0-9_-]*)")
_PATH_PARAMETERS = re.compile(";|%3[Bb]")
_EMPTY = re.compile("$|;|%3[Bb]")
"""A segment without a name."""
_UNITS = re.compile("%..|.", re.DOTALL)
"""What a raw segment may be cut between."""


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
    """A rewrite of this request gave a path that no request may have, such as ``/..``: the response is 400."""


class PathRewrite(Protocol):
    """A compiled rewrite."""

    def apply(self, path: str, params: Mapping[str, str], /) -> str:
        """Return the new path for a raw path that the route's pattern matched.

        :param params: the match's parameters.
        :raises UnsafePathError: the new path has a dot segment, or the path is not one that the pattern matches.
        """


def compile_rewrite(pattern: Pattern, options: RewriteOptions, host_params: tuple[str, ...] = ()) -> PathRewrite | None:
    """Compile a route's rewrite; ``None`` if it changes no path.

    :param host_params: what every host of the route captures, which a template may use.

    :raises RewriteError: several ways at once, an unknown parameter, or nothing that could be removed.
    """
    ways = (options.strip, options.prefix is not None, options.template is not None)
    if sum(ways) > 1:
        raise RewriteError(
            "strip_path and a rewrite of the prefix or the whole path exclude each other", remedy="keep one"
        )
    if options.template is not None:
        return compile_template(pattern, options.template, host_params)
    if not options.strip and options.prefix is None:
        return None
    if pattern.shape is Shape.REGEX:
        raise RewriteError(
            f"regex {pattern.text!r} has no prefix to remove", remedy="rewrite to a path with its named groups"
        )
    prefix = "" if options.prefix is None else _check_prefix(options.prefix)
    count = pattern.literal_count
    start = pattern.segments[count].text if count < len(pattern.segments) else ""
    if count == 0 and not start and not prefix.rstrip("/"):
        return None
    return ReplaceStart(count, start, prefix, pattern.folds_case)


def upstream_path(rewrite: PathRewrite | None, path: str, query: str, params: Mapping[str, str]) -> str:
    """Return the request-target for the upstream: the path, rewritten if the route has a rewrite, and the query
    unchanged.

    :raises UnsafePathError: as :meth:`PathRewrite.apply`.
    """
    if rewrite is not None:
        path = rewrite.apply(path, params)
    return f"{path}?{query}" if query else path


_TOO_SHORT: Final = "the path is shorter than what the route's rewrite replaces"


@dataclass(frozen=True, slots=True)
class ReplaceStart:
    """Put ``prefix`` in the place of ``count`` segments and the literal ``start`` of the next one."""

    count: int
    start: str
    prefix: str
    folds_case: bool = False

    def apply(self, path: str, _params: Mapping[str, str], /) -> str:
        """See :class:`PathRewrite`."""
        if not self.start and _has_one_reading(path):
            return self._of_usual(path)
        segments = path.split("/")
        places = _places(path, segments)
        if len(places) <= self.count + bool(self.start):
            raise UnsafePathError(_TOO_SHORT)
        if self.start:
            place = places[self.count + 1]
            segments[place] = _without_start(segments[place], self.start, self.folds_case)
        rest = segments[places[self.count] + 1 :]
        if not rest:
            return self.prefix or "/"
        return _checked(f"{self.prefix.removesuffix('/')}/{'/'.join(rest)}", self.folds_case)

    def _of_usual(self, path: str) -> str:
        """Return the new path for one whose parts between slashes are segments, of which whole ones are replaced."""
        place = 0
        for left in range(self.count, 0, -1):
            place = path.find("/", place + 1)
            if place < 0:
                if left > 1:
                    raise UnsafePathError(_TOO_SHORT)
                return self.prefix or "/"
        return _checked(self.prefix.removesuffix("/") + path[place:], self.folds_case)


@dataclass(frozen=True, slots=True)
class Template:
    """Make a new path from literal texts and parameters; ``parts`` alternates between the two, a literal first."""

    parts: tuple[str, ...]
    captures: Mapping[str, tuple[int, str, bool]]
    """By name: the parameter's segment, the literal start before it, and whether it takes the rest of the path."""
    regex: TextPattern | None = None
    folds_case: bool = False
    host_params: tuple[str, ...] = ()
    """What is taken from the parameters of the match instead."""

    def apply(self, path: str, params: Mapping[str, str], /) -> str:
        """See :class:`PathRewrite`."""
        texts = list(self.parts)
        if self.regex is not None:
            found = self.regex.fullmatch(read_path(path, self.folds_case)[0], "path")
            if found is None:
                raise UnsafePathError("the path is not one that the route's path_regex matches")
            groups = found.groupdict()
            texts[1::2] = [
                _label(params, name) if name in self.host_params else encode_match_text(groups[name] or "")
                for name in texts[1::2]
            ]
        else:
            segments = path.split("/")
            places = _places(path, segments)
            for index in range(1, len(texts), 2):
                name = texts[index]
                texts[index] = (
                    _label(params, name) if name in self.host_params else self._capture(index, segments, places)
                )
        return _checked("".join(texts), self.folds_case)

    def _capture(self, index: int, segments: list[str], places: list[int]) -> str:
        """Return what stands for the parameter ``parts[index]``, as it was sent."""
        number, start, takes_rest = self.captures[self.parts[index]]
        if number >= len(places):
            raise UnsafePathError("the path is shorter than what the route's rewrite takes from it")
        place = places[number]
        if takes_rest:
            begins_segment = self.parts[index - 1].endswith("/")
            taken = segments[places[number - 1] + 1 if begins_segment else place :]
        else:
            taken = [_without_start(segments[place], start, self.folds_case)]
        behind = self.parts[index + 1]
        if behind and not behind.startswith("/"):
            # Path parameters reach to the end of their segment: they would swallow the text behind.
            taken[-1] = _PATH_PARAMETERS.split(taken[-1], maxsplit=1)[0]
        return "/".join(taken)


def _label(params: Mapping[str, str], name: str) -> str:
    """Return a label of the host as it stands in a path."""
    label = params.get(name)
    if not label:
        raise UnsafePathError(f"the request has no host that {name!r} was captured from")
    return encode_match_text(label)


def compile_template(pattern: Pattern, template: str, host_params: tuple[str, ...] = ()) -> Template:
    """Compile a path template for the parameters of ``pattern`` and of the host.

    :raises RewriteError: it is not a path, or names a parameter that the pattern does not have.
    """
    _check_target("path", _PLACEHOLDER.sub("x", template))
    for name in _PLACEHOLDER.findall(template):
        if name not in pattern.params and name not in host_params:
            known = ", ".join(repr(param) for param in (*pattern.params, *host_params)) or "none"
            raise RewriteError(f"rewrite {template!r} names the parameter {name!r}, {pattern.text!r} has {known}")
    parts = _PLACEHOLDER.split(template)
    parts[::2] = [encode_path(part) for part in parts[::2]]
    captures = {
        segment.name: (number, segment.text, segment.kind is Kind.REST)
        for number, segment in enumerate(pattern.segments, 1)
        if segment.name
    }
    return Template(tuple(parts), captures, pattern.regex, pattern.folds_case, host_params)


def _has_one_reading(path: str) -> bool:
    """Whether each part between slashes is a segment of the match path."""
    return "//" not in path and "/;" not in path and "/%3" not in path


def _places(path: str, segments: list[str]) -> list[int]:
    """Return the index in ``segments`` of each segment of the match path, the empty one before it first."""
    last = len(segments) - 1
    if _has_one_reading(path):
        return list(range(last + 1))
    return [0, *[index for index in range(1, last) if not _EMPTY.match(segments[index])], last]


def _without_start(raw: str, start: str, folds_case: bool) -> str:
    """Remove the literal start of a segment, whatever its spelling."""
    if not start:
        return raw
    if "%" not in raw and not folds_case:
        return raw[len(start) :]
    # A character of the start is spelt with four escapes at most.
    for unit in islice(_UNITS.finditer(raw), 4 * len(start)):
        if segment_name(raw[: unit.end()], folds_case) == start:
            return raw[unit.end() :]
    raise UnsafePathError(f"the path has no segment that starts with {start!r}")


def _checked(path: str, folds_case: bool) -> str:
    if path.startswith("//"):
        path = "/" + path.lstrip("/")
    if is_plain_path(path) and not folds_case:
        return path
    try:
        read_path(path, folds_case)
    except BadPathError as error:
        raise UnsafePathError(f"the rewritten {error}") from error
    return path


def _check_prefix(text: str) -> str:
    if found := re.search(r"/([:*][A-Za-z_][A-Za-z0-9_-]*)(?=/|$)", text):
        raise RewriteError(
            f"rewrite prefix {text!r} has {found[1]!r}, which would be sent literally",
            remedy="write a whole path instead (rewrite.template, redirect.path), which takes parameters",
        )
    return _check_target("prefix", text)


_FOREIGN = re.compile(r"\$[0-9]|\$[A-Za-z_]\w*|\$\([^()/]*\)|\\[0-9]|\$?\{[^{}/$]*\}")


def _check_target(what: str, text: str) -> str:
    if found := _FOREIGN.search(text):
        raise RewriteError(
            f"rewrite {what} {text!r} has {found[0]!r}, which would be sent literally",
            remedy="write :name for a parameter of the route's path, or for a group (?P<name>...) of its path_regex",
        )
    if text and not text.startswith("/"):
        raise RewriteError(f"rewrite {what} {text!r} does not start with '/'", remedy=f"write {'/' + text!r}")
    if text.startswith("//"):
        raise RewriteError(
            f"rewrite {what} {text!r} starts with '//', which names a host", remedy=f"write {text[1:]!r}"
        )
    for character in "?#":
        if character in text:
            raise RewriteError(f"rewrite {what} {text!r} has {character!r}: it replaces the path only, leave it out")
    encoded = encode_path(text)
    try:
        read_path(encoded or "/")
    except BadPathError as error:
        raise RewriteError(f"rewrite {what} {text!r} cannot be sent: {error}") from None
    return encoded
