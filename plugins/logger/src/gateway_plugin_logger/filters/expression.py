"""Expressions over fields: ``status >= 500 or (duration_ms > 250 and not path.startswith('/api'))`` and the like.

The grammar is a part of Python's, read by Python's own parser; every node is checked against the few that are known and
rebuilt over the fields' values, with kinds checked when the configuration is read. What remains cannot fail: a value
that is not there is equal to nothing, less than nothing and in nothing.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from gateway_plugin_sdk import Record, Request, Response, SearchPattern, TextTooLongError

from gateway_plugin_logger.fields import LOOKUPS, FieldNameError, Kind, Value, find_value
from gateway_plugin_logger.fields.value import fresh_name
from gateway_plugin_logger.filters import functions
from gateway_plugin_logger.formats.compiler import compile_expression, expression_of

Predicate = Callable[[Request, Response, Record], bool]

_LONGEST: Final = 4096
_CONSTANTS: Final[dict[str, Any]] = {"true": True, "false": False, "null": None}
_NOT_ASKED: Final = frozenset({"request_body", "response_body", "plugin_times"})
"""Fields that exist only where a line names them."""
_ORDER: Final[dict[type[ast.cmpop], Callable[[Any, Any], bool]]] = {
    ast.Lt: functions.less,
    ast.LtE: functions.at_most,
    ast.Gt: functions.more,
    ast.GtE: functions.at_least,
}


class ExpressionError(ValueError):
    """An expression that cannot be read; the message says where."""


class Type(Enum):
    """What an expression gives."""

    TEXT = "text"
    NUMBER = "a number"
    TRUTH = "true or false"
    ANY = "anything"
    NOTHING = "null"
    LIST = "a list"


@dataclass(frozen=True, slots=True)
class Typed:
    """A checked part of an expression."""

    tree: ast.expr
    type: Type
    optional: bool = False


def compile_predicate(text: str, *, undecided: bool) -> Predicate:
    """Return a function that says whether an expression holds for a request.

    :param undecided: what it says where a text is too long for a regular expression. There is no request any more that
        could be refused.
    :raises ExpressionError: the expression cannot be read, or compares what cannot be compared.
    """
    if len(text) > _LONGEST:
        raise ExpressionError(f"the expression has {len(text)} characters; the most is {_LONGEST}")
    try:
        tree = ast.parse(text.strip(), mode="eval").body
        builder = _Builder()
        truth = builder.truth(tree)
        call = ast.Call(ast.Name("bool", ast.Load()), [truth], [])
        predicate: Predicate = compile_expression(call, builder.names)
    except SyntaxError as error:
        raise ExpressionError(f"{text!r} is no expression: {error.msg} (character {error.offset})") from None
    except (RecursionError, MemoryError):
        raise ExpressionError("the expression is nested too deeply") from None
    return _decided(predicate, undecided) if "matches" in text else predicate


def patterns_in(text: str) -> list[SearchPattern]:
    """Return the regular expressions of an expression that `compile_predicate` takes."""
    calls = [node for node in ast.walk(ast.parse(text.strip(), mode="eval")) if isinstance(node, ast.Call)]
    return [
        SearchPattern.compile(argument.value)
        for call in calls
        if isinstance(call.func, ast.Name) and call.func.id == "matches"
        for argument in call.args[1:]
        if isinstance(argument, ast.Constant) and isinstance(argument.value, str)
    ]


def _decided(predicate: Predicate, undecided: bool) -> Predicate:
    def decided(request: Request, response: Response, record: Record) -> bool:
        try:
            return predicate(request, response, record)
        except TextTooLongError:
            return undecided

    return decided


def _refuse(node: ast.AST, why: str) -> ExpressionError:
    return ExpressionError(f"{why} (character {getattr(node, 'col_offset', 0) + 1})")


class _Builder:
    """Rebuilds a parsed expression over the values of fields."""

    def __init__(self) -> None:
        self.names: dict[str, Any] = {}

    def truth(self, node: ast.expr) -> ast.expr:
        """Return what says whether a part holds; a text or a claim holds if it is there and not empty."""
        part = self.part(node)
        if part.type is Type.NUMBER:
            raise _refuse(node, f"{ast.unparse(node)} is a number: compare it, as in {ast.unparse(node)} > 0")
        return part.tree

    def part(self, node: ast.expr) -> Typed:
        """Return a checked part."""
        match node:
            case ast.BoolOp(op, values):
                return Typed(ast.BoolOp(op, [self.truth(value) for value in values]), Type.TRUTH)
            case ast.UnaryOp(ast.Not() as op, operand):
                return Typed(ast.UnaryOp(op, self.truth(operand)), Type.TRUTH)
            case ast.UnaryOp(ast.USub() as op, ast.Constant(value=int() | float()) as number):
                return Typed(ast.UnaryOp(op, number), Type.NUMBER)
            case ast.Compare():
                return self._comparison(node)
            case ast.Name(name):
                return _constant(node, _CONSTANTS[name]) if name in _CONSTANTS else self._field(node, name)
            case ast.Constant(value):
                return _constant(node, value)
            case ast.Tuple(elts) | ast.List(elts) | ast.Set(elts):
                return Typed(ast.Tuple([self._item(item) for item in elts], ast.Load()), Type.LIST)
            case ast.Call(func=ast.Name(name), args=args, keywords=[]):
                return self._call(node, name, args)
        raise _refuse(node, f"{ast.unparse(node)!r} is not understood: use fields, constants, comparisons and logic")

    def _item(self, node: ast.expr) -> ast.expr:
        item = self.part(node)
        if not isinstance(item.tree, ast.Constant | ast.UnaryOp):
            raise _refuse(node, f"{ast.unparse(node)!r} in a list is not a constant")
        return item.tree

    def _field(self, node: ast.expr, name: str) -> Typed:
        if name in _NOT_ASKED:
            raise _refuse(node, f"{name!r} is for lines only, not for expressions")
        try:
            return self._typed(find_value(name))
        except FieldNameError as error:
            raise _refuse(node, str(error)) from None

    def _typed(self, value: Value) -> Typed:
        if value.kind is Kind.MILLISECONDS:
            value = value.through(_milliseconds, kind=Kind.NUMBER)
        self.names.update(value.names)
        kind = Type.TEXT if value.kind.is_text else Type.NUMBER if value.kind.is_number else Type.ANY
        return Typed(expression_of(value), kind, value.optional)

    def _bound(self, function: Callable[..., Any], *arguments: ast.expr) -> ast.expr:
        name = fresh_name("function")
        self.names[name] = function
        return ast.Call(ast.Name(name, ast.Load()), list(arguments), [])

    def _comparison(self, node: ast.Compare) -> Typed:
        """Return ``a < b < c`` as ``a < b and b < c``: fields do not change between."""
        sides = [node.left, *node.comparators]
        pairs = [self._pair(node, *pair) for pair in zip(node.ops, sides, sides[1:], strict=False)]
        return Typed(pairs[0] if len(pairs) == 1 else ast.BoolOp(ast.And(), pairs), Type.TRUTH)

    def _pair(self, node: ast.expr, op: ast.cmpop, left_node: ast.expr, right_node: ast.expr) -> ast.expr:
        left, right = self.part(left_node), self.part(right_node)
        match op:
            case ast.Eq() | ast.NotEq():
                self._check_alike(node, left, right)
                return ast.Compare(left.tree, [op], [right.tree])
            case ast.In() | ast.NotIn():
                found = self._membership(node, left, right)
                return found if isinstance(op, ast.In) else ast.UnaryOp(ast.Not(), found)
            case ast.Lt() | ast.LtE() | ast.Gt() | ast.GtE():
                self._check_ordered(node, left, right)
                if left.optional or right.optional or Type.ANY in {left.type, right.type}:
                    return self._bound(_ORDER[type(op)], left.tree, right.tree)
                return ast.Compare(left.tree, [op], [right.tree])
        raise _refuse(node, f"{ast.unparse(node)!r} is not understood: compare with ==, !=, <, <=, >, >=, in, not in")

    def _membership(self, node: ast.expr, left: Typed, right: Typed) -> ast.expr:
        if right.type is Type.LIST:
            return ast.Compare(left.tree, [ast.In()], [right.tree])
        if right.type is Type.ANY or (right.type is Type.TEXT and left.type in {Type.TEXT, Type.ANY}):
            return self._bound(functions.contains, right.tree, left.tree)
        raise _refuse(node, f"{ast.unparse(node)!r}: after 'in' comes a list, or a text that the text may be in")

    @staticmethod
    def _check_alike(node: ast.expr, left: Typed, right: Typed) -> None:
        types = {left.type, right.type} - {Type.ANY, Type.NOTHING}
        if len(types) > 1 or Type.LIST in types:
            raise _refuse(node, f"{ast.unparse(node)!r} compares {left.type.value} with {right.type.value}")

    @staticmethod
    def _check_ordered(node: ast.expr, left: Typed, right: Typed) -> None:
        if not {left.type, right.type} <= {Type.NUMBER, Type.ANY}:
            raise _refuse(node, f"{ast.unparse(node)!r} orders {left.type.value} and {right.type.value}: numbers only")

    def _call(self, node: ast.expr, name: str, arguments: list[ast.expr]) -> Typed:
        if name in LOOKUPS:
            texts = self._texts(node, arguments, f"{name}('x-tenant')")
            if len(texts) != 1:
                raise _refuse(node, f"{name} takes one name, as in {name}('x-tenant')")
            return self._field(node, f"{name}:{texts[0]}")
        function = functions.FUNCTIONS.get(name)
        if function is None:
            known = ", ".join([*LOOKUPS, *functions.FUNCTIONS])
            raise _refuse(node, f"{name!r} is no function; the functions are {known}")
        if not arguments:
            raise _refuse(node, f"{name} takes a field first, as in {function.example}")
        subject = self.part(arguments[0])
        if subject.type not in {Type.TEXT, Type.ANY}:
            raise _refuse(node, f"{name} takes text, and {ast.unparse(arguments[0])} is {subject.type.value}")
        texts = self._texts(node, arguments[1:], function.example)
        try:
            bound = function.make(*texts)
        except (TypeError, ValueError) as error:
            raise _refuse(node, f"{name}: {error}; write it as in {function.example}") from None
        return Typed(self._bound(bound, subject.tree), function.gives_type(Type), subject.optional)

    @staticmethod
    def _texts(node: ast.expr, arguments: list[ast.expr], example: str) -> list[str]:
        texts = [a.value for a in arguments if isinstance(a, ast.Constant) and isinstance(a.value, str)]
        if len(texts) != len(arguments):
            raise _refuse(node, f"{ast.unparse(node)!r} takes quoted texts, as in {example}")
        return texts


def _milliseconds(seconds: float) -> float:
    """Return what the line says: a comparison with a number that somebody read there must hold."""
    return round(seconds * 1000, 3)


def _constant(node: ast.expr, value: Any) -> Typed:
    match value:
        case None:
            return Typed(ast.Constant(None), Type.NOTHING)
        case bool():
            return Typed(ast.Constant(value), Type.TRUTH)
        case int() | float():
            return Typed(ast.Constant(value), Type.NUMBER)
        case str():
            return Typed(ast.Constant(value), Type.TEXT)
    raise _refuse(node, f"{ast.unparse(node)!r} is not understood: constants are texts, numbers, true, false and null")
