"""Values with placeholders: ``{{ user.name }}`` stands for what a JMESPath expression finds in the body."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

import jmespath
from jmespath.exceptions import JMESPathError

Make = Callable[[Any], Any]
_DEEPEST: Final = 64


def compile_expression(text: str) -> Make:
    """Compile a JMESPath expression.

    :raises ValueError: it is none.
    """
    try:
        found = jmespath.compile(text)
    except JMESPathError as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(f"{text[:80]!r} is no JMESPath expression: {reason[:200]}") from None
    search: Make = found.search
    return search


def compile_template(template: Any, depth: int = 0) -> Make:
    """Compile a value whose texts may have placeholders. One that is all of a text keeps the type of what it finds.

    :raises ValueError: a placeholder has no JMESPath expression, or has no end.
    """
    if depth > _DEEPEST:
        raise ValueError(f"a template is nested more than {_DEEPEST} deep: make it flatter")
    if isinstance(template, dict):
        members = {name: compile_template(value, depth + 1) for name, value in template.items()}
        return lambda body: {name: make(body) for name, make in members.items()}
    if isinstance(template, list):
        items = [compile_template(value, depth + 1) for value in template]
        return lambda body: [make(body) for make in items]
    if isinstance(template, str) and "{{" in template:
        return _text(template)
    return lambda _: template


def _text(template: str) -> Make:
    first, *rest = template.split("{{")
    parts: list[str | Make] = [first]
    for piece in rest:
        expression, end, text = piece.partition("}}")
        if not end:
            raise ValueError(f"{template[:80]!r} has a placeholder without an end: write }}}} behind it")
        parts += [compile_expression(expression.strip()), text]
    if len(parts) == 3 and not parts[0] and not parts[2] and not isinstance(parts[1], str):
        return parts[1]
    return lambda body: "".join([part if isinstance(part, str) else _shown(part(body)) for part in parts])


def _shown(value: Any) -> str:
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value, ensure_ascii=False)
