"""Puts the values of a line together to one function.

The result is what somebody in a hurry would have written by hand: one f-string. It is built as a syntax tree, not as
text, so nothing that a configuration says (names of fields, literal text of a template) can become code: such texts are
constants of the tree.

What a line says of the head's fields alone, such as the user agent, or of the target alone, is written once for equal
ones and remembered: clients repeat theirs.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final, cast

from gateway_plugin_sdk import Headers, HeadersKey, Record, Request, Response

from gateway_plugin_logger.fields import Kind, Value
from gateway_plugin_logger.formats.escape import without_lone_surrogates

Renderer = Callable[[Request, Response, Record], str]

_ARGUMENTS: Final = ("request", "response", "record")
_HEAD: Final = frozenset({"head"})
_PATH_AND_QUERY: Final = frozenset({"client_path", "client_query"})
_TARGET: Final = frozenset({"target"}) | _PATH_AND_QUERY
_PRELUDES: Final = (
    (_HEAD, "head = request.headers"),
    (_TARGET, "target = request.received.target"),
    (_PATH_AND_QUERY, "client_path, _, client_query = target.partition('?')"),
    (frozenset({"_of_head"}), "_of_head = _heads(request.headers_key) or _write_head(request.headers)"),
    (
        frozenset({"_of_target"}),
        "target = request.received.target; _of_target = _targets(target) or _write_target(target)",
    ),
)
"""What several values share, and what is done for it before."""
_LARGEST_REMEMBERED: Final = 2048
_MOST_REMEMBERED: Final = 512
_LONGEST_WORD: Final = 128
_LONGEST_TARGET: Final = 256


@dataclass(frozen=True, slots=True)
class Piece:
    """A value and how it is written."""

    value: Value
    writer: Callable[[Any], str] | None = None
    """Makes text of it; without one, f-string formatting does."""
    spec: str = ""
    """Format specification, such as ``.3f``."""
    before: str = ""
    after: str = ""
    missing: str = ""
    """What stands in the place of ``before``, value and ``after`` if there is no value."""


class _Words(dict[str, str]):
    """How words are written, with what stands around them; forgotten when they turn out not to be few."""

    __slots__ = ("_after", "_before", "_write")

    def __init__(self, piece: Piece) -> None:
        super().__init__()
        self._before, self._write, self._after = piece.before, piece.writer, piece.after

    def __missing__(self, word: str) -> str:
        text = f"{self._before}{word if self._write is None else self._write(word)}{self._after}"
        if len(word) <= _LONGEST_WORD:
            if len(self) >= _MOST_REMEMBERED:
                self.clear()
            self[word] = text
        return text


def compile_line(parts: Iterable[str | Piece], *, is_json: bool = False) -> Renderer:
    """Return a function that writes the parts one after the other; a part is literal text or a piece.

    :param is_json: whether the result is JSON, or has strings of JSON in it.
    """
    names: dict[str, Any] = {}
    texts: list[ast.expr] = []
    remembered: dict[str, list[ast.expr]] = {"_of_head": [], "_of_target": []}
    numbered = [(_texts(part, number, names), part) for number, part in enumerate(parts)]
    for of, group in groupby(numbered, lambda each: _depends_on(each[1])):
        found = [text for each, _ in group for text in each]
        if of is not None:
            place = ast.Subscript(ast.Name(of, ast.Load()), ast.Constant(len(remembered[of])), ast.Load())
            remembered[of].append(_joined(found))
            found = [ast.FormattedValue(place, -1, None)]
        texts += found
    if of_head := remembered["_of_head"]:
        write = _compiled(ast.Tuple(of_head, ast.Load()), ("head",), names)
        names["_heads"], names["_write_head"] = _remembering_heads(write)
    if of_target := remembered["_of_target"]:
        write = _compiled(ast.Tuple(of_target, ast.Load()), ("target",), names)
        names["_targets"], names["_write_target"] = _remembering_targets(write)
    line = _joined(texts)
    if is_json:
        names["_mend"] = without_lone_surrogates
        line = _mended(line)
    return cast("Renderer", compile_expression(line, names))


def compile_expression(body: ast.expr, names: dict[str, Any]) -> Callable[[Request, Response, Record], Any]:
    """Return a function of request, response and record that gives the value of an expression."""
    return _compiled(body, _ARGUMENTS, names)


def expression_of(value: Value) -> ast.expr:
    """Return the syntax tree that reads a value."""
    return ast.parse(value.source, mode="eval").body


def _compiled(body: ast.expr, arguments: tuple[str, ...], names: dict[str, Any]) -> Callable[..., Any]:
    used = _names_in(body) - set(arguments)
    prelude = [
        line
        for shared, source in _PRELUDES
        if used & shared and not shared.issuperset(arguments)
        for line in ast.parse(source).body
    ]
    signature = ast.arguments([], [ast.arg(name) for name in arguments], None, [], [], None, [])
    function = ast.FunctionDef("evaluate", signature, [*prelude, ast.Return(body)], [], None)
    function.type_params = []  # type: ignore[attr-defined,unused-ignore]  # Python 3.12 and later ask for it
    module = ast.fix_missing_locations(ast.Module([function], []))
    scope = dict(names)
    exec(compile(module, "<gateway_plugin_logger>", "exec"), scope)  # noqa: S102 - a tree of our own making, see above
    return cast("Callable[..., Any]", scope["evaluate"])


def _mended(line: ast.expr) -> ast.expr:
    named = ast.NamedExpr(ast.Name("_line", ast.Store()), line)
    is_suspicious = ast.Compare(ast.Constant("\\ud"), [ast.In()], [named])
    mended = ast.Call(ast.Name("_mend", ast.Load()), [ast.Name("_line", ast.Load())], [])
    return ast.IfExp(is_suspicious, mended, ast.Name("_line", ast.Load()))


def _names_in(tree: ast.expr) -> set[str]:
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}


def _depends_on(part: str | Piece) -> str | None:
    """Return the memory that a part is kept in; None if it says something of the one request alone."""
    if isinstance(part, str):
        return None
    used = _names_in(expression_of(part.value))
    if used.isdisjoint(_ARGUMENTS):
        if used & _HEAD and not used & _TARGET:
            return "_of_head"
        if used & _TARGET and not used & _HEAD:
            return "_of_target"
    return None


def _remembering_heads(
    write: Callable[[Headers], tuple[str, ...]],
) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Return what looks a head up by its key, and what writes one that is not there."""
    written: dict[HeadersKey, tuple[str, ...]] = {}

    def write_new(headers: Headers) -> tuple[str, ...]:
        texts = write(headers)
        if headers.size <= _LARGEST_REMEMBERED:
            if len(written) >= _MOST_REMEMBERED:
                written.clear()
            written[headers.key] = texts
        return texts

    return written.get, write_new


def _remembering_targets(write: Callable[[str], tuple[str, ...]]) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Return the same for targets."""
    written: dict[str, tuple[str, ...]] = {}

    def write_new(target: str) -> tuple[str, ...]:
        texts = write(target)
        if len(target) <= _LONGEST_TARGET:
            if len(written) >= _MOST_REMEMBERED:
                written.clear()
            written[target] = texts
        return texts

    return written.get, write_new


def _texts(part: str | Piece, number: int, names: dict[str, Any]) -> list[ast.expr]:
    """Return what a part adds to the line: constants, and values as f-strings format them."""
    if isinstance(part, str):
        return [ast.Constant(part)]
    names.update(part.value.names)
    reading = expression_of(part.value)
    if not part.value.optional:
        return _written(part, reading, number, names)
    local = f"_value_{number}"
    test = ast.Compare(ast.NamedExpr(ast.Name(local, ast.Store()), reading), [ast.Is()], [ast.Constant(None)])
    present = _joined(_written(part, ast.Name(local, ast.Load()), number, names))
    return [ast.FormattedValue(ast.IfExp(test, ast.Constant(part.missing), present), -1, None)]


def _written(part: Piece, reading: ast.expr, number: int, names: dict[str, Any]) -> list[ast.expr]:
    if part.value.kind is Kind.WORD and _depends_on(part) is None:
        name = f"_words_{number}"
        names[name] = _Words(part)
        word = ast.Subscript(ast.Name(name, ast.Load()), reading, ast.Load())
        return [ast.FormattedValue(word, -1, None)]
    if part.writer is not None:
        name = f"_write_{number}"
        names[name] = part.writer
        reading = ast.Call(ast.Name(name, ast.Load()), [reading], [])
    spec = ast.JoinedStr([ast.Constant(part.spec)]) if part.spec else None
    return [ast.Constant(part.before), ast.FormattedValue(reading, -1, spec), ast.Constant(part.after)]


def _joined(texts: Iterable[ast.expr]) -> ast.expr:
    """Return one f-string; constants that follow each other become one, since each piece of an f-string costs time."""
    joined: list[ast.expr] = []
    for text in texts:
        last = joined[-1] if joined else None
        if isinstance(text, ast.Constant) and isinstance(last, ast.Constant):
            joined[-1] = ast.Constant(cast("str", last.value) + cast("str", text.value))
        elif not isinstance(text, ast.Constant) or text.value:
            joined.append(text)
    match joined:
        case [ast.FormattedValue(value=ast.Subscript(value=ast.Name(id=name)) as text)] if name.startswith(
            ("_words", "_of_")
        ):
            return text  # a text already
    return ast.JoinedStr(joined)
