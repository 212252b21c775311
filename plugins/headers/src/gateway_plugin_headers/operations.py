"""What is done with the fields of one head: rules compiled once into few steps."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from gateway_plugin_sdk import FieldBlock, FieldNames, Headers, Request, Response

from gateway_plugin_headers.config import FRAMING, Dedupe, RequestRules, ResponseRules
from gateway_plugin_headers.template import Value, compile_template, constant

Step = Callable[[Headers, Request, Response], None]

_KEPT: Final = FRAMING | {"host", "content-type", "content-encoding", "date"}
"""Fields that `keep` need not name: without them the message would be another one."""
_NO_RESPONSE: Final = Response()
"""Stands in for the response where there is none yet: templates of requests do not look at it."""


def compile_rules(rules: RequestRules | ResponseRules) -> tuple[Step, ...]:
    """Return the steps, in the order that the configuration promises."""
    of_response = isinstance(rules, ResponseRules)

    def values(texts: Mapping[str, str]) -> list[tuple[str, Value]]:
        return [(name, compile_template(text, of_response=of_response)) for name, text in texts.items()]

    steps: list[Step] = []
    if rules.keep is not None:
        steps.append(_keep(rules.keep))
    if rules.remove:
        steps.append(_remove(rules.remove))
    steps += [_rename(old, new) for old, new in rules.rename.items()]
    steps += [_dedupe(name, how) for name, how in rules.dedupe.items()]
    fixed = {name: text for name, template in rules.set.items() if (text := constant(template)) is not None}
    if fixed:
        steps.append(_set_fixed(fixed))
    steps += [_set(name, value) for name, value in values({k: v for k, v in rules.set.items() if k not in fixed})]
    steps += [_default(name, value) for name, value in values(rules.default)]
    steps += [_add(name, value) for name, value in values(rules.add)]
    steps += [_append(name, value) for name, value in values(rules.append)]
    return tuple(steps)


def apply_to_request(steps: Sequence[Step], request: Request) -> None:
    """Change the fields of a request."""
    headers = request.headers
    for step in steps:
        step(headers, request, _NO_RESPONSE)


class Additions:
    """What rules come to for a head that has none of the fields that they name: some fields more."""

    __slots__ = ("fields", "names", "unless")

    def __init__(self, fields: Sequence[tuple[str, str]], unless: Sequence[str]) -> None:
        self.fields = FieldBlock(fields)
        self.names = frozenset(unless)
        self.unless = FieldNames(unless) if unless else None
        """What a head must not have; None if that does not matter."""


def additions_of(rules: RequestRules | ResponseRules) -> Additions | None:
    """Return what rules add to most heads; None if that is not the same for all, or not all that they do."""
    beginnings = [each for each in rules.remove if each.endswith("*")]
    written = [*rules.set.items(), *rules.default.items(), *rules.add.items(), *rules.append.items()]
    texts = [(name, constant(template)) for name, template in written]
    fixed = [(name, text) for name, text in texts if text is not None]
    names = {name.lower() for name, _ in fixed}
    # One name in two rules: what one writes is what the other finds.
    if rules.keep is not None or beginnings or len(fixed) < len(written) or len(names) < len(written):
        return None
    unless = [*rules.remove, *rules.rename, *rules.dedupe, *rules.set, *rules.default, *rules.append]
    return Additions(fixed, unless)


def _matcher(patterns: Sequence[str]) -> re.Pattern[str]:
    texts = [re.escape(each.removesuffix("*")) + (".*" if each.endswith("*") else "") for each in patterns]
    return re.compile("|".join(texts), re.IGNORECASE)


def _keep(patterns: Sequence[str]) -> Step:
    is_kept = _matcher(patterns).fullmatch

    def keep(headers: Headers, _: Request, __: Response) -> None:
        for name in {name.lower() for name in headers}:
            if name not in _KEPT and not is_kept(name):
                headers.remove(name)

    return keep


def _remove(patterns: Sequence[str]) -> Step:
    names = [each for each in patterns if not each.endswith("*")]
    beginnings = tuple(each[:-1].lower() for each in patterns if each.endswith("*"))

    def remove(headers: Headers, _: Request, __: Response) -> None:
        for name in names:
            headers.remove(name)
        if beginnings:
            for name in {name.lower() for name in headers}:
                if name.startswith(beginnings) and name not in _KEPT:
                    headers.remove(name)

    return remove


def _rename(old: str, new: str) -> Step:
    def rename(headers: Headers, _: Request, __: Response) -> None:
        values = headers.get_all(old)
        if values:
            headers.remove(old)
            headers.remove(new)
            headers.extend((new, value) for value in values)

    return rename


def _dedupe(name: str, how: Dedupe) -> Step:
    def dedupe(headers: Headers, _: Request, __: Response) -> None:
        if headers.count(name) > 1:
            values = headers.get_all(name)
            kept = {"first": values[:1], "last": values[-1:], "unique": list(dict.fromkeys(values))}[how]
            headers.remove(name)
            headers.extend((name, value) for value in kept)

    return dedupe


def _set_fixed(fields: Mapping[str, str]) -> Step:
    names, block = tuple(fields), FieldBlock(fields)

    def set_fixed(headers: Headers, _: Request, __: Response) -> None:
        for name in names:
            headers.remove(name)
        headers.extend(block)

    return set_fixed


def _set(name: str, value_of: Value) -> Step:
    def set_(headers: Headers, request: Request, response: Response) -> None:
        value = value_of(request, response)
        # Without a value the field goes all the same: a client must not fill in what is missing.
        headers.remove(name)
        if value is not None:
            headers.add(name, value)

    return set_


def _default(name: str, value_of: Value) -> Step:
    def default(headers: Headers, request: Request, response: Response) -> None:
        if name not in headers:
            value = value_of(request, response)
            if value is not None:
                headers.add(name, value)

    return default


def _add(name: str, value_of: Value) -> Step:
    def add(headers: Headers, request: Request, response: Response) -> None:
        value = value_of(request, response)
        if value is not None:
            headers.add(name, value)

    return add


def _append(name: str, value_of: Value) -> Step:
    def append(headers: Headers, request: Request, response: Response) -> None:
        value = value_of(request, response)
        if value is not None:
            present = headers.joined(name)
            headers[name] = f"{present}, {value}" if present else value

    return append
