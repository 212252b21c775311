"""YAML and JSON texts to nodes that know their positions.

Only the composer of PyYAML is used: values are made by :mod:`gateway_core.config.yaml_constructor`, because PyYAML's
own constructor follows YAML 1.1 and forgets positions and duplicate keys.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import yaml

from gateway_core.config.location import Place

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

    def __init__(self, place: Place, message: str) -> None:
        self.place = place
        self.message = message
        super().__init__(message)


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
        raise DocumentSyntaxError(_first_control(name, text), _control_message(error)) from None
    except UnicodeEncodeError as error:
        raise DocumentSyntaxError(
            place_at(name, text, error.start), "half of a surrogate pair is not a character"
        ) from None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise DocumentSyntaxError(Place(name), f"is not YAML: {type(error).__name__}") from None


def compose_json(name: str, text: str) -> yaml.Node | None:
    """Compose a JSON document: parsed as JSON, which is stricter, then as YAML, which knows positions.

    :raises DocumentSyntaxError: in the words of the JSON parser.
    """
    if not text.strip():
        return None
    try:
        json.loads(text, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        message = f"is not valid JSON: {error.msg[:1].lower()}{error.msg[1:]}"
        raise DocumentSyntaxError(Place(name, error.lineno, error.colno), message) from None
    except RecursionError:
        pass  # the composer says where it is too deep
    except ValueError as error:
        raise DocumentSyntaxError(Place(name), f"is not valid JSON: {error}") from None
    return compose(name, join_surrogates(text))


def _refuse_constant(constant: str) -> object:
    raise ValueError(f"{constant} is not a number of JSON")


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


def _control_message(error: yaml.reader.ReaderError) -> str:
    character = error.character
    code = ord(character) if isinstance(character, (str, bytes)) else int(character)
    return f"control character U+{code:04X} is not allowed in a document: write it as an escape in double quotes"


def _syntax_problem(name: str, text: str, error: yaml.MarkedYAMLError) -> DocumentSyntaxError:
    mark = error.problem_mark or error.context_mark
    place = _place(name, mark)
    if error.context_mark is not None and _is_at_end(text, mark):
        if _OPENING.search(error.context or ""):
            return DocumentSyntaxError(_place(name, error.context_mark), "what opens here is never closed")
        if "flow node" in str(error.context):
            return DocumentSyntaxError(
                _end(name, text), "the document ends where a value is expected, inside an open bracket"
            )
    if "expected ':'" in str(error.problem) and error.context_mark is not None:
        place = _place(name, error.context_mark)
    lines = text.splitlines()
    line = lines[place.line - 1] if 0 < place.line <= len(lines) else ""
    problem = str(error.problem or error.context or "cannot be parsed")
    for pattern, explain in _EXPLANATIONS:
        if pattern.search(problem):
            return DocumentSyntaxError(place, explain(line, place.column, _context(error)))
    return DocumentSyntaxError(place, f"is not valid YAML: {problem}{_context(error)}")


_OPENING: Final = re.compile("flow (?:sequence|mapping)|quoted")


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


def _cannot_start(line: str, column: int, _context: str) -> str:
    character = line[column - 1 : column]
    if character == "\t":
        return "a tab cannot indent YAML: use spaces"
    return f'a value cannot start with "{character}": put it in quotes' if character else "is not valid YAML"


def _colon(line: str, _column: int, _context: str) -> str:
    if "\t" in line[: len(line) - len(line.lstrip())]:
        return "a tab cannot indent YAML: use spaces"
    return 'a second ": " on this line: put the value in quotes, or begin a new line and indent it'


def _no_key(line: str, column: int, context: str) -> str:
    if line[column - 1 :].startswith("- "):
        return f"a list item where a key is expected: check the indentation{context}"
    return f"a key that fits no level above it: check the indentation{context}"


def _flow(line: str, column: int, context: str) -> str:
    if "${" in line[: column + 1]:
        return 'not "," or the closing bracket: inside { } or [ ] a ${NAME} must be in double quotes'
    return f'not "," or the closing bracket{context}'


_EXPLANATIONS: Final[tuple[tuple[re.Pattern[str], Callable[[str, int, str], str]], ...]] = (
    (re.compile("cannot start any token"), _cannot_start),
    (re.compile("tab character that violates indentation"), lambda *_: "a tab cannot indent YAML: use spaces"),
    (re.compile("mapping values are not allowed"), _colon),
    (re.compile("did not find expected key"), _no_key),
    (re.compile("did not find expected ',' or|expected ',' or"), _flow),
    (re.compile("did not find expected '-' indicator|expected <block end>"), _no_key),
    (
        re.compile("could not find expected ':'"),
        lambda *_: 'a key without ":" after it, or a line that is not indented',
    ),
    (
        re.compile("did not find expected node content"),
        lambda *_: "a value is missing before this",
    ),
    (re.compile("undefined alias"), lambda *_: "an alias (*name) without an anchor (&name) before it"),
    (re.compile("duplicate anchor"), lambda *_: "an anchor (&name) that was already defined"),
)

_JSON_ESCAPE: Final = re.compile(r"\\(?:u(d[89ab][0-9a-f]{2})\\u(d[c-f][0-9a-f]{2})|.)", re.IGNORECASE | re.DOTALL)


def join_surrogates(text: str) -> str:
    r"""Rewrite JSON's ``\ud83d\ude00`` as YAML's ``\U0001F600``: the one escape that YAML spells differently."""

    def rewrite(match: re.Match[str]) -> str:
        high, low = match.groups()
        if high is None:
            return match.group()
        return f"\\U{0x10000 + ((int(high, 16) - 0xD800) << 10) + int(low, 16) - 0xDC00:08X}"

    return _JSON_ESCAPE.sub(rewrite, text)
