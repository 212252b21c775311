"""Puts the values of a line together to one function.

The result is what somebody in a hurry would have written by hand: one f-string. It is built as a syntax tree, not as
text, so nothing that a configuration says (names of fields, literal text of a template) can become code: such texts are
constants of the tree.

How a word is written (`Kind.WORD`: a method, a route, a user agent) is remembered, since it is one of few, and what is
said of the fields of a head that its client repeats (`_KEPT`). Nothing else is: it takes less to write a path than
to find out that it was written before. There is no call for a value that an expression can read and write, such as a
time in milliseconds.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, Final, cast

from gateway_plugin_sdk import Record, Request, Response

from gateway_plugin_logger.fields import Kind, Value
from gateway_plugin_logger.fields.times import FRACTIONS, WHOLES

Renderer = Callable[[Request, Response, Record], str]

_ARGUMENTS: Final = ("request", "response", "record")
_MISSES: Final = 64
_SKIPPED: Final = 960
_HEADS: Final = 256
"""Heads whose texts are kept."""
_KEPT: Final = """
if _heads.skip:
    _heads.skip -= 1
    return _write_all(request, response, record)
_key = request.headers_key
_known, _kept = _heads.get(id(_key), UNKNOWN)
if _known is _key:
    _heads.misses = 0
else:
    _kept = _write_kept(request, response, record)
    if len(_heads) >= HEADS:
        _heads.clear()
    _heads[id(_key)] = _key, _kept
    _heads.misses += 1
    if _heads.misses == MISSES:
        _heads.misses, _heads.skip = 0, SKIPPED
"""
"""What a line says of a request's fields, kept for heads that clients repeat.

Where a connection sends the fields of the request before, it shows the very same `Request.headers_key`, whatever the
target is. To find that out takes no hash of a head. A key that is kept is not freed, so no other one has its id.

Where no head comes again, looking for one takes a seventh of the line's time. So after `_MISSES` lines without a known
head the next `_SKIPPED` are written without looking.
"""
_PRELUDES: Final = (
    (
        "_kept",
        _KEPT.replace("MISSES", str(_MISSES))
        .replace("SKIPPED", str(_SKIPPED))
        .replace("HEADS", str(_HEADS))
        .replace("UNKNOWN", "(None, ())"),
    ),
    ("head", "head = request.headers"),
    ("first", "first = request.first_value"),
    ("target", "target = request.received.target"),
)
"""What several values share, and what is done for it before. What may return comes first."""
_FEW: Final = frozenset({Kind.WORD, Kind.CODE})
_MOST_REMEMBERED: Final = 512
_LONGEST_WORD: Final = 256
_MANY: Final = 16
"""Pieces of a line that are joined otherwise than by an f-string."""
_TEXTS: Final = ("_words", "_kept", "_wholes", "_fractions")
"""How tables of texts are named."""


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


class _Words(dict[str | int, str]):
    """How words and codes are written, with what stands around them; forgotten when they turn out not to be few."""

    __slots__ = ("_after", "_before", "_write")

    def __init__(self, piece: Piece) -> None:
        super().__init__()
        self._before, self._write, self._after = piece.before, piece.writer, piece.after

    def __missing__(self, word: str | int) -> str:
        text = f"{self._before}{word if self._write is None else self._write(word)}{self._after}"
        if isinstance(word, int) or len(word) <= _LONGEST_WORD:
            if len(self) >= _MOST_REMEMBERED:
                self.clear()
            self[word] = text
        return text


class _Heads(dict[int, tuple[object, tuple[str, ...]]]):
    """Heads whose texts are kept, each by its id."""

    __slots__ = ("misses", "skip")

    def __init__(self) -> None:
        super().__init__()
        self.misses = 0
        """Lines since a head was known."""
        self.skip = 0
        """Lines to write without looking for a head."""


def compile_line(parts: Iterable[str | Piece]) -> Renderer:
    """Return a function that writes the parts one after the other; a part is literal text or a piece."""
    names: dict[str, Any] = {}
    kept: list[ast.expr] = []
    texts: list[ast.expr] = []
    all_texts: list[ast.expr] = []  # without what is kept
    for number, part in enumerate(_gathered(parts)):
        written = _texts(part, number, names)
        all_texts += written
        place = ast.Subscript(ast.Name("_kept", ast.Load()), ast.Constant(len(kept)), ast.Load())
        if _is_of_fields(part):
            kept.append(_joined(written))
            written = [ast.FormattedValue(place, -1, None)]
        elif (branches := _branches(part)) is not None:
            test, of_fields, other = branches
            kept.append(_joined(_texts(of_fields, number, names)))
            rest = _joined(_texts(other, number, names))
            written = [ast.FormattedValue(ast.IfExp(test, place, rest), -1, None)]
        texts += written
    if kept:
        names["_write_kept"] = compile_expression(ast.Tuple(kept, ast.Load()), names)
        names["_write_all"] = compile_expression(_joined(all_texts), names)
        names["_heads"] = _Heads()
    return cast("Renderer", compile_expression(_joined(texts), names))


def compile_expression(body: ast.expr, names: dict[str, Any]) -> Callable[[Request, Response, Record], Any]:
    """Return a function of request, response and record that gives the value of an expression."""
    used = _names_in(body)
    prelude = [line for shared, source in _PRELUDES if shared in used for line in ast.parse(source).body]
    signature = ast.arguments([], [ast.arg(name) for name in _ARGUMENTS], None, [], [], None, [])
    function = ast.FunctionDef("evaluate", signature, [*prelude, ast.Return(body)], [], None)
    function.type_params = []  # type: ignore[attr-defined,unused-ignore]  # Python 3.12 and later ask for it
    module = ast.Module([function], [])
    for node in ast.walk(module):  # not `ast.fix_missing_locations`, whose inner function refers to itself
        node.lineno = node.end_lineno = 1  # type: ignore[attr-defined]  # of statements and expressions, and no harm elsewhere
        node.col_offset = node.end_col_offset = 0  # type: ignore[attr-defined]
    scope = dict(names)
    exec(compile(module, "<gateway_plugin_logger>", "exec"), scope)  # noqa: S102 - a tree of our own making, see above
    # Out of its own names, by which it would refer to itself: what a reload drops goes by reference counting.
    return cast("Callable[..., Any]", scope.pop("evaluate"))


def expression_of(value: Value) -> ast.expr:
    """Return the syntax tree that reads a value."""
    return ast.parse(value.source, mode="eval").body


def _names_in(tree: ast.expr) -> set[str]:
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}


def _is_of_fields(part: str | Piece) -> bool:
    """Return whether a part says something of the request's fields and of nothing else."""
    if isinstance(part, str):
        return False
    used = _names_in(expression_of(part.value))
    return not used.isdisjoint({"head", "first"}) and used.isdisjoint({*_ARGUMENTS, "target"})


def _branches(part: str | Piece) -> tuple[ast.expr, Piece, Piece] | None:
    """Return a condition and the piece for either outcome, if the first says something of the request's fields only."""
    if isinstance(part, str):
        return None
    reading = expression_of(part.value)
    if not isinstance(reading, ast.IfExp):
        return None
    first, other = (
        replace(part, value=replace(part.value, source=ast.unparse(each))) for each in (reading.body, reading.orelse)
    )
    return (reading.test, first, other) if _is_of_fields(first) else None


def _gathered(parts: Iterable[str | Piece]) -> list[str | Piece]:
    """Return the parts with literal text moved into the words beside it, which are remembered with it."""
    apart: list[str | Piece] = []
    for part in parts:
        if isinstance(part, str) or part.value.optional:
            apart.append(part)
        else:
            apart += [part.before, replace(part, before="", after=""), part.after]
    gathered: list[str | Piece] = []
    before = ""  # literal text that nothing has taken yet
    for part in apart:
        last = gathered[-1] if gathered else ""
        if isinstance(part, str):
            if not before and not isinstance(last, str) and _is_remembered(last):
                gathered[-1] = replace(last, after=last.after + part)
            else:
                before += part
            continue
        if _is_remembered(part):
            gathered.append(replace(part, before=before))
        else:
            gathered += [before, part]
        before = ""
    return [*gathered, before]


def _is_remembered(piece: Piece) -> bool:
    return piece.value.kind in _FEW and not piece.value.optional


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
    if part.value.kind in _FEW:
        name = f"_words_{number}"
        names[name] = _Words(part)
        word = ast.Subscript(ast.Name(name, ast.Load()), reading, ast.Load())
        return [ast.FormattedValue(word, -1, None)]
    if part.value.kind is Kind.MILLISECONDS:
        names["_wholes"], names["_fractions"] = WHOLES, FRACTIONS
        return [ast.Constant(part.before), *_divided(reading, f"_us_{number}"), ast.Constant(part.after)]
    if part.writer is not None:
        name = f"_write_{number}"
        names[name] = part.writer
        reading = ast.Call(ast.Name(name, ast.Load()), [reading], [])
    spec = ast.JoinedStr([ast.Constant(part.spec)]) if part.spec else None
    return [ast.Constant(part.before), ast.FormattedValue(reading, -1, spec), ast.Constant(part.after)]


def _divided(seconds: ast.expr, local: str) -> list[ast.expr]:
    """Return what writes whole milliseconds, and what writes the rest with its point: faster than to format a float."""
    microseconds = ast.parse(f"({local} := int(seconds * 1e6 + 0.5))", mode="eval").body
    for node in ast.walk(microseconds):
        if isinstance(node, ast.BinOp) and isinstance(node.left, ast.Name):
            node.left = seconds
    whole = ast.Subscript(
        ast.Name("_wholes", ast.Load()), ast.BinOp(microseconds, ast.FloorDiv(), ast.Constant(1000)), ast.Load()
    )
    fraction = ast.parse(f"_fractions[{local} % 1000]", mode="eval").body
    return [ast.FormattedValue(each, -1, None) for each in (whole, fraction)]


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
    if len(joined) < _MANY:
        return ast.JoinedStr(joined)
    # Of many pieces CPython makes a list, one at a time, and formats each; a tuple is made at once of what is text.
    texts = [_as_text(each) for each in joined]
    return ast.Call(ast.Attribute(ast.Constant(""), "join", ast.Load()), [ast.Tuple(texts, ast.Load())], [])


def _as_text(piece: ast.expr) -> ast.expr:
    """Return a piece of an f-string as an expression of its own."""
    match piece:
        case ast.FormattedValue(
            value=ast.IfExp(body=ast.Constant(value=str()) | ast.Subscript(value=ast.Name(id="_kept"))) as text,
            format_spec=None,
        ):
            return text
        case ast.FormattedValue(value=ast.Subscript(value=ast.Name(id=name)) as text) if name.startswith(_TEXTS):
            return text
        case ast.FormattedValue():
            return ast.JoinedStr([piece])
    return piece
