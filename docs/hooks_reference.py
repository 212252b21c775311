"""Writes ``hooks.md`` from the hookspecs and from what hooks are given.

Run it after a change of one of them: ``python docs/hooks_reference.py``. A test compares.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent
from typing import Final

from gateway_core import hookspecs
from gateway_core.hooks import Plugin, PluginContext
from gateway_core.hooks.process_hooks import ProcessHooks
from gateway_core.hookspecs import REQUEST_PHASES, RequestHooks
from gateway_core.messages import (
    Attempt,
    BodyFilter,
    EarlyHead,
    EarlyPass,
    FieldBlock,
    FieldNames,
    FieldTemplate,
    Headers,
    Identity,
    ReceivedHead,
    Record,
    Request,
    Response,
    RouteInfo,
    TlsInfo,
    UpstreamAttempt,
)

PAGE: Final = Path(__file__).with_name("hooks.md")

INTRODUCTION: Final = """\
# Hooks

Every hook, made from `gateway_core/hookspecs.py` (`python docs/hooks_reference.py`). How to write a plugin is in the
[tutorial](tutorial.md), ready pieces are in the [cookbook](cookbook.md).
"""

ORDER: Final = """\
| phase | runs for | order | may respond | a response stops |
|---|---|---|---|---|
| `gateway_request` | gateway-wide bindings | as below | yes | the phase; the response phase runs |
| `gateway_route_match` | gateway-wide bindings and the route's | as below | yes, or the id of a route | the same |
| `gateway_pre_proxy` | the same, and the target's | as below | yes | the same |
| `gateway_attempt` | the same, and the upstream's | targets' and upstreams' last | no | |
| `gateway_response` | those whose earlier phases ran | reversed | yes, in the response's place | nothing |
| `gateway_log` | all | as below | no | |

## Order

Within each phase: gateway-wide bindings with `order: before` (the default), the route's own, those of the target that
is set when their turn comes, gateway-wide ones with `order: after`; within each as the configuration lists them. A
route's binding that replaces a gateway-wide one takes that one's place. The response phase runs in reverse, for
bindings whose earlier phases ran; a plugin with `responses = "all"` sees every response of its chain: also those to
refused heads (gateway-wide bindings), redirects and the gateway's own. After a hook has chosen another route, that
route's own route-match hooks run, and behind them the gateway-wide ones that have not run; the old route's bindings
take no part in what follows.

What a hook returns is copied before anything else is done with it: a plugin may return one `Response` many times.

## Failures

A hook that raises, or takes longer than its binding's `timeout`, is counted and logged; whether the request gets a
500 or goes on is the binding's `on_error`, for which the plugin has a default. A plain `def` cannot be interrupted:
what may take long is an `async def`, or is marked `@hookimpl_blocking` and runs in a thread. The `timeout` stands
still while a hook waits for the client's body or for a forwarded response.

What a client does (it leaves, stalls, sends a body over a limit or a bad path) is never a binding's failure. An
`UpstreamError` that a hook lets pass follows `on_error` with its own 502, 503 or 504, and is no reason for
quarantine.

## Context variables

Each exchange has one `contextvars.Context`. All its hooks, filters and iterators run in it: what one sets, the later
ones see, and no other request does. Blocking hooks run in a copy.
"""

PROCESS: Final = """\
## Hooks of the process

An extension implements them: a module under the same group of entry points, or a plugin class, where they are static
methods.
"""

GIVEN: Final = (
    Request,
    ReceivedHead,
    EarlyHead,
    EarlyPass,
    Response,
    UpstreamAttempt,
    Headers,
    FieldNames,
    FieldBlock,
    FieldTemplate,
    Record,
    Attempt,
    RouteInfo,
    TlsInfo,
    Identity,
    BodyFilter,
    Plugin,
    PluginContext,
)
"""What a plugin's code meets, in the order of the page."""

_FIELD: Final = re.compile(r"^:(?:param (\w+)|(returns|raises)(?: \w+)?):\s*", re.MULTILINE)


def page() -> str:
    """Return the whole page."""
    introduction = "\n\n".join((hookspecs.__doc__ or "").strip().split("\n\n")[1:])
    parts = [INTRODUCTION, f"{code(introduction)}\n", ORDER, "## Hooks of a request\n"]
    parts += [hook(RequestHooks, name) for name in REQUEST_PHASES]
    parts.append(
        "## Hooks of the process\n\nAn extension implements them: a module under the same group of entry points, or"
    )
    parts[-1] += " a plugin class, where they are\nstatic methods.\n"
    parts += [hook(ProcessHooks, name) for name in vars(ProcessHooks) if name.startswith("gateway_")]
    parts.append("## What hooks are given\n")
    parts += [members(each) for each in GIVEN]
    return "\n".join(parts)


def hook(owner: type, name: str) -> str:
    """Return the section of one hook."""
    function = getattr(owner, name)
    signature = re.sub(r"^\(self(, )?", "(", str(inspect.signature(function))).replace("'", "")
    said, fields = split(inspect.getdoc(function) or "")
    rows = [f"- {title}: {text}" for title, text in fields]
    return "\n".join([f"### {name}\n", f"`{name}{signature}`\n", said, "", *rows, ""])


def split(doc: str) -> tuple[str, list[tuple[str, str]]]:
    """Split a docstring into its text and its fields."""
    found = list(_FIELD.finditer(doc))
    if not found:
        return code(doc), []
    ends = [*(each.start() for each in found[1:]), len(doc)]
    fields = [
        (f"`{each[1]}`" if each[1] else f"*{each[2]}*", code(" ".join(doc[each.end() : end].split())))
        for each, end in zip(found, ends, strict=True)
    ]
    return code(doc[: found[0].start()].strip()), fields


def code(text: str) -> str:
    """Return a docstring's text as Markdown: one way to mark code."""
    return text.replace("``", "`")


def members(owner: type) -> str:
    """Return the section of a class: its attributes and methods with what is said of them."""
    tree = ast.parse(dedent(inspect.getsource(owner))).body[0]
    assert isinstance(tree, ast.ClassDef)
    said, _ = split(inspect.getdoc(owner) or "")
    rows = [f"- `{name}`{': ' if text else ''}{text}" for name, text in _members(tree)]
    return "\n".join([f"### {owner.__name__}\n", said, "", *rows, ""])


def _members(tree: ast.ClassDef) -> Iterator[tuple[str, str]]:
    yield from _attributes(tree.body, "")
    for node in tree.body:
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if node.name == "__init__":
            yield from _attributes(node.body, "self.")
        elif not node.name.startswith("_") and not _is_overload(node):
            said, _ = split(ast.get_docstring(node) or "")
            yield _signature(node), " ".join(said.split())


def _is_overload(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    return any(isinstance(each, ast.Name) and each.id == "overload" for each in node.decorator_list)


def _signature(node: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    decorators = {each.id for each in node.decorator_list if isinstance(each, ast.Name)}
    returns = ast.unparse(node.returns) if node.returns is not None else ""
    if decorators & {"property", "cached_property", "overridable_property"}:
        return f"{node.name}: {returns}"
    arguments = re.sub(r"^(self|cls)(, )?", "", ast.unparse(node.args))
    word = "async " if isinstance(node, ast.AsyncFunctionDef) else ""
    return f"{word}{node.name}({arguments}) -> {returns}"


def _attributes(body: list[ast.stmt], prefix: str) -> Iterator[tuple[str, str]]:
    """Yield attributes that are assigned in a body, with the string that follows each."""
    for node, after in zip(body, [*body[1:], None], strict=True):
        match node:
            case ast.AnnAssign(target=target, annotation=annotation):
                name, kind = ast.unparse(target), ast.unparse(annotation)
            case ast.Assign(targets=[target]):
                name, kind = ast.unparse(target), ""
            case _:
                continue
        if not name.startswith(prefix) or name.removeprefix(prefix).startswith("_"):
            continue
        match after:
            case ast.Expr(value=ast.Constant(value=str(text))):
                said = code(" ".join(text.split()))
            case _:
                said = ""
        shown = name.removeprefix(prefix)
        yield (f"{shown}: {kind}" if kind and not kind.startswith("ClassVar") else shown), said


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
