"""Values with placeholders: ``{{ user.name }}`` stands for what a JMESPath expression finds in the body."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, Final

import jmespath
from jmespath.exceptions import JMESPathError
from jmespath.functions import Functions
from jmespath.visitor import Options, TreeInterpreter

from gateway_plugin_transform.budget import Budget

Make = Callable[[Any], Any]
_DEEPEST: Final = 64


class _Functions(Functions):  # type: ignore[misc]
    """The functions of JMESPath: each takes as many operations as its arguments have items."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget

    def call_function(self, function_name: str, resolved_args: Sequence[Any]) -> Any:
        self._budget.spend(sum([len(each) for each in resolved_args if isinstance(each, list | dict)]))
        return super().call_function(function_name, resolved_args)


class _Interpreter(TreeInterpreter):  # type: ignore[misc]
    """Evaluates expressions: each node of one takes an operation for each value that it is evaluated for."""

    def __init__(self, budget: Budget) -> None:
        super().__init__(Options(custom_functions=_Functions(budget)))
        self._spend = budget.spend

    def visit(self, node: Any, *args: Any, **kwargs: Any) -> Any:
        self._spend()
        return super().visit(node, *args, **kwargs)


def compile_expression(text: str, budget: Budget) -> Make:
    """Compile a JMESPath expression; evaluating it may raise `OverBudgetError`.

    :raises ValueError: it is none.
    """
    try:
        parsed = jmespath.compile(text).parsed
    except JMESPathError as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(f"{text[:80]!r} is no JMESPath expression: {reason[:200]}") from None
    visit = _Interpreter(budget).visit
    return lambda body: visit(parsed, body)


def compile_template(template: Any, budget: Budget, depth: int = 0) -> Make:
    """Compile a value whose texts may have placeholders. One that is all of a text keeps the type of what it finds.

    :raises ValueError: a placeholder has no JMESPath expression, or has no end.
    """
    if depth > _DEEPEST:
        raise ValueError(f"a template is nested more than {_DEEPEST} deep: make it flatter")
    if isinstance(template, dict):
        members = {name: compile_template(value, budget, depth + 1) for name, value in template.items()}
        return lambda body: {name: make(body) for name, make in members.items()}
    if isinstance(template, list):
        items = [compile_template(value, budget, depth + 1) for value in template]
        return lambda body: [make(body) for make in items]
    if isinstance(template, str) and "{{" in template:
        return _text(template, budget)
    return lambda _: template


def _text(template: str, budget: Budget) -> Make:
    first, *rest = template.split("{{")
    parts: list[str | Make] = [first]
    for piece in rest:
        expression, end, text = piece.partition("}}")
        if not end:
            raise ValueError(f"{template[:80]!r} has a placeholder without an end: write }}}} behind it")
        parts += [compile_expression(expression.strip(), budget), text]
    if len(parts) == 3 and not parts[0] and not parts[2] and not isinstance(parts[1], str):
        return parts[1]
    return lambda body: "".join([part if isinstance(part, str) else _shown(part(body)) for part in parts])


def _shown(value: Any) -> str:
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value, ensure_ascii=False)
