"""Ids for routes that were given none: readable, and the same after edits elsewhere in the document."""

from __future__ import annotations

from typing import Any

from gateway_core.config.document_view import mappings, text

_LONGEST = 180


def fill_route_ids(document: dict[str, Any]) -> None:
    """Give every route without an id one made from its methods and path; repetitions are numbered."""
    numbers: dict[str, int] = {}
    taken = {name for _, route in mappings(document, "routes") if (name := text(route, "id"))}
    for _, route in mappings(document, "routes"):
        if isinstance(route, dict) and route.get("id") is None:
            base = name = _from_path(route)
            while name in taken:
                numbers[base] = numbers.get(base, 1) + 1
                name = f"{base} #{numbers[base]}"
            taken.add(name)
            route["id"] = name


def _from_path(route: dict[str, Any]) -> str:
    methods = route.get("methods")
    words = [word for word in methods if isinstance(word, str)] if isinstance(methods, list) else []
    path = "route"
    for key, form in (("path", "{}"), ("path_prefix", "{}/**"), ("path_regex", "~{}")):
        if value := text(route, key):
            path = form.format(value.rstrip("/") if key == "path_prefix" else value)
            break
    name = f"{','.join(words)} {path}"
    printable = "".join("_" if character in "\"'" or not character.isprintable() else character for character in name)
    return printable.strip()[:_LONGEST].strip() or "route"
