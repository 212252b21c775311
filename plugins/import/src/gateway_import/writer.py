"""Writes an imported configuration: each entry with where it comes from, and at the end what was lost."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from gateway_import.model import CONDITIONS, Binding, EnvVariable, Finding, Imported, Listener, Route, Upstream
from gateway_import.yaml_text import as_item, comment, entry

FORBIDDEN: Final = 403


def to_yaml(imported: Imported) -> str:
    """Return the document, which `gateway check` accepts."""
    body = _list("listen", (_listener(each) for each in imported.listeners))
    for key, value in imported.document.items():
        body += ["", *entry(key, value, 0)]
    body += _list("plugins", (_binding(each, 1) for each in imported.plugins))
    body += _list("upstreams", (_upstream(each) for each in imported.upstreams))
    body += _list("routes", (_route(each) for each in imported.routes)) or ["", "routes: []"]
    # A closed route needs none of the secrets that its plugins had.
    text = "\n".join(body)
    head = [
        *comment(f"Imported from {imported.file} ({imported.title}) by gateway import."),
        *(line for each in imported.comments for line in comment(each)),
        *_findings(imported.findings),
        *_variables([each for each in imported.variables if f"${{{each.name}}}" in text]),
    ]
    return "\n".join([*head, *body]) + "\n"


def _list(key: str, blocks: Iterable[list[str]]) -> list[str]:
    lines = [line for block in blocks for line in block]
    return ["", f"{key}:", *lines] if lines else []


def _findings(findings: list[Finding]) -> list[str]:
    lines: list[str] = []
    for title, found in (
        ("Not carried over", [each for each in findings if each.is_lost]),
        ("Works in another way", [each for each in findings if not each.is_lost]),
    ):
        if found:
            lines += ["#", *comment(f"{title}:"), *(line for each in found for line in comment(f"- {each}"))]
    return lines


def _variables(variables: list[EnvVariable]) -> list[str]:
    if not variables:
        return []
    texts = (f"- {each.name}: {each.what} ({each.origin})" for each in variables)
    return [
        "#",
        *comment("Variables of the environment that must be set:"),
        *(line for each in texts for line in comment(each)),
    ]


def _block(keys: dict[str, Any], comments: Iterable[str], indent: int, more: Iterable[str] = ()) -> list[str]:
    """Return an item of a list: comments, its keys, and lines that are indented already."""
    above = [line for text in comments for line in comment(text, indent)]
    lines = [line for key, value in keys.items() for line in entry(key, value, indent + 1)]
    return [*above, *as_item([*lines, *more], indent)]


def _listener(listener: Listener) -> list[str]:
    return _block(listener.keys, [str(listener.origin), *listener.comments], 1)


def _upstream(upstream: Upstream) -> list[str]:
    return _block({"name": upstream.name, **upstream.keys}, [str(upstream.origin), *upstream.comments], 1)


def _binding(binding: Binding, indent: int) -> list[str]:
    keys: dict[str, Any] = {"name": binding.name}
    if binding.id is not None:
        keys["id"] = binding.id
    keys |= binding.keys
    if binding.config:
        keys["config"] = binding.config
    return _block(keys, [str(binding.origin), *binding.comments], indent)


def _route(route: Route) -> list[str]:
    comments = [str(route.origin), *route.comments]
    if route.is_closed:
        comments += [f"closed: {finding}" for finding in route.closed_by]
        kept = {key: value for key, value in route.keys.items() if key in CONDITIONS}
        return _block({"id": route.id, **kept, "respond": {"status": FORBIDDEN}}, comments, 1)
    more = [line for binding in route.plugins for line in _binding(binding, 3)]
    return _block({"id": route.id, **route.keys}, comments, 1, ["    plugins:", *more] if more else ())
