"""Secrets where no one expects any: in conditions of routes, queries and texts of findings."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import pairwise
from typing import Any, Final
from urllib.parse import urlsplit

from gateway_import.failures import Origin
from gateway_import.model import EnvReference, Imported, keeps_secret, looks_secret, without_credentials

HIDDEN: Final = "***"
_FIELDS: Final = ("headers", "cookies", "query")
_SEPARATORS: Final = re.compile(r"[?&\s]")
_VARIABLE: Final = re.compile(r"\$(?:\w+|\{\w+\})")
_LITERAL: Final = re.compile(r"[A-Za-z0-9+=_-]{8,}")


def hidden_conditions(imported: Imported, keys: dict[str, Any], origin: Origin) -> dict[str, Any] | None:
    """Return conditions of a route with a variable in the place of each value that may be a secret.

    None if an expression holds one: what stands in a variable would be another text than the file's.
    """
    made = dict(keys)
    for key in _FIELDS:
        for name, condition in keys.get(key, {}).items():
            found = _hidden(imported, name, condition, origin)
            if found is None:
                return None
            if found is not condition:
                made[key] = {**made[key], name: found}
    return made


def _hidden(imported: Imported, name: str, condition: Any, origin: Origin) -> Any:
    def value(text: str) -> str | EnvReference:
        if not text or not keeps_secret(name, text):
            return text
        return imported.secret(f"value of {name}", f"value of {name} in a condition", origin)

    if isinstance(condition, str):
        return value(condition)
    if not isinstance(condition, dict):
        return condition
    pattern = condition.get("regex")
    if isinstance(pattern, str) and holds_secret(name, pattern):
        return None
    lists = {key: [value(each) for each in condition[key]] for key in ("one_of", "none_of") if key in condition}
    return {**condition, **lists} if lists else condition


def holds_secret(name: str, pattern: str) -> bool:
    """Whether an expression for a field has a value in it that may be a secret."""
    texts = _LITERAL.findall(pattern)
    return any(looks_secret(each) for each in texts) or (keeps_secret(name) and any(map(_is_mixed, texts)))


def _is_mixed(text: str) -> bool:
    return any(each.isdigit() for each in text) and any(each.isalpha() for each in text)


def query_value(imported: Imported, name: str, value: str, origin: Origin) -> str | EnvReference:
    """Return the value of a parameter, as a variable if it may be a secret."""
    is_parameter = "{" in value or value.startswith(":")
    if value and not is_parameter and keeps_secret(name, value):
        return imported.secret(f"query {name}", f"value of the parameter {name}", origin)
    return value


def path_with_query(imported: Imported, text: str, origin: Origin) -> str | EnvReference:
    """Return a path and its query, with a variable in the place of the first secret in it.

    :raises ValueError: there are several.
    """
    found = [each for each in _parameters(text) if keeps_secret(each[0], text[each[1] : each[2]])]
    if not found:
        return text
    if len(found) > 1:
        raise ValueError("has several secrets in its query")
    ((name, begin, end),) = found
    variable = imported.secret(f"query {name}", f"value of the parameter {name}", origin)
    return EnvReference(variable.name, text[:begin], text[end:])


def _parameters(text: str) -> list[tuple[str, int, int]]:
    """Return the parameters of queries in a text: name, and where the value begins and ends."""
    marks = [*(found.start() for found in _SEPARATORS.finditer(text)), len(text)]
    made = []
    for begin, end in pairwise(marks):
        name, equals, value = text[begin + 1 : end].partition("=")
        if text[begin] in "?&" and equals and value:
            made.append((name, end - len(value), end))
    return made


def shown(text: str) -> str:
    """Return a text for people, without what may be a secret of a URL in it."""
    text = without_credentials(text)
    for name, begin, end in reversed(_parameters(text)):
        if keeps_secret(name, text[begin:end]):
            text = f"{text[:begin]}{HIDDEN}{text[end:]}"
    return text


def shown_values(names: Iterable[str], value: str) -> str:
    """Return a value that belongs to one of some names."""
    if _VARIABLE.fullmatch(value) or not any(map(str.isalnum, value)):
        return value
    is_secret = any(map(keeps_secret, names)) or any(map(looks_secret, _LITERAL.findall(value)))
    return HIDDEN if is_secret else shown(value)


def without_secrets(url: str) -> str:
    """Return a URL without user, password and query, as findings show it."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return without_credentials(url).partition("?")[0]
    return without_credentials(parts._replace(query="", fragment="").geturl())
