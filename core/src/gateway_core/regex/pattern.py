"""Patterns of a configuration, so compiled that no text stalls the process.

A pattern whose worst work in `re` stays within a budget for texts of 8 KiB is matched by `re`, which is the fastest for
short texts. Any other goes to RE2. What RE2 cannot take, and everything where it is not installed, stays with `re`, but
only for texts that are short enough for the budget: a longer one raises, it never counts as "does not match", since
that would be a way past a condition. A pattern that is too slow even for short texts is refused.

The syntax is that of `re` with two differences, which both engines share: ``.`` matches a newline too (``re.DOTALL``),
and ``$`` is the end of the text only, not also the place before a final newline.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import ClassVar, Final, Self, TypeVar
from weakref import WeakValueDictionary

from pydantic_core import PydanticKnownError, core_schema

from gateway_core.errors import TextSource, TextTooLongError
from gateway_core.regex.linear import LinearError, LinearPattern, Spans, compile_linear
from gateway_core.regex.nodes import Node, literal_start
from gateway_core.regex.parser import Parser
from gateway_core.regex.translate import UntranslatableError, size_of, translate
from gateway_core.regex.work import Mode, longest_text

LONGEST_TEXT: Final = 8192
"""Characters that a pattern without a linear-time engine is matched against at most."""
SHORTEST_LIMIT: Final = 64
"""A pattern that is too slow for texts of this length is refused."""
_BUDGET: Final = 200_000
"""Steps of `re` for one text; measured, the slowest take 45 ns."""
_EFFORT: Final = 50_000
"""Edges that are followed to judge a pattern."""

NOT_INSTALLED: Final = "RE2 is not installed"


class PatternSyntaxError(ValueError):
    """The text is no regular expression; ``detail`` has the place."""

    code = "value.invalid"

    def __init__(self, text: str, detail: str) -> None:
        self.detail: Final = detail
        super().__init__(f"{text!r} is not a regular expression: {detail}")


class SlowPatternError(ValueError):
    """The pattern is too slow for texts of any useful length, and there is no linear-time engine for it."""

    code = "regex.slow"

    def __init__(self, text: str, detail: str) -> None:
        self.detail: Final = detail
        super().__init__(f"{text!r} is too slow: {detail}")


class LinearMatch:
    """What RE2 found, with the methods of `re.Match` that matter."""

    __slots__ = ("_names", "_spans", "_text")

    def __init__(self, text: str, spans: Spans, names: Mapping[str, int]) -> None:
        self._text = text
        self._spans = spans
        self._names = names

    def groupdict(self) -> dict[str, str | None]:
        """Return the texts of the named groups, ``None`` for those that took no part."""
        return {name: self.group(index) for name, index in self._names.items()}

    def group(self, group: int = 0, /) -> str | None:
        """Return what a group matched; group 0 is the whole match."""
        start, end = self._spans.span(group)
        return None if start < 0 else self._text[start:end]

    def span(self, group: int = 0, /) -> tuple[int, int]:
        """Return where a group begins and ends, (-1, -1) if it took no part."""
        return self._spans.span(group)


Match = re.Match[str] | LinearMatch


class _Compiled:
    """A pattern, compiled for one kind of question. Immutable, and shared by all who ask for the same text."""

    __slots__ = ("__weakref__", "_linear", "_tree", "compiled", "is_linear", "limit", "text", "why_not_linear")

    mode: ClassVar[Mode]
    enough: ClassVar[int] = LONGEST_TEXT
    """A limit that is not worth a warning."""

    def __init__(self, text: str) -> None:
        """Compile.

        :raises PatternSyntaxError: the text is no regular expression.
        :raises SlowPatternError: a short text could keep `re` busy for too long, and RE2 cannot take the pattern.
        """
        self.text = text
        self.compiled, self._tree = parse_pattern(text)
        self._linear: LinearPattern | None = None
        self.why_not_linear = ""
        """Why RE2 was not able to take the pattern; empty if it was, or was not asked yet."""
        self.limit = 0 if self._tree is None else longest_text(self._tree, self.mode, _BUDGET, _EFFORT, LONGEST_TEXT)
        """The length of the longest text that `re` is given."""
        self.is_linear = self.limit >= LONGEST_TEXT
        """Whether `re` is fast enough for every text of 8 KiB."""
        if self.is_linear:
            return
        self._linear = self._make_linear()
        if self._linear is not None and self._linear.longest <= self.limit:
            self._linear = None
            self.why_not_linear = _TOO_LARGE
        if self._linear is not None:
            self.limit = -1
        if self._longest < SHORTEST_LIMIT:
            raise SlowPatternError(text, f"{_describe(self._longest)} {_remedy(self.why_not_linear or _TOO_LARGE)}")

    @property
    def _longest(self) -> int:
        return self.limit if self._linear is None else max(self.limit, self._linear.longest)

    @classmethod
    def compile(cls, text: str) -> Self:
        """Return the pattern of a text, once for all who ask for it.

        :raises ValueError: the text is no regular expression, or one that is too slow.
        """
        return compile_pattern(text, cls)

    @property
    def problem(self) -> str | None:
        """What an operator should know: that texts longer than some limit are refused. ``None`` if all is well."""
        if self.is_linear or self._longest >= self.enough:
            return None
        return f"{self.text!r} is not linear: {_describe(self._longest)} {_remedy(self.why_not_linear or _TOO_LARGE)}"

    def _engine(self, text: str, source: TextSource) -> LinearPattern:
        """Return RE2's form of the pattern for a text that is too long for `re`."""
        linear = self._linear
        if linear is None and self.is_linear and not self.why_not_linear:
            # `re` takes this pattern up to 8 KiB, so RE2's form is made for the first longer text: most get none.
            linear = self._linear = self._make_linear()
        if linear is None or len(text) > linear.longest:
            raise TextTooLongError(source, self._longest, self.text)
        return linear

    def _found(self, text: str, spans: Spans | None) -> Match | None:
        return None if spans is None else LinearMatch(text, spans, self.compiled.groupindex)

    def _make_linear(self) -> LinearPattern | None:
        try:
            if self._tree is None:
                raise UntranslatableError("such syntax")
            linear = compile_linear(translate(self._tree), size_of(self._tree))
        except UntranslatableError as error:
            self.why_not_linear = f"RE2 cannot take {error}"
            return None
        except LinearError as error:
            self.why_not_linear = f"RE2 refuses it ({error})"
            return None
        self.why_not_linear = "" if linear is not None else NOT_INSTALLED
        return linear

    def __eq__(self, other: object) -> bool:
        return isinstance(other, type(self)) and other.text == self.text

    def __hash__(self) -> int:
        return hash((type(self), self.text))

    def __reduce__(self) -> tuple[object, ...]:
        return (compile_pattern, (self.text, type(self)))

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.text!r})"

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: object, _handler: object) -> core_schema.CoreSchema:
        """Read the pattern from a text of the configuration, and write it as one."""

        def read(value: object) -> _Compiled:
            if isinstance(value, cls):
                return value
            if not isinstance(value, str):
                raise PydanticKnownError("string_type")
            return compile_pattern(value, cls)

        return core_schema.no_info_plain_validator_function(
            read, serialization=core_schema.plain_serializer_function_ser_schema(str, when_used="unless-none")
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, _schema: object, _handler: object) -> dict[str, str]:
        return {"type": "string", "format": "regex"}


class Pattern(_Compiled):
    """A regular expression that must match whole texts."""

    __slots__ = ("_start",)
    mode = Mode.FULL

    def __init__(self, text: str) -> None:
        """See the base class."""
        super().__init__(text)
        self._start = "" if self._tree is None else literal_start(self._tree)

    def fullmatch(self, text: str, source: TextSource = "field") -> Match | None:
        """Match the whole text.

        :param source: what of a request the text comes from.
        :raises TextTooLongError: the text is too long for a pattern that no linear-time engine runs.
        """
        if len(text) <= self.limit:
            return self.compiled.fullmatch(text)
        if source == "path" and not text.startswith(self._start):
            return None  # A long path is not refused for the patterns of other routes.
        return self._found(text, self._engine(text, source).fullmatch(text))


class SearchPattern(_Compiled):
    """A regular expression that is looked for in texts."""

    __slots__ = ()
    mode = Mode.SEARCH

    def search(self, text: str, source: TextSource = "field") -> Match | None:
        """Return the first match, wherever it is; otherwise like :meth:`Pattern.fullmatch`."""
        if len(text) <= self.limit:
            return self.compiled.search(text)
        return self._found(text, self._engine(text, source).search(text))


_TEMPLATE: Final = re.compile(r"\\(?:g<([^>]*)>|([1-9][0-9]?)|(.))", re.DOTALL)
_ESCAPES: Final = {"n": "\n", "r": "\r", "t": "\t"}


class ReplacePattern(_Compiled):
    """A regular expression all of whose matches are replaced."""

    __slots__ = ()
    mode = Mode.EVERYWHERE
    # The bound is rough where a pattern is looked for again behind each match, and a replaced text is no condition.
    enough = 1024

    def replace(self, text: str, replacement: Callable[[Match], str], source: TextSource = "field") -> str:
        """Return the text with every match replaced; raises like :meth:`Pattern.fullmatch`."""
        if len(text) <= self.limit:
            return self.compiled.sub(replacement, text)
        pieces, position = [], 0
        for spans in self._engine(text, source).find_all(text):
            start, end = spans.span()
            pieces += [text[position:start], replacement(LinearMatch(text, spans, self.compiled.groupindex))]
            position = end
        return "".join([*pieces, text[position:]])

    def template(self, text: str) -> Callable[[Match], str]:
        r"""Return what makes the replacement for a match: the text, with ``\1`` and ``\g<name>`` for its groups.

        :raises ValueError: the text names a group that the pattern does not have.
        """
        parts: list[str | int] = []
        position = 0
        for found in _TEMPLATE.finditer(text):
            parts += [text[position : found.start()], self._part(found)]
            position = found.end()
        parts.append(text[position:])
        if all(isinstance(part, str) for part in parts):
            whole = "".join(map(str, parts))
            return lambda _: whole
        return lambda match: "".join([part if isinstance(part, str) else match.group(part) or "" for part in parts])

    def _part(self, found: re.Match[str]) -> str | int:
        named, number, other = found.groups()
        if other is not None:
            return _ESCAPES.get(other, other)
        group = number or named
        index = int(group) if group.isdecimal() else self.compiled.groupindex.get(group, -1)
        if not 0 <= index <= self.compiled.groups:
            raise ValueError(f"{found[0]!r} names a group that {self.text!r} does not have")
        return index


P = TypeVar("P", bound=_Compiled)


def compile_pattern(text: str, kind: type[P]) -> P:
    """Compile a pattern of a configuration, once for all who use the same text in the same way.

    :raises PatternSyntaxError: the text is no regular expression.
    :raises SlowPatternError: a short text could keep `re` busy for too long, and RE2 cannot take the pattern.
    """
    key = (kind, text)
    found = _known.get(key)
    if found is None:
        found = kind(text)
        _known[key] = found
    assert isinstance(found, kind)
    return found


def forget_patterns() -> None:
    """Clear the cache of compiled patterns; for tests that install and remove RE2."""
    _known.clear()


_known: WeakValueDictionary[tuple[type[_Compiled], str], _Compiled] = WeakValueDictionary()


def parse_pattern(text: str) -> tuple[re.Pattern[str], Node | None]:
    """Compile with both differences from `re`, and parse; the tree is ``None`` for syntax that the parser lacks."""
    try:
        compiled = re.compile(text, re.DOTALL)
        parser = Parser(text)
        tree = parser.parse()
    except re.error as error:
        place = "" if error.pos is None else f" at character {error.pos + 1}"
        raise PatternSyntaxError(text, f"{error.msg}{place}") from None
    except RecursionError:
        raise PatternSyntaxError(text, "it is nested too deeply") from None
    except OverflowError as error:
        raise PatternSyntaxError(text, str(error)) from None
    if not parser.is_done:
        return compiled, None
    for place_of_end in reversed(parser.ends):
        text = rf"{text[:place_of_end]}\Z{text[place_of_end + 1 :]}"
    return (re.compile(text, re.DOTALL) if parser.ends else compiled), tree


_TOO_LARGE: Final = "it has too many positions for RE2"


def _describe(limit: int) -> str:
    if limit < SHORTEST_LIMIT:
        return f"a text of {limit + 1} characters may take more steps than the limit allows;"
    return f"it takes texts of at most {limit} characters;"


def _remedy(why_not_linear: str) -> str:
    if why_not_linear == NOT_INSTALLED:
        return "install gateway-core[re2], or see that no two of its repetitions can take the same characters"
    return (
        f"{why_not_linear}: write it without that, or see that no two of its repetitions can take the same characters"
    )
