"""Templates: ``{client_ip} {status} {header:user-agent}``; ``{{`` and ``}}`` are braces."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Placeholder:
    """A field's place in a template."""

    field: str


class TemplateError(ValueError):
    """A template that cannot be read."""


def parse_template(text: str) -> tuple[str | Placeholder, ...]:
    """Return the literal texts and placeholders of a template, in order.

    :raises TemplateError: a brace has no partner, or there is nothing between two.
    """
    parts: list[str | Placeholder] = []
    literal, position = "", 0
    while position < len(text):
        character = text[position]
        if text[position : position + 2] in {"{{", "}}"}:
            literal, position = literal + character, position + 2
        elif character == "}":
            raise TemplateError(f"'}}' at character {position + 1} closes nothing; write '}}}}' for a brace")
        elif character == "{":
            end = text.find("}", position)
            if end < 0:
                raise TemplateError(f"'{{' at character {position + 1} is not closed; write '{{{{' for a brace")
            name = text[position + 1 : end].strip()
            if not name:
                raise TemplateError(f"'{{}}' at character {position + 1} names no field; write '{{{{}}}}' for braces")
            parts += [literal, Placeholder(name)] if literal else [Placeholder(name)]
            literal, position = "", end + 1
        else:
            literal, position = literal + character, position + 1
    return (*parts, literal) if literal else tuple(parts)
