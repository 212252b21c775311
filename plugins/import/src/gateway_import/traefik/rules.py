"""Rules of routers: read, written as alternatives of conditions, and these as conditions of routes.

Versions 2 and 3 differ in single matchers, each of which shows by its form which one it is: ``{name:regex}`` in a host
or a path is version 2's, ``PathRegexp`` and ``Header`` are version 3's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import product
from typing import Any, Final

from gateway_import.nginx.locations import whole
from gateway_import.nginx.values import escaped, python_regex

_TOKEN: Final = re.compile(r"&&|\|\||[!(),]|[A-Za-z]+|`[^`]*`|\"[^\"]*\"")
_BRACES: Final = re.compile(r"\{(?:[\w-]+:)?((?:[^{}]|\{[^{}]*\})*)\}")
_NAMED: Final = re.compile(r"\{[A-Za-z_][\w-]*:")
"""What only templates of version 2 have: in an expression of version 3 a number stands in braces."""
_MOST: Final = 64
"""Alternatives that one rule may make."""
_DEEPEST: Final = 50


class RuleError(ValueError):
    """A rule that cannot be read."""


_MATCHERS: Final = (
    "Host", "HostHeader", "HostRegexp", "HostSNI", "ClientIP", "Path", "PathPrefix", "PathRegexp", "Method", "Header",
    "Headers", "HeaderRegexp", "HeadersRegexp", "Query", "QueryRegexp",
)  # fmt: skip
_SPELLINGS: Final = {
    spelt: name for name in _MATCHERS for spelt in (name.lower(), name.upper(), name.capitalize(), name)
}
"""Names of matchers as Traefik takes them: as documented, in lower or upper case, or with one capital."""


@dataclass(frozen=True, slots=True)
class Matcher:
    """One matcher of a rule."""

    name: str
    args: tuple[str, ...]
    negated: bool = False


Alternatives = list[tuple[Matcher, ...]]


def alternatives(rule: str) -> Alternatives:
    """Return the alternatives of a rule: one of them must hold, and of it every matcher.

    :raises RuleError: it is no rule, or has too many alternatives.
    """
    tokens, position = [], 0
    while position < len(rule):
        if rule[position].isspace():
            position += 1
            continue
        found = _TOKEN.match(rule, position)
        if found is None:
            raise RuleError(f"what stands at character {position + 1} is not understood")
        tokens.append(found[0])
        position = found.end()
    parser = _Parser(tokens)
    made = parser.either(negated=False, depth=0)
    if parser.left:
        raise RuleError(f"{_token(parser.left[0])} is not expected")
    return made


class _Parser:
    def __init__(self, tokens: list[str]) -> None:
        self.left = tokens

    def either(self, *, negated: bool, depth: int) -> Alternatives:
        parts = [self._every(negated=negated, depth=depth)]
        while self.left[:1] == ["||"]:
            self.left.pop(0)
            parts.append(self._every(negated=negated, depth=depth))
        return _joined(parts) if negated else [each for part in parts for each in part]

    def _every(self, *, negated: bool, depth: int) -> Alternatives:
        parts = [self._one(negated=negated, depth=depth)]
        while self.left[:1] == ["&&"]:
            self.left.pop(0)
            parts.append(self._one(negated=negated, depth=depth))
        # Not (a and b) is (not a) or (not b).
        return [each for part in parts for each in part] if negated else _joined(parts)

    def _one(self, *, negated: bool, depth: int) -> Alternatives:
        found = self.left.pop(0) if self.left else ""
        if depth > _DEEPEST:
            raise RuleError("it is nested too deep")
        if found == "!":
            return self._one(negated=not negated, depth=depth + 1)
        if found == "(":
            made = self.either(negated=negated, depth=depth + 1)
            self._expect(")")
            return made
        if not found.isalpha():
            raise RuleError(f"{_token(found)} is not expected")
        self._expect("(")
        args: list[str] = []
        while self.left[:1] != [")"]:
            if not self.left or self.left[0][0] not in '`"':
                raise RuleError(f"the values of {found} are not understood")
            args.append(_unquoted(self.left.pop(0)))
            if self.left[:1] == [","]:
                self.left.pop(0)
        self.left.pop(0)
        return [(Matcher(_SPELLINGS.get(found, found), tuple(args), negated),)]

    def _expect(self, token: str) -> None:
        if not self.left or self.left.pop(0) != token:
            raise RuleError(f"{token!r} is missing")


def _token(text: str) -> str:
    """Return a token as messages show it: values may be secrets."""
    return "a value" if text[:1] in {"`", '"'} else repr(text)


def _unquoted(text: str) -> str:
    """Return a text without its quotes; in double ones a backslash escapes, as in Go."""
    inner = text[1:-1]
    if text[0] == "`" or "\\" not in inner:
        return inner
    if "\\" in inner.replace("\\\\", ""):
        raise RuleError("a value has an escape that is not understood: write it in backquotes")
    return inner.replace("\\\\", "\\")


def _joined(parts: list[Alternatives]) -> Alternatives:
    made = [tuple(each for part in chosen for each in part) for chosen in product(*parts)]
    if len(made) > _MOST:
        raise RuleError(f"it has more than {_MOST} alternatives")
    return made


@dataclass(slots=True)
class Conditions:
    """Conditions of a route."""

    keys: dict[str, Any]
    paths: list[str]
    """Patterns that the path must match from end to end; none is every path."""
    prefixes: list[str]
    """Prefixes that the path must have."""
    lost: list[Matcher]
    """What has no counterpart: the other conditions take more requests."""

    def finish(self) -> dict[str, Any]:
        """Return the keys with those for the path."""
        if not self.paths:
            return self.keys
        if len(self.paths) == 1:
            return self.keys | {"path_regex": self.paths[0]}
        return self.keys | {"path_regex": "".join(f"(?={each}$)" for each in self.paths) + ".*"}


def conditions(matchers: tuple[Matcher, ...]) -> Conditions:
    """Return what an alternative asks for."""
    made = Conditions({}, [], [], [])
    for each in matchers:
        if not (_path(each, made) or _request(each, made)):
            made.lost.append(each)
    return made


def _path(matcher: Matcher, made: Conditions) -> bool:
    if matcher.name not in {"Path", "PathPrefix", "PathRegexp"} or not matcher.args:
        return False
    if matcher.args == ("/",) and matcher.name == "PathPrefix" and not matcher.negated:
        return True
    patterns = []
    for arg in matcher.args:
        found = python_regex(arg) if matcher.name == "PathRegexp" else _with_braces(arg)
        if found is None:
            return False
        pattern = whole(found[0]) if matcher.name == "PathRegexp" else found[0]
        patterns.append(f"{pattern}.*" if matcher.name == "PathPrefix" else pattern)
    joined = patterns[0] if len(patterns) == 1 else f"(?:{'|'.join(patterns)})"
    made.paths.append(f"(?!{joined}$).*" if matcher.negated else joined)
    if matcher.name == "PathPrefix" and not matcher.negated:
        made.prefixes += matcher.args
    return True


def _with_braces(text: str) -> tuple[str, dict[str, str]] | None:
    """Return a text in which ``{name:regex}`` stands for an expression."""
    made, end = "", 0
    for found in _BRACES.finditer(text):
        made += escaped(text[end : found.start()])
        made += f"(?:{found[1]})" if ":" in found[0] else "[^/]+"
        end = found.end()
    return python_regex(made + escaped(text[end:]))


def _request(matcher: Matcher, made: Conditions) -> bool:
    name, args = matcher.name, matcher.args
    if name in {"Host", "HostHeader"} and not matcher.negated:
        return _put(made, "hosts", [each.lower() for each in args])
    if name == "HostRegexp" and not matcher.negated and len(args) == 1:
        is_template = _NAMED.search(args[0]) is not None
        found = _with_braces(args[0]) if is_template else python_regex(args[0])
        pattern = None if found is None else found[0] if is_template else whole(found[0])
        return pattern is not None and _field(made, "headers", "host", {"regex": f"(?i)(?:{pattern})(?::[0-9]+)?"})
    if name == "Method" and not matcher.negated:
        return _put(made, "methods", [each.upper() for each in args])
    if name == "ClientIP":
        return _put(made, "client_ip", {"none_of" if matcher.negated else "one_of": list(args)})
    if name == "Query" and len(args) == 1 and "=" in args[0]:
        args = tuple(args[0].split("=", 1))
    kinds = {"Header": "headers", "Headers": "headers", "Query": "query", "HeaderRegexp": "headers",
             "HeadersRegexp": "headers", "QueryRegexp": "query"}  # fmt: skip
    if name not in kinds or not args:
        return False
    key = args[0].lower() if kinds[name] == "headers" else args[0]
    condition = _condition(matcher, args)
    return condition is not None and _field(made, kinds[name], key, condition)


def _condition(matcher: Matcher, args: tuple[str, ...]) -> Any:
    if len(args) == 1:
        return {"present": not matcher.negated}
    if len(args) != 2:
        return None
    if not matcher.name.endswith("Regexp"):
        return {"none_of": [args[1]]} if matcher.negated else args[1]
    found = python_regex(args[1])
    return None if found is None or matcher.negated else {"regex": whole(found[0])}


def _put(made: Conditions, key: str, value: Any) -> bool:
    if key in made.keys or not value:
        return False
    made.keys[key] = value
    return True


def _field(made: Conditions, key: str, name: str, condition: Any) -> bool:
    fields = made.keys.setdefault(key, {})
    if name in fields:
        return False
    fields[name] = condition
    return True
