"""Path patterns: ``/users/:id``, ``/files/*rest``, prefixes and regular expressions, parsed and ranked.

A segment is one of
  ``users``       a literal, compared with the segment of the match path (:mod:`gateway_core.messages.path`);
  ``:id``         a parameter, one non-empty segment;
  ``user_:name``  a parameter behind a literal start: the segment must be longer than that start. Write ``%3A`` for a
                  colon that is meant literally, as in ``/things%3AbatchGet``;
  ``*rest``       only last: one or more segments, so the text may be empty but the ``/`` before it must be there.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

from gateway_core.errors import BadPathError
from gateway_core.messages.path import DEFAULT_POLICY, PathPolicy, encode_path, read_path
from gateway_core.regex import Pattern as TextPattern
from gateway_core.regex import PatternSyntaxError, SlowPatternError, compile_pattern
from gateway_core.routing.problems import PatternError, SlowRegexError
from gateway_core.routing.rules import P, RouteRule

PARAM_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")


class Shape(IntEnum):
    """How a pattern takes the path: all of it, its start, or as a regular expression decides."""

    EXACT = 0
    PREFIX = 1
    REGEX = 2


class Kind(IntEnum):
    """What a segment of a pattern takes; smaller is more specific."""

    LITERAL = 0
    AFFIXED = 1
    PARAM = 2
    REST = 3


class Segment(NamedTuple):
    """One segment of a pattern: ``text`` is the literal (or literal start) as in match paths, ``name`` the
    parameter's.
    """

    kind: Kind
    text: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True)
class Pattern:
    """A parsed path, prefix or regular expression. ``segments`` is empty for a regex and for the prefix ``/``."""

    text: str
    shape: Shape
    segments: tuple[Segment, ...] = ()
    regex: TextPattern | None = None
    folds_case: bool = False
    """Whether it was made for match paths that are folded."""

    @property
    def params(self) -> tuple[str, ...]:
        """The names of the parameters, in order of appearance."""
        if self.regex is not None:
            return tuple(self.regex.compiled.groupindex)
        return tuple(segment.name for segment in self.segments if segment.name)

    @property
    def is_static(self) -> bool:
        """Whether exactly one path matches."""
        return self.shape is Shape.EXACT and all(segment.kind is Kind.LITERAL for segment in self.segments)

    @property
    def literal_count(self) -> int:
        """How many segments stand before the first parameter."""
        return next((i for i, s in enumerate(self.segments) if s.kind is not Kind.LITERAL), len(self.segments))


Captures = tuple[tuple[str, int, int], ...]
"""Where parameters stand: (name, index of the segment, how much of it to cut off, or -1 for the rest of the path)."""


def captures_of(pattern: Pattern) -> Captures | None:
    """Return where the parameters of a segment pattern stand, or ``None`` if it has none (or is a regex)."""
    return (
        tuple(
            [
                (segment.name, index, -1 if segment.kind is Kind.REST else len(segment.text))
                for index, segment in enumerate(pattern.segments, 1)
                if segment.name
            ]
        )
        or None
    )


_BEYOND_ANY_LENGTH = 1 << 24


def path_rank(pattern: Pattern, order: int) -> tuple[int, ...]:
    """Return what orders patterns that match the same path: the smaller tuple is the more specific pattern.

    One number per segment, literal before longer literal start before parameter before ``*rest`` or the end of a
    prefix; an exact path is the shorter tuple of the two and so comes before a prefix of its length. Regular
    expressions come after everything, in ``order``.
    """
    if pattern.shape is Shape.REGEX:
        return (_BEYOND_ANY_LENGTH + 2, order)
    rank = [_segment_rank(segment) for segment in pattern.segments]
    if pattern.shape is Shape.PREFIX:
        rank.append(_BEYOND_ANY_LENGTH + 1)
    return tuple(rank)


def _segment_rank(segment: Segment) -> int:
    if segment.kind is Kind.LITERAL:
        return 0
    if segment.kind is Kind.AFFIXED:
        return _BEYOND_ANY_LENGTH - len(segment.text)
    return _BEYOND_ANY_LENGTH + (segment.kind is Kind.REST)


def rule_pattern(rule: RouteRule[P]) -> Pattern:
    """Parse the path of a rule.

    :raises PatternError: it has several, or the one that it has cannot be matched.
    """
    if rule.path is not None and rule.path_prefix is None and rule.path_regex is None:
        return parse_pattern(rule.path, rule.policy)
    given = [text for text in (rule.path, rule.path_prefix, rule.path_regex) if text is not None]
    if not given:
        return parse_prefix("/", rule.policy)
    if len(given) > 1:
        raise PatternError(f"a rule has at most one of path, path_prefix and path_regex, this one has {len(given)}")
    if rule.path_prefix is not None:
        return parse_prefix(rule.path_prefix, rule.policy)
    return parse_regex(given[0], rule.policy)


def parse_pattern(text: str, policy: PathPolicy = DEFAULT_POLICY) -> Pattern:
    """Parse the value of ``path``.

    :param policy: the route's; what it refuses can never match.
    :raises PatternError: with what is wrong and what to write instead.
    """
    _check_text(text)
    segments = tuple([_parse_segment(part, text, policy) for part in text.split("/")[1:]])
    if ":" in text or "*" in text:
        _check_rest_is_last(segments, text)
        _check_names_differ(segments, text)
    return Pattern(text, Shape.EXACT, segments, folds_case=policy.folds_case)


def parse_prefix(text: str, policy: PathPolicy = DEFAULT_POLICY) -> Pattern:
    """Parse the value of ``path_prefix``: literal segments. A slash at its end is ignored, as in the Gateway API.

    :raises PatternError: with what is wrong and what to write instead.
    """
    _check_text(text)
    parts = text.removesuffix("/").split("/")[1:]
    if parts and set(parts[-1]) == {"*"} and "*" not in (before := "/".join(parts[:-1])):
        raise PatternError(
            f"prefix {text!r} has {parts[-1]!r}, which would be taken literally",
            remedy=f"write {'/' + before!r}, as a prefix takes all that is below it",
        )
    for part in parts:
        if part.startswith((":", "*")):
            raise PatternError(
                f"prefix {text!r} has {part!r}: a prefix has no parameters; use path: with '*rest' as its last "
                f"segment, or write '%{ord(part[0]):X}' for a literal {part[0]!r}"
            )
        if "*" in part:
            raise PatternError(
                f"prefix {text!r} has '*' in {part!r}, which would be taken literally",
                remedy="leave it out, as a prefix takes whole segments and everything below it; '%2A' is a literal one",
            )
    segments = tuple([Segment(Kind.LITERAL, _literal(part, text, policy)) for part in parts])
    return Pattern(text, Shape.PREFIX, segments, folds_case=policy.folds_case)


def parse_regex(text: str, policy: PathPolicy = DEFAULT_POLICY) -> Pattern:
    """Parse the value of ``path_regex``. It must match the whole match path; named groups become parameters.

    :raises PatternError: with the place in the expression, or why it is too slow.
    """
    try:
        compiled = compile_pattern(f"(?i){text}" if policy.folds_case else text, TextPattern)
        return Pattern(text, Shape.REGEX, (), compiled, policy.folds_case)
    except PatternSyntaxError as error:
        raise PatternError(f"regex {error}") from None
    except SlowPatternError as error:
        raise SlowRegexError(f"regex {error}") from None


_BRACED = re.compile(
    r"\{(?P<star>\*{0,2})(?P<name>[A-Za-z_][A-Za-z0-9_-]*)(?::(?:[^{}/]|\{[^{}/]*\})*)?(?P<dots>\.\.\.|\+)?\}"
)
_ANGLED = re.compile(r"<(?:(?P<kind>[a-z]+):)?(?P<name>[A-Za-z_][A-Za-z0-9_-]*)>")
_MODIFIED = re.compile(r"(?P<modifier>=|\^~|~\*?|!~\*?)\s*(?P<path>[/^].*)")
"""A location of nginx, with what says how it is compared."""
_OF_REGEX = re.compile(r"\(\?|\.[*+]|\\[dwsDWS.]|\[[^\[\]/]*\]|^\^|\$$|\)[?*+]|\([^()/|]*\|")


def _check_foreign(text: str) -> None:
    """Refuse what stands for a parameter elsewhere, and would be taken literally here."""
    if found := _MODIFIED.fullmatch(text):
        key = {"=": "path", "^~": "path_prefix"}.get(found["modifier"], "path_regex")
        whole = ", which matches the whole path" if key == "path_regex" else ""
        raise PatternError(
            f"path {text!r} begins with {found['modifier']!r}, which is nginx's", remedy=f"write it as {key}{whole}"
        )
    for form in (_BRACED, _ANGLED):
        if found := form.search(text):
            groups = found.groupdict()
            takes_rest = groups.get("star") or groups.get("dots") or groups.get("kind") == "path"
            written = f"{'*' if takes_rest else ':'}{found['name']}"
            raise PatternError(
                f"path {text!r} has {found[0]!r}, which would be taken literally",
                remedy=f"write {written} for a parameter, and %{ord(found[0][0]):X} for a literal {found[0][0]!r}",
            )
    if found := _OF_REGEX.search(text):
        raise PatternError(
            f"path {text!r} has {found[0]!r}, which is a regular expression's",
            remedy="write it as path_regex, or a prefix as path_prefix; escapes such as %5B are taken literally",
        )


def _check_text(text: str) -> None:
    _check_foreign(text)
    if text in {"*", "/*", "**", "/**"}:
        remedy = "leave it out, as a route without a path takes every one, or write path_prefix: /"
        raise PatternError(f"path {text!r} would be taken literally", remedy=remedy)
    if "://" in text:
        raise PatternError(f"path {text!r} is a URL", remedy="write its host under hosts, and only the path here")
    if not text.startswith("/"):
        raise PatternError(f"path {text!r} does not start with '/'", remedy=f"write {'/' + text!r}")
    if "//" in text:
        merged = re.sub("//+", "/", text)
        raise PatternError(
            f"path {text!r} can never match: runs of '/' are merged before paths are matched",
            remedy=f"write {merged!r}",
        )
    if "?" not in text and "#" not in text:
        return
    for character, remedy in (("?", "match query parameters with query:"), ("#", "a fragment never reaches a server")):
        if character in text:
            code = f"%{ord(character):X}"
            raise PatternError(f"path {text!r} has {character!r}: {remedy}, or write {code!r} for a literal one")


def _parse_segment(part: str, text: str, policy: PathPolicy) -> Segment:
    if part.isalnum() and part.isascii():
        return Segment(Kind.LITERAL, part.lower() if policy.folds_case else part)
    if part.startswith("*"):
        return Segment(Kind.REST, "", _param_name(part, part[1:], text))
    if "*" in part:
        raise PatternError(
            f"path {text!r} has '*' inside {part!r}: it starts a segment, or write '%2A' for a literal one"
        )
    start, colon, name = part.partition(":")
    if not colon:
        return Segment(Kind.LITERAL, _literal(part, text, policy))
    name = _param_name(part, name, text)
    if not start:
        return Segment(Kind.PARAM, "", name)
    # The literal start is checked as the beginning of a longer segment.
    return Segment(Kind.AFFIXED, _literal(start + "x", text, policy)[:-1], name)


def _param_name(part: str, name: str, text: str) -> str:
    if not name:
        mark = literal = part.rstrip("/")[-1]
        if part == "*" and not text.endswith("/*"):
            mark = ":"  # what takes one segment
        raise PatternError(
            f"path {text!r} has {part!r} without a name",
            remedy=f"write '{mark}name', or '%{ord(literal):X}' for a literal",
        )
    if set(part) == {"*"}:
        raise PatternError(
            f"path {text!r} has {part!r}, which would be taken literally",
            remedy="write *rest as the last segment, or a path_prefix, for everything below",
        )
    if ":" in name:
        raise PatternError(
            f"path {text!r} has two parameters in {part!r}: one per segment is possible, '%3A' is a literal ':'"
        )
    if not PARAM_NAME.fullmatch(name):
        raise PatternError(
            f"path {text!r} has the parameter name {name!r}: it reaches to the end of its segment and is made of "
            "letters, digits, '_' and '-'"
        )
    return name


def _literal(part: str, text: str, policy: PathPolicy) -> str:
    """Return a literal segment as match paths have it."""
    encoded = encode_path(part)
    for parameters in (";", "%3b", "%3B"):
        if parameters in encoded:
            raise PatternError(
                (
                    f"path {text!r} can never match: {parameters!r} begins path parameters, which are cut off "
                    "before paths are matched"
                ),
                remedy=f"leave out {encoded[encoded.index(parameters) :]!r}",
            )
    try:
        literal, flags = read_path("/" + encoded, policy.folds_case)
    except BadPathError as error:
        raise PatternError(f"path {text!r} can never match: a request whose {error} is refused") from None
    refusal = policy.refusal(flags)
    if refusal is not None:
        what, key = refusal
        raise PatternError(
            f"path {text!r} can never match: a request whose {what} is refused", remedy=f"write {key}: keep"
        )
    return literal[1:]


def _check_rest_is_last(segments: tuple[Segment, ...], text: str) -> None:
    for segment in segments[:-1]:
        if segment.kind is Kind.REST:
            raise PatternError(f"path {text!r} goes on after '*{segment.name}': it takes the rest, so it must be last")


def _check_names_differ(segments: tuple[Segment, ...], text: str) -> None:
    names = [segment.name for segment in segments if segment.name]
    if len(names) != len(set(names)):
        twice = next(name for name in names if names.count(name) > 1)
        raise PatternError(f"path {text!r} has the parameter {twice!r} twice", remedy="give each its own name")
