"""Puts the values of a line together to one function.

The result is what somebody in a hurry would have written by hand: one f-string. It is built as a syntax tree, not as
text, so nothing that a configuration says (names of fields, literal text of a template) can become code: such texts are
constants of the tree.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

from gateway_plugin_sdk import Record, Request, Response

from gateway_plugin_logger.fields import Value

Renderer = Callable[[Request, Response, Record], str]

_ARGUMENTS: Final = ("request", "response", "record")
_PRELUDE: Final = "head = request.headers; block = head.block; lowered = head.lowered"


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


def compile_line(parts: Iterable[str | Piece]) -> Renderer:
    """Return a function that writes the parts one after the other; a part is literal text or a piece."""
    names: dict[str, Any] = {}
    body = ast.JoinedStr([_part(part, number, names) for number, part in enumerate(parts)])
    return cast("Renderer", compile_expression(body, names))


def compile_expression(body: ast.expr, names: dict[str, Any]) -> Callable[[Request, Response, Record], Any]:
    """Return a function of request, response and record that gives the value of an expression."""
    arguments = ast.arguments([], [ast.arg(name) for name in _ARGUMENTS], None, [], [], None, [])
    used = {node.id for node in ast.walk(body) if isinstance(node, ast.Name)}
    prelude = ast.parse(_PRELUDE).body if used & {"block", "lowered"} else []
    function = ast.FunctionDef("evaluate", arguments, [*prelude, ast.Return(body)], [], None)
    function.type_params = []  # type: ignore[attr-defined,unused-ignore]  # Python 3.12 and later ask for it
    module = ast.fix_missing_locations(ast.Module([function], []))
    scope = dict(names)
    exec(compile(module, "<gateway_plugin_logger>", "exec"), scope)  # noqa: S102 - a tree of our own making, see above
    return cast("Callable[[Request, Response, Record], Any]", scope["evaluate"])


def expression_of(value: Value) -> ast.expr:
    """Return the syntax tree that reads a value."""
    return ast.parse(value.source, mode="eval").body


def _part(part: str | Piece, number: int, names: dict[str, Any]) -> ast.expr:
    if isinstance(part, str):
        return ast.Constant(part)
    names.update(part.value.names)
    reading = expression_of(part.value)
    if not part.value.optional:
        return _joined(part, _written(part, reading, number, names))
    local = f"_value_{number}"
    test = ast.Compare(ast.NamedExpr(ast.Name(local, ast.Store()), reading), [ast.Is()], [ast.Constant(None)])
    present = _joined(part, _written(part, ast.Name(local, ast.Load()), number, names))
    return ast.FormattedValue(ast.IfExp(test, ast.Constant(part.missing), present), -1, None)


def _written(part: Piece, reading: ast.expr, number: int, names: dict[str, Any]) -> ast.expr:
    if part.writer is not None:
        name = f"_write_{number}"
        names[name] = part.writer
        reading = ast.Call(ast.Name(name, ast.Load()), [reading], [])
    return ast.FormattedValue(reading, -1, ast.JoinedStr([ast.Constant(part.spec)]) if part.spec else None)


def _joined(part: Piece, written: ast.expr) -> ast.expr:
    if not (part.before or part.after):
        return (
            written if isinstance(written, ast.FormattedValue) and not part.value.optional else ast.JoinedStr([written])
        )
    texts: Sequence[ast.expr] = [ast.Constant(part.before), written, ast.Constant(part.after)]
    joined = ast.JoinedStr([text for text in texts if not (isinstance(text, ast.Constant) and not text.value)])
    return joined if part.value.optional else ast.FormattedValue(joined, -1, None)
