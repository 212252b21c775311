"""The directives of a file and of what it includes, each with its place, and which of them hold in a block."""

from __future__ import annotations

import contextlib
import re
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import crossplane

from gateway_import.failures import CannotImportError, Origin
from gateway_import.files import Files, SourceText
from gateway_import.hiding import shown_values

DEEPEST: Final = 60
_DEFINING: Final = frozenset({"set", "map", "geo", "split_clients", "auth_request_set", "perl_set", "js_set"})
_OF_TEMPLATE: Final = re.compile(r"\$\{([A-Z][A-Z0-9_]*)\}")
_WITH_VALUES: Final = frozenset(
    {"if", "set", "proxy_set_header", "grpc_set_header", "add_header", "proxy_cookie_flags"}
)
"""Directives of which an argument names what the following ones are values of."""
_TABLES: Final = frozenset({"mime.types", "fastcgi_params", "fastcgi.conf", "uwsgi_params", "scgi_params"})
"""Files of nginx's own that say nothing about who may do what; they are read if they are below the first file."""


@dataclass(frozen=True, slots=True)
class Directive:
    """One directive."""

    name: str
    args: tuple[str, ...]
    origin: Origin
    block: tuple[Directive, ...] | None = None

    def __str__(self) -> str:
        """Return the directive as findings show it: without values that may be secrets."""
        named = self.args if self.name in _WITH_VALUES else ()
        shown = (shown_values(named[:number], each) for number, each in enumerate(self.args))
        return " ".join((self.name, *shown))

    @property
    def value(self) -> str:
        """The first argument."""
        return self.args[0] if self.args else ""

    @property
    def is_off(self) -> bool:
        return self.value == "off"

    def inside(self) -> tuple[Directive, ...]:
        """Return the directives of its block."""
        return self.block or ()


def read_directives(source: SourceText, files: Files) -> list[Directive]:
    """Parse a file, and put what it includes in the place of ``include``.

    :raises CannotImportError: a file is broken, too deep, or not below the first one.
    """
    with tempfile.NamedTemporaryFile("w", suffix=".conf", encoding="utf-8", newline="") as copy:
        copy.write(source.text)
        copy.flush()
        _refuse_shape(copy.name, source)
        # The parser gets one file, whose text was read and bounded before; includes are followed here.
        parsed = crossplane.parse(copy.name, single=True, check_ctx=False, check_args=False)
    config = parsed["config"][0]
    for error in config["errors"]:
        text = str(error["error"]).partition(" in ")[0] or "it ends within a directive"
        raise CannotImportError(Origin(source.name, error["line"] or 0), f"is no configuration of nginx: {text}")
    found = list(_converted(config["parsed"], source, files))
    if source.depth == 0:
        _refuse_templates(found)
    return found


def _refuse_shape(path: str, source: SourceText) -> None:
    """Refuse what is nested too deep, which the parser names no line of, and directives without an end."""
    depth, before = 0, ";"
    with contextlib.suppress(crossplane.errors.NgxParserBaseException):  # the parser finds the same, and says more
        for part, line, is_quoted in crossplane.lex(path):
            if not is_quoted and part in {"{", "}"}:
                depth += 1 if part == "{" else -1
            if depth > DEEPEST:
                raise CannotImportError(Origin(source.name, line), f"is nested more than {DEEPEST} levels deep")
            if part == "}" and not is_quoted and before not in {"{", "}", ";"}:
                # The parser takes the end of a block for the end of the directive in it, which nginx does not.
                message = "is no configuration of nginx: a directive ends without `;` before `}`"
                raise CannotImportError(Origin(source.name, line), message)
            if is_quoted or not part.startswith("#"):
                before = "" if is_quoted else part


def _refuse_templates(directives: list[Directive]) -> None:
    """Refuse what ``envsubst`` was to make a configuration of: names of paths, hosts and ports would be others."""
    every = list(_every(directives))
    known = {arg.lstrip("$") for each in every if each.name in _DEFINING for arg in each.args}
    for each in every:
        for arg in each.args if each.name not in {"log_format", "if", "set", "map"} else ():
            name = next((one for one in _OF_TEMPLATE.findall(arg) if one not in known), None)
            if name is not None:
                message = f"has ${{{name}}}, which is no variable of nginx: import what envsubst makes of the template"
                raise CannotImportError(each.origin, message)


def _every(directives: Iterable[Directive]) -> Iterator[Directive]:
    for each in directives:
        yield each
        yield from _every(each.inside())


def _converted(items: Iterable[dict[str, Any]], source: SourceText, files: Files) -> Iterator[Directive]:
    for item in items:
        origin = Origin(source.name, item["line"])
        args = tuple(item["args"])
        if item["directive"] == "include" and args:
            yield from _included(args[0], origin, source, files)
            continue
        block = item.get("block")
        inner = None if block is None else tuple(_converted(block, source, files))
        yield Directive(item["directive"], args, origin, inner)


def _included(pattern: str, origin: Origin, source: SourceText, files: Files) -> Iterator[Directive]:
    try:
        for found in files.include(pattern, origin, source):
            yield from read_directives(found, files)
    except CannotImportError as error:
        if Path(pattern).name not in _TABLES or error.origin != origin:
            raise


class Context:
    """The directives of a block with those of the blocks around it, which hold where the block has none of a name."""

    def __init__(self, directives: Iterable[Directive], parent: Context | None = None) -> None:
        self.directives = tuple(directives)
        self.parent = parent

    def own(self, name: str) -> list[Directive]:
        """Return the block's own directives of a name."""
        return [each for each in self.directives if each.name == name]

    def all(self, name: str) -> list[Directive]:
        """Return those of the nearest block that has any: nginx inherits lists whole or not at all."""
        found = self.own(name)
        return found if found or self.parent is None else self.parent.all(name)

    def one(self, name: str) -> Directive | None:
        """Return the one that holds."""
        found = self.all(name)
        return found[-1] if found else None

    def text(self, name: str, default: str = "") -> str:
        """Return its first argument."""
        found = self.one(name)
        return default if found is None else found.value

    def is_on(self, name: str) -> bool:
        return self.text(name) == "on"

    def chain(self) -> Iterator[Directive]:
        """Yield the directives of the block and of all around it."""
        yield from self.directives
        if self.parent is not None:
            yield from self.parent.chain()
