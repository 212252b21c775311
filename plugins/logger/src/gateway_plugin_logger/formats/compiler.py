"""Puts the values of a line together to one function.

The result is what somebody in a hurry would have written by hand: one f-string. It is built as a syntax tree, not as
text, so nothing that a configuration says (names of fields, literal text of a template) can become code: such texts are
constants of the tree.

How a word is written (`Kind.WORD`: a method, a route, a user agent) is remembered, since it is one of few. What a line
says of a head alone (its target, its fields) is remembered with heads that a client repeats (`Request.repeated`): such
a line is made by a second function, which has texts in the place of these parts. Other heads do not come again.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final, cast

from gateway_plugin_sdk import Record, Request, Response

from gateway_plugin_logger.fields import Kind, Value
from gateway_plugin_logger.formats.escape import without_lone_surrogates

Renderer = Callable[[Request, Response, Record], str]

_ARGUMENTS: Final = ("request", "response", "record")
_HEAD: Final = frozenset({"head"})
_TARGET: Final = frozenset({"target"})
_PRELUDES: Final = (
    (_HEAD, "head = request.headers"),
    (_TARGET, "target = request.received.target"),
)
"""What several values share, and what is done for it before."""
_UNLESS_REPEATED: Final = """
if (_repeated := request.repeated) is not None:
    return _write_repeated(request, response, record, _repeated)
"""
_OF_THE_HEAD: Final = frozenset({"method", "path", "query", "received"})
"""Attributes of a request that are those of its head as long as it has `Request.repeated`."""
_MOST_REMEMBERED: Final = 512
_LONGEST_WORD: Final = 256


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
    written = [(_texts(part, number, names), part) for number, part in enumerate(parts)]
    kept: list[ast.expr] = []
    rest: list[ast.expr] = []
    for is_of_head, group in groupby(written, lambda each: _is_of_head(each[1])):
        texts = [text for each, _ in group for text in each]
        if is_of_head:
            place = ast.Subscript(ast.Name("_kept", ast.Load()), ast.Constant(len(kept)), ast.Load())
            kept.append(_joined(texts))
            texts = [ast.FormattedValue(place, -1, None)]
        rest += texts
    line, line_of_repeated = _joined(text for texts, _ in written for text in texts), _joined(rest)
    if is_json:
        names["_mend"] = without_lone_surrogates
        line, line_of_repeated = _mended(line), _mended(line_of_repeated)
    if not kept:
        return cast("Renderer", compile_expression(line, names))
    write_rest = _compiled(line_of_repeated, (*_ARGUMENTS, "_kept"), names)
    names["_write_repeated"] = _repeated_writer(compile_expression(ast.Tuple(kept, ast.Load()), names), write_rest)
    return cast("Renderer", _compiled(line, _ARGUMENTS, names, _UNLESS_REPEATED))


def _repeated_writer(
    write_kept: Callable[[Request, Response, Record], tuple[str, ...]], write_rest: Callable[..., str]
) -> Callable[[Request, Response, Record, dict[Hashable, Any]], str]:
    """Return what writes the line of a head that was repeated."""
    key = object()  # of this line alone: others say other things, or hide them

    def write(request: Request, response: Response, record: Record, repeated: dict[Hashable, Any]) -> str:
        kept = repeated.get(key)
        if kept is None:
            kept = repeated[key] = write_kept(request, response, record)
        return write_rest(request, response, record, kept)

    return write


def compile_expression(body: ast.expr, names: dict[str, Any]) -> Callable[[Request, Response, Record], Any]:
    """Return a function of request, response and record that gives the value of an expression."""
    return _compiled(body, _ARGUMENTS, names)


def expression_of(value: Value) -> ast.expr:
    """Return the syntax tree that reads a value."""
    return ast.parse(value.source, mode="eval").body


def _compiled(
    body: ast.expr, arguments: tuple[str, ...], names: dict[str, Any], before: str = ""
) -> Callable[..., Any]:
    used = _names_in(body) - set(arguments)
    sources = [before, *(source for shared, source in _PRELUDES if used & shared)]
    prelude = [line for source in sources for line in ast.parse(source).body]
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


def _is_of_head(part: str | Piece) -> bool:
    """Return whether a part says something of the request's head and of nothing else."""
    if isinstance(part, str):
        return False
    tree = expression_of(part.value)
    used = _names_in(tree)
    if not used.isdisjoint({"response", "record"}):
        return False
    of_head = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "request"
        and node.attr in _OF_THE_HEAD
    ]
    of_request = [node for node in ast.walk(tree) if isinstance(node, ast.Name) and node.id == "request"]
    return len(of_head) == len(of_request) and bool(of_head or used & (_HEAD | _TARGET))


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
    if part.value.kind is Kind.WORD:
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
            ("_words", "_kept")
        ):
            return text  # a text already
    return ast.JoinedStr(joined)
