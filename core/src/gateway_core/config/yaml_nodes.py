"""YAML texts to nodes that know their positions.

Only the composer of PyYAML is used: values are made by :mod:`gateway_core.config.yaml_constructor`, because PyYAML's
own constructor follows YAML 1.1 and forgets positions and duplicate keys.

A plain (unquoted) scalar gets its type by the core schema of YAML 1.2.2, section 10.3.2. PyYAML follows YAML 1.1, where
``no`` is false, ``010`` is 8, ``1_000`` is 1000 and ``12:30:45`` is 45045. Here these are texts, except for ``010``,
which the two versions read differently: that is refused.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

import yaml

from gateway_core.config.problems import Place
from gateway_core.config.suggestions import Fault
from gateway_core.config.values import InvalidValueError

if TYPE_CHECKING:
    _Base = yaml.SafeLoader
else:
    _Base = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

# A plain scalar without a tag; every other tag was written in the document or follows from quotes.
PLAIN_TAG: Final = "?"
STR_TAG: Final = "tag:yaml.org,2002:str"
MAP_TAG: Final = "tag:yaml.org,2002:map"
SEQ_TAG: Final = "tag:yaml.org,2002:seq"

DEEPEST: Final = 100
"""Levels of nesting; libyaml's composer recurses in C and would crash the process some thousands deeper."""


TOO_DEEP: Final = f"is nested more than {DEEPEST} levels deep"


class DocumentSyntaxError(Exception):
    """The text is not a document; carries where and why."""

    def __init__(self, place: Place, reason: str, *, remedy: str = "") -> None:
        self.place = place
        self.reason = reason
        self.remedy = remedy
        super().__init__(f"{reason}: {remedy}" if remedy else reason)


class _NamedText(io.StringIO):
    """A text stream with a name, which PyYAML puts into every mark."""

    def __init__(self, name: str, text: str) -> None:
        super().__init__(text)
        self.name = name


class _TooDeep(yaml.YAMLError):
    def __init__(self, mark: yaml.Mark | None) -> None:
        self.problem_mark = mark
        super().__init__()


class _Loader(_Base):
    """A composer that types nothing and bounds the depth."""

    depth = 0

    # The signatures are PyYAML's; its resolver would match every scalar against the patterns of YAML 1.1.
    def resolve(self, kind: type[yaml.Node], value: Any, implicit: Any) -> str:  # noqa: ARG002
        if kind is yaml.ScalarNode:
            return PLAIN_TAG if implicit[0] else STR_TAG
        return MAP_TAG if kind is yaml.MappingNode else SEQ_TAG

    def descend_resolver(self, current_node: yaml.Node | None, current_index: Any) -> None:  # noqa: ARG002
        self.depth += 1
        if self.depth > DEEPEST:
            raise _TooDeep(current_node.start_mark if current_node is not None else None)

    def ascend_resolver(self) -> None:
        self.depth -= 1


def compose(name: str, text: str) -> yaml.Node | None:
    """Compose the one YAML document in ``text``; ``None`` if there is none.

    :raises DocumentSyntaxError: with a place in ``name``.
    """
    roots = compose_all(name, text)
    if len(roots) > 1:
        raise DocumentSyntaxError(_place(name, roots[1].start_mark), "a second document, where one is expected")
    return roots[0] if roots else None


def compose_all(name: str, text: str) -> list[yaml.Node]:
    """Compose the YAML documents in ``text``, which lines of ``---`` separate.

    :raises DocumentSyntaxError: with a place in ``name``.
    """
    roots: list[yaml.Node] = []
    try:
        loader = _Loader(_NamedText(name, text))
        try:
            while loader.check_node():
                if (node := loader.get_node()) is not None:
                    roots.append(node)
            return roots
        finally:
            loader.dispose()
    except _TooDeep as error:
        raise DocumentSyntaxError(_place(name, error.problem_mark), TOO_DEEP) from None
    except yaml.MarkedYAMLError as error:
        raise _syntax_problem(name, text, error) from None
    except yaml.reader.ReaderError as error:
        reason = f"control character U+{_code_point(error):04X} is not allowed in a document"
        remedy = "write it as an escape in double quotes"
        raise DocumentSyntaxError(_first_control(name, text), reason, remedy=remedy) from None
    except UnicodeEncodeError as error:
        raise DocumentSyntaxError(
            place_at(name, text, error.start), "half of a surrogate pair is not a character"
        ) from None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise DocumentSyntaxError(Place(name), f"is not YAML: {type(error).__name__}") from None


def place_at(name: str, text: str, offset: int) -> Place:
    """Return the place of the character at ``offset``."""
    before = text[:offset]
    return Place(name, before.count("\n") + 1, offset - (before.rfind("\n") + 1) + 1)


def _end(name: str, text: str) -> Place:
    """Return the place of the last character that is not blank."""
    return place_at(name, text, max(len(text.rstrip()) - 1, 0))


def _place(name: str, mark: yaml.Mark | None) -> Place:
    return Place(name, mark.line + 1, mark.column + 1) if mark is not None else Place(name)


_CONTROL: Final = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def _first_control(name: str, text: str) -> Place:
    match = _CONTROL.search(text)
    return place_at(name, text, match.start()) if match else Place(name)


def _code_point(error: yaml.reader.ReaderError) -> int:
    character = error.character
    return ord(character) if isinstance(character, (str, bytes)) else int(character)


def _syntax_problem(name: str, text: str, error: yaml.MarkedYAMLError) -> DocumentSyntaxError:
    mark = error.problem_mark or error.context_mark
    place = _place(name, mark)
    if error.context_mark is not None and _is_at_end(text, mark):
        if any(text in str(error.context) for text in _OPENING):
            where = _place(name, error.context_mark)
            return DocumentSyntaxError(where, "what opens here is never closed", remedy="close it")
        if "flow node" in str(error.context):
            return DocumentSyntaxError(
                _end(name, text), "the document ends where a value is expected, inside an open bracket"
            )
    if "expected ':'" in str(error.problem) and error.context_mark is not None:
        place = _place(name, error.context_mark)
    lines = text.splitlines()
    line = lines[place.line - 1] if 0 < place.line <= len(lines) else ""
    problem = str(error.problem or error.context or "cannot be parsed")
    context = _context(error)
    unknown = _always(f"is not valid YAML: {problem}{context}")
    explain = next((found for text, found in _FAULTS.items() if text in problem), unknown)
    fault = explain(line, place.column, context)
    return DocumentSyntaxError(place, fault.reason, remedy=fault.remedy)


_OPENING: Final = ("flow sequence", "flow mapping", "quoted")


def _is_at_end(text: str, mark: yaml.Mark | None) -> bool:
    if mark is None:
        return False
    lines = text.split("\n")
    rest = [lines[mark.line][mark.column :] if mark.line < len(lines) else "", *lines[mark.line + 1 :]]
    return not any(line.split("#")[0].strip() for line in rest)


def _context(error: yaml.MarkedYAMLError) -> str:
    mark = error.context_mark
    if mark is None or error.context is None:
        return ""
    what = _CONTEXTS.get(error.context.removeprefix("while ").split(" ", 1)[-1].removeprefix("a "), "")
    return f" (in {what} that begins at {mark.line + 1}:{mark.column + 1})" if what else ""


_CONTEXTS: Final = {
    "block mapping": "the mapping",
    "flow mapping": "the mapping",
    "block collection": "the list",
    "flow sequence": "the list",
    "quoted scalar": "the quoted text",
    "simple key": "the key",
}


_TAB: Final = Fault("a tab cannot indent YAML", "use spaces")


def _cannot_start(line: str, column: int, _context: str) -> Fault:
    character = line[column - 1 : column]
    if character == "\t":
        return _TAB
    return Fault(f'a value cannot start with "{character}"', "put it in quotes")


def _colon(line: str, _column: int, _context: str) -> Fault:
    if "\t" in line[: len(line) - len(line.lstrip())]:
        return _TAB
    return Fault('a second ": " on this line', "put the value in quotes, or begin a new line and indent it")


def _no_key(line: str, column: int, context: str) -> Fault:
    if line[column - 1 :].startswith("- "):
        return Fault("a list item where a key is expected", f"check the indentation{context}")
    return Fault("a key that fits no level above it", f"check the indentation{context}")


def _flow(line: str, column: int, context: str) -> Fault:
    if "${" in line[: column + 1]:
        return Fault('not "," or the closing bracket', "inside { } or [ ] a ${NAME} must be in double quotes")
    return Fault(f'not "," or the closing bracket{context}')


_Explain = Callable[[str, int, str], Fault]
"""Takes the line, the column and what the place is inside of."""


def _always(reason: str, remedy: str = "") -> _Explain:
    return lambda *_: Fault(reason, remedy)


# The parser's exceptions have no kinds: only its constant texts, those of libyaml and of PyYAML, distinguish them.
_FAULTS: Final[Mapping[str, _Explain]] = {
    "cannot start any token": _cannot_start,
    "tab character that violates indentation": _always(*_TAB),
    "mapping values are not allowed": _colon,
    "did not find expected key": _no_key,
    "expected ',' or": _flow,
    "did not find expected '-' indicator": _no_key,
    "expected <block end>": _no_key,
    "could not find expected ':'": _always('a key without ":" after it, or a line that is not indented'),
    "did not find expected node content": _always("a value is missing before this"),
    "undefined alias": _always("an alias (*name) without an anchor (&name) before it"),
    "duplicate anchor": _always("an anchor (&name) that was already defined"),
}

Scalar = str | int | float | bool | None

_CONSTANTS: Final[dict[str, bool | None]] = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True,
    "false": False, "False": False, "FALSE": False,
}  # fmt: skip
_QUOTES: Final = "if text is meant, put it in quotes"
_MAY_BE_NUMBER: Final = frozenset("0123456789+-.")
_INTEGER: Final = re.compile(r"[-+]?[0-9]+")
_BASED: Final = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT: Final = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_NOT_FINITE: Final = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_LEADING_ZERO: Final = re.compile(r"[-+]?0[0-9]+")
_LARGEST: Final = 2**63
LONGEST_NUMBER: Final = 400


def read_plain(text: str) -> Scalar:
    """Return the value of a plain scalar.

    :raises InvalidValueError: for a number that has two readings or none.
    """
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if text[0] not in _MAY_BE_NUMBER or len(text) > LONGEST_NUMBER:
        return text
    if _INTEGER.fullmatch(text):
        return _integer(text)
    if _BASED.fullmatch(text):
        return _bounded(int(text, 0))
    if _FLOAT.fullmatch(text):
        number = float(text)
        if number in {float("inf"), float("-inf")}:
            raise InvalidValueError("is too large for a number", remedy=_QUOTES)
        return number
    if _NOT_FINITE.fullmatch(text):
        raise InvalidValueError("is not a finite number, and nothing here takes one", remedy=_QUOTES)
    return text


def read_environment(text: str) -> Scalar:
    """Type the value of a scalar that was wholly one ``${NAME}``: a number, true or false, else the text itself.

    More careful than :func:`read_plain`: an empty value stays an empty text, and what has two readings stays text.
    """
    if text in _CONSTANTS:
        constant = _CONSTANTS[text]
        return text if constant is None else constant
    try:
        return read_plain(text)
    except InvalidValueError:
        return text


def _integer(text: str) -> int:
    if _LEADING_ZERO.fullmatch(text):
        raise InvalidValueError(
            # Without the number: the text may be a secret, and is masked as it is written only.
            "is octal in YAML 1.1 and decimal in YAML 1.2",
            remedy="write it without the leading zero, or put it in quotes if text is meant",
        )
    return _bounded(int(text))


def _bounded(number: int) -> int:
    if not -_LARGEST <= number < _LARGEST:
        raise InvalidValueError("is too large for a number", remedy=_QUOTES)
    return number
